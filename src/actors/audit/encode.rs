//! One event, one line: the record's text, chained to the one before it.

use std::{io::Write, net::IpAddr};

use super::{
    head::{Head, SignedHead, link},
    text::{cut, digit, push_hex, push_json, push_number, quote},
};
use crate::domain::{AuditEvent, Principal, RequestId, Summary, Timestamp};

/// Longest record, its line end included, bytes.
pub(super) const MAX_RECORD: usize = 16 * 1024;
/// What the members after `detail` take at most, so that `detail` knows how much is left for it.
const TAIL_RESERVE: usize = 512;
/// Most bytes of a text that a client chose, before escaping (which makes six of one at worst).
const MAX_TEXT: usize = 256;
/// Most bytes of a tool's or a method's name, likewise.
const MAX_NAME: usize = 128;
/// Most bytes that the roles of one principal take.
const MAX_ROLES: usize = 2_048;

/// Writes records; keeps the text of the present second, which most records share.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    second: Option<u64>,
    text: String,
}

impl Encoder {
    /// Appends the record of `event` as the successor of `head`, line end included, and moves `head` to it.
    ///
    /// `checkpoint` stands where `detail` would, in `audit.checkpoint` records.
    pub(super) fn record(
        &mut self,
        out: &mut Vec<u8>,
        head: &mut Head,
        event: &AuditEvent,
        checkpoint: Option<&SignedHead>,
    ) {
        let start = out.len();
        let mut truncated = event.truncated;
        out.extend_from_slice(b"{\"chain\":");
        quote(out, &head.chain);
        out.extend_from_slice(b",\"seq\":");
        push_number(out, head.seq + 1);
        self.happened(out, event);
        push_who(out, event, &mut truncated);
        push_what(out, event, &mut truncated);
        if let Some(summary) = &event.summary {
            push_summary(out, summary);
        }
        match checkpoint {
            Some(signed) => push_checkpoint(out, signed),
            None => truncated |= !push_detail(out, start, event.detail.as_deref()),
        }
        if truncated {
            out.extend_from_slice(b",\"truncated\":true");
        }
        push_request(out, event);
        out.extend_from_slice(b",\"prev\":\"");
        push_hex(out, &head.hash);
        out.push(b'"');
        let hash = link(&head.hash, out.get(start..).unwrap_or_default());
        out.extend_from_slice(b",\"hash\":\"");
        push_hex(out, &hash);
        out.extend_from_slice(b"\"}\n");
        head.seq += 1;
        head.hash = hash;
    }

    /// `time event outcome reason`.
    fn happened(&mut self, out: &mut Vec<u8>, event: &AuditEvent) {
        out.extend_from_slice(b",\"time\":\"");
        self.push_time(out, event.time);
        out.extend_from_slice(b"\",\"event\":\"");
        out.extend_from_slice(event.event.as_str().as_bytes());
        out.extend_from_slice(b"\",\"outcome\":\"");
        out.extend_from_slice(event.outcome.as_str().as_bytes());
        out.extend_from_slice(b"\",\"reason\":");
        push_or_null(out, event.reason.map(|reason| cut(reason, MAX_NAME)));
    }

    fn push_time(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        if self.second != Some(time.secs()) {
            self.second = Some(time.secs());
            self.text = time.to_string();
            // Up to the seconds: `2026-11-22T09:30:00`.
            self.text.truncate(19);
        }
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'.');
        let micros = time.micros() % 1_000_000;
        out.extend([100_000, 10_000, 1_000, 100, 10, 1].map(|unit| digit(micros / unit)));
        out.push(b'Z');
    }
}

