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
    /// Largest number that a segment begins with, 0 without segments.
    pub(super) newest: u64,
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

/// Goes on behind the last good record; what a crash left behind that one is cut, since nobody was told
/// that it is recorded.
///
/// If the head file proves that more was there, or is lost itself, nothing is cut or mended: a new segment
/// begins behind everything, so that the damage stays visible to `verify`, and an alert says so in the log.
pub(super) fn decide(found: Found, new_chain: &str, now: Timestamp) -> Takeover {
    let Found { tail, promised, connected, newest } = found;
    let rest = tail.rest;
    match (tail.last, promised) {
        (None, None) if rest == 0 => begin(Head::new(new_chain), Vec::new()),
        (None, None) => begin(Head { seq: newest, ..Head::new(new_chain) }, vec![lost_head(rest, now)]),
        (Some(last), None) if rest == 0 => go_on(last, vec![lost_head(rest, now)]),
        (Some(last), None) => {
            let head = Head { seq: last.head.seq.max(newest), ..last.head };
            begin(head, vec![lost_head(rest, now)])
        }
        (None, Some(promised)) if promised.seq == 0 => begin(promised, torn(rest, now)),
        (Some(last), Some(_)) if connected => go_on(last, torn(rest, now)),
        (last, Some(promised)) => {
            let found = last.map_or(0, |last| last.head.seq);
            let alert = broken(promised.seq, found, now);
            let head = Head { seq: promised.seq.max(found).max(newest), ..promised };
            begin(head, vec![alert])
        }
    }
}

fn begin(head: Head, findings: Vec<AuditEvent>) -> Takeover {
    let signed = findings.is_empty();
    Takeover { position: Position { head, since: 0, segment: None }, findings, signed }
}

fn go_on(last: Last, findings: Vec<AuditEvent>) -> Takeover {
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

fn torn(bytes: u64, now: Timestamp) -> Vec<AuditEvent> {
    let alert = || alert("torn_record_cut", &serde_json::json!({ "bytes": bytes }), now);
    if bytes == 0 { Vec::new() } else { vec![alert()] }
}

fn lost_head(bytes: u64, now: Timestamp) -> AuditEvent {
    alert("head_file_lost", &serde_json::json!({ "unreadable_bytes": bytes }), now)
}

fn broken(promised: u64, found: u64, now: Timestamp) -> AuditEvent {
    alert("chain_broken", &serde_json::json!({ "promised": promised, "found": found }), now)
}

/// The slot was removed from under its writer; `lost` is how far its chain had come.
pub(super) fn slot_lost(lost: &Head, now: Timestamp) -> AuditEvent {
    let lost = serde_json::json!({ "chain": &*lost.chain, "seq": lost.seq, "head": lost.hex() });
    alert("slot_lost", &lost, now)
}
