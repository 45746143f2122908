//! Walks one chain record by record and says what does not fit.

use std::{borrow::Cow, path::PathBuf};

use serde::Deserialize;

use super::{
    super::{
        head::{Head, SignedHead, link},
        keys::PublicKeys,
        tail::hashed_part,
        text::parse_hex32,
    },
    verify::Problem,
};

/// Most problems that are told in full; the rest is counted.
const MAX_PROBLEMS: usize = 100;

/// A hash that a record must have, because somebody vouched for it.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) head: Head,
    /// Who vouched, for the message.
    pub(super) by: &'static str,
    pub(super) met: bool,
}

/// Where a problem is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) file: PathBuf,
    pub(super) line: u64,
}

/// The problems so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) told: Vec<Problem>,
    pub(super) count: u64,
}

impl Problems {
    pub(super) fn add(&mut self, place: &Place, seq: Option<u64>, what: String) {
        self.count += 1;
        if self.told.len() < MAX_PROBLEMS {
            let (slot, file, line) = (place.slot, place.file.clone(), place.line);
            self.told.push(Problem { slot, file, line, seq, what });
        }
    }
}

/// The members of a record that hold the chain together.
#[derive(Debug, Deserialize)]
struct Chained<'a> {
    #[serde(borrow)]
    chain: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    prev: Cow<'a, str>,
    #[serde(borrow)]
    hash: Cow<'a, str>,
    checkpoint: Option<SignedHead>,
}

/// One slot's chain while it is walked.
#[derive(Debug)]
pub(super) struct Check<'a> {
    keys: &'a PublicKeys,
    expected: &'a mut [Expected],
    /// The last record; `None` before the first.
    head: Option<Head>,
    pub(super) records: u64,
    pub(super) checkpoints: u64,
}

impl<'a> Check<'a> {
    pub(super) fn new(keys: &'a PublicKeys, expected: &'a mut [Expected]) -> Self {
        Self { keys, expected, head: None, records: 0, checkpoints: 0 }
    }

    /// The last record.
    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Checks the next complete line.
    pub(super) fn line(&mut self, line: &[u8], place: &Place, problems: &mut Problems) {
        let Ok(record) = serde_json::from_slice::<Chained<'_>>(line) else {
            return problems.add(
                place,
                self.head.as_ref().and_then(|head| head.seq.checked_add(1)),
                "is not a record".into(),
            );
        };
        let seq = record.seq;
        let mut tell = |what: String| problems.add(place, Some(seq), what);
        let prev = parse_hex32(record.prev.as_bytes());
        let hash = prev.zip(hashed_part(line)).map(|(prev, body)| link(&prev, body));
        if hash.is_none() || hash != parse_hex32(record.hash.as_bytes()) {
            tell("was changed: its hash does not fit its text".into());
        }
        self.check_link(&record, prev, &mut tell);
        self.check_checkpoint(&record, &mut tell);
        let head = Head { chain: record.chain.as_ref().into(), seq, hash: hash.unwrap_or_default() };
        for expected in
            self.expected.iter_mut().filter(|it| it.head.seq == seq && it.head.chain == head.chain)
        {
            expected.met = true;
            if expected.head.hash != head.hash {
                tell(format!("is not the record that {} vouches for", expected.by));
            }
        }
        self.records += 1;
        self.head = Some(head);
    }

    /// The record must follow the one before, or begin the chain.
    fn check_link(&self, record: &Chained<'_>, prev: Option<[u8; 32]>, tell: &mut impl FnMut(String)) {
        let begin = Head::new(&record.chain);
        let before = self.head.as_ref().unwrap_or(&begin);
        // Nothing follows the last number that there is.
        let due = before.seq.checked_add(1);
        if due != Some(record.seq) {
            let due = due.map_or_else(|| "none".into(), |due| format!("record {due}"));
            return tell(format!("stands where {due} should: records are missing or moved"));
        }
        if prev != Some(before.hash) {
            return tell("does not follow the record before it".into());
        }
        if *record.chain != *before.chain {
            tell("belongs to another chain".into());
        }
    }

    /// A checkpoint must be signed by a key we know, and vouch for the record right before it.
    fn check_checkpoint(&mut self, record: &Chained<'_>, tell: &mut impl FnMut(String)) {
        if record.event != "audit.checkpoint" {
            return;
        }
        self.checkpoints += 1;
        let Some(signed) = &record.checkpoint else {
            return tell("is a checkpoint without a signature".into());
        };
        if !self.keys.vouch_for(signed) {
            return tell("is a checkpoint whose signature does not hold".into());
        }
        let fits = signed.chain == *record.chain
            && signed.seq.checked_add(1) == Some(record.seq)
            && signed.head == *record.prev;
        if !fits {
            tell("is a checkpoint of something else".into());
        }
    }
}