/// `principal ip user_agent`.
fn push_who(out: &mut Vec<u8>, event: &AuditEvent, truncated: &mut bool) {
    out.extend_from_slice(b",\"principal\":");
    match &event.principal {
        Some(principal) => {
            let (text, cut) = principal.recorded.or_write(|| write_principal(principal));
            out.extend_from_slice(text);
            *truncated |= cut;
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"ip\":");
    match event.ip {
        Some(ip) => push_ip(out, ip),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"user_agent\":");
    push_cut(out, event.user_agent.as_deref(), MAX_TEXT, truncated);
}

/// The member `principal`, and whether something had to be left out.
fn write_principal(principal: &Principal) -> (Box<[u8]>, bool) {
    let (mut out, mut truncated) = (Vec::with_capacity(256), false);
    push_principal(&mut out, principal, &mut truncated);
    (out.into(), truncated)
}

fn push_principal(out: &mut Vec<u8>, principal: &Principal, truncated: &mut bool) {
    out.extend_from_slice(b"{\"id\":");
    quote(out, principal.id.as_str());
    out.extend_from_slice(b",\"kind\":\"");
    out.extend_from_slice(principal.kind.as_str().as_bytes());
    out.extend_from_slice(b"\",\"client\":");
    push_cut(out, Some(&principal.client), MAX_TEXT, truncated);
    out.extend_from_slice(b",\"roles\":[");
    let start = out.len();
    for role in &principal.roles {
        let before = out.len();
        if before > start {
            out.push(b',');
        }
        quote(out, cut(role, MAX_TEXT));
        if out.len() - start > MAX_ROLES {
            out.truncate(before);
            *truncated = true;
            break;
        }
    }
    out.extend_from_slice(b"],\"credential\":");
    push_cut(out, Some(&principal.credential), MAX_TEXT, truncated);
    out.push(b'}');
}

/// `path method tool`, and `missing` where there is one.
fn push_what(out: &mut Vec<u8>, event: &AuditEvent, truncated: &mut bool) {
    out.extend_from_slice(b",\"path\":");
    push_cut(out, event.path.as_deref(), MAX_TEXT, truncated);
    out.extend_from_slice(b",\"method\":");
    push_cut(out, event.method.as_deref(), MAX_NAME, truncated);
    out.extend_from_slice(b",\"tool\":");
    push_cut(out, event.tool.as_deref(), MAX_NAME, truncated);
    if event.missing.is_some() {
        out.extend_from_slice(b",\"missing\":");
        push_cut(out, event.missing.as_deref(), MAX_TEXT, truncated);
    }
}

/// `scope count request_ids` of a record that stands for several requests.
fn push_summary(out: &mut Vec<u8>, summary: &Summary) {
    out.extend_from_slice(b",\"scope\":");
    quote(out, summary.scope);
    out.extend_from_slice(b",\"count\":");
    push_number(out, summary.count);
    out.extend_from_slice(b",\"request_ids\":[");
    for (at, id) in summary.request_ids.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_id(out, *id);
    }
    out.push(b']');
}

/// `detail` where there is one; false if it had to be left out.
fn push_detail(out: &mut Vec<u8>, start: usize, detail: Option<&str>) -> bool {
    let Some(detail) = detail else { return true };
    let before = out.len();
    // Text that is cheap to refuse is refused before it is copied.
    if before - start + detail.len() + TAIL_RESERVE > MAX_RECORD {
        return false;
    }
    out.extend_from_slice(b",\"detail\":");
    let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(detail).is_ok();
    if is_object {
        push_json(out, detail);
    } else {
        out.extend_from_slice(b"{\"text\":");
        quote(out, detail);
        out.push(b'}');
    }
    let fits = out.len() - start + TAIL_RESERVE <= MAX_RECORD;
    if !fits {
        out.truncate(before);
    }
    fits
}

fn push_checkpoint(out: &mut Vec<u8>, signed: &SignedHead) {
    out.extend_from_slice(b",\"checkpoint\":{\"chain\":");
    quote(out, &signed.chain);
    out.extend_from_slice(b",\"seq\":");
    push_number(out, signed.seq);
    for (name, value) in [("head", &signed.head), ("key", &signed.key), ("signature", &signed.signature)] {
        out.push(b',');
        quote(out, name);
        out.push(b':');
        quote(out, value);
    }
    out.push(b'}');
}

/// `arguments_digest request_id duration_us`.
fn push_request(out: &mut Vec<u8>, event: &AuditEvent) {
    out.extend_from_slice(b",\"arguments_digest\":");
    match &event.arguments_digest {
        Some(digest) => {
            out.extend_from_slice(b"\"hmac-sha256:");
            push_hex(out, digest);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"request_id\":");
    match event.request_id {
        Some(id) => push_id(out, id),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"duration_us\":");
    match event.duration_us {
        Some(micros) => push_number(out, micros),
        None => out.extend_from_slice(b"null"),
    }
}

fn push_id(out: &mut Vec<u8>, id: RequestId) {
    out.push(b'"');
    out.extend_from_slice(id.encode(&mut [0; 36]).as_bytes());
    out.push(b'"');
}

fn push_ip(out: &mut Vec<u8>, ip: IpAddr) {
    let IpAddr::V4(ip) = ip else { return push_display(out, ip) };
    for (octet, before) in ip.octets().into_iter().zip([b'"', b'.', b'.', b'.']) {
        out.push(before);
        push_number(out, octet.into());
    }
    out.push(b'"');
}

/// A value of ours whose text needs no escaping, as a JSON string.
fn push_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    out.push(b'"');
    // Writing into memory cannot fail.
    let _ = write!(out, "{value}");
    out.push(b'"');
}

fn push_cut(out: &mut Vec<u8>, text: Option<&str>, max: usize, truncated: &mut bool) {
    let kept = text.map(|text| cut(text, max));
    *truncated |= kept.map(str::len) != text.map(str::len);
    push_or_null(out, kept);
}

fn push_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => quote(out, text),
        None => out.extend_from_slice(b"null"),
    }
}
