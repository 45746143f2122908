//! Decides how to go on with a log that somebody else left: which record is the last, what must be said.

use super::{
    head::Head,
    journal::Position,
    tail::{Last, Tail},
};
use crate::domain::{AuditEvent, EventCode, Outcome, Timestamp};

/// What is known of a log before the first record is added.
#[derive(Debug)]
pub(super) struct Found {
    /// How the files end.
    pub(super) tail: Tail,
    /// The end that the head file vouches for; `None` if it is absent or not ours.
    pub(super) promised: Option<Head>,
    /// Whether the files hold what was promised and everything after it in one chain.
    pub(super) connected: bool,
}

/// Where to go on, and what to record first.
#[derive(Debug)]
pub(super) struct Takeover {
    /// The end that counts.
    pub(super) position: Position,
    /// Alerts about what was found.
    pub(super) findings: Vec<AuditEvent>,
    /// Whether the last record is a checkpoint, so that none is due.
    pub(super) signed: bool,
}

/// Goes on behind the last good record, unless the head file proves that more was there.
///
/// In that case nothing is cut or mended: a new segment begins behind what was promised, so that the gap
/// stays visible to `verify` for ever, and an alert says so in the log itself.
pub(super) fn decide(found: Found, new_chain: &str, now: Timestamp) -> Takeover {
    let Found { tail, promised, connected } = found;
    match (tail.last, promised) {
        (None, None) if tail.rest == 0 => begin(Head::new(new_chain), Vec::new()),
        (None, None) => begin(Head::new(new_chain), vec![lost_head(now), torn(tail.rest, now)]),
        (None, Some(promised)) if promised.seq == 0 => {
            let findings = if tail.rest == 0 { Vec::new() } else { vec![torn(tail.rest, now)] };
            begin(promised, findings)
        }
        (Some(last), None) => go_on(last, tail.rest, vec![lost_head(now)], now),
        (Some(last), Some(_)) if connected => go_on(last, tail.rest, Vec::new(), now),
        (last, Some(promised)) => {
            let found = last.map_or(0, |last| last.head.seq);
            let alert = broken(promised.seq, found, now);
            let head = Head { seq: promised.seq.max(found), ..promised };
            begin(head, vec![alert])
        }
    }
}

fn begin(head: Head, findings: Vec<AuditEvent>) -> Takeover {
    let signed = findings.is_empty();
    Takeover { position: Position { head, since: 0, segment: None }, findings, signed }
}

fn go_on(last: Last, rest: u64, mut findings: Vec<AuditEvent>, now: Timestamp) -> Takeover {
    if rest > 0 {
        findings.push(torn(rest, now));
    }
    let signed = last.signed && findings.is_empty();
    let segment = Some((last.segment, last.end));
    Takeover { position: Position { head: last.head, since: 0, segment }, findings, signed }
}

/// An alert of the audit log about itself.
pub(super) fn alert(reason: &'static str, detail: &serde_json::Value, now: Timestamp) -> AuditEvent {
    AuditEvent {
        reason: Some(reason),
        detail: Some(detail.to_string().into()),
        ..AuditEvent::new(now, EventCode::AlertRaised, Outcome::Failed)
    }
}

fn torn(bytes: u64, now: Timestamp) -> AuditEvent {
    alert("torn_record_cut", &serde_json::json!({ "bytes": bytes }), now)
}

fn lost_head(now: Timestamp) -> AuditEvent {
    alert("head_file_lost", &serde_json::json!({}), now)
}

fn broken(promised: u64, found: u64, now: Timestamp) -> AuditEvent {
    alert("chain_broken", &serde_json::json!({ "promised": promised, "found": found }), now)
}
