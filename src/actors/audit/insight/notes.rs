//! The newest alerts.

use serde::{Deserialize, Serialize};

use super::{
    pattern::{Finding, Pattern},
    sign::{MAX_DETAIL, Sign, What},
};
use crate::domain::Timestamp;

/// Most alerts that are kept and shown, of all together and of patterns apart.
pub(super) const MOST: usize = 10;

/// Longest reason that another node may tell, bytes; ours are words.
const MOST_REASON: usize = 64;

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// When it was raised.
    pub time: Timestamp,
    /// Its reason: a word of ours.
    pub reason: Box<str>,
    /// What more its record says: a JSON object's text.
    pub detail: Option<Box<str>>,
    /// The node that raised it; `None` for this one.
    #[serde(skip)]
    pub server: Option<Box<str>>,
}

impl Note {
    /// What it says of a pattern; `None` if it is about something else.
    pub(super) fn finding(&self) -> Option<Finding> {
        let pattern = Pattern::named(&self.reason)?;
        serde_json::from_str(self.detail.as_deref()?)
            .ok()
            .filter(|finding: &Finding| finding.pattern == pattern)
    }
}

/// The newest alerts, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Notes {
    pub(super) all: Vec<Note>,
    pub(super) patterns: Vec<Note>,
}

impl Notes {
    /// Keeps an alert; says whether it is one about a pattern.
    pub(super) fn add(&mut self, sign: &Sign) -> bool {
        let What::Alert { reason, detail } = &sign.what else { return false };
        let (reason, detail) = (reason.as_ref().into(), detail.clone());
        let note = Note { time: sign.time, reason, detail, server: None };
        let of_pattern = note.finding().is_some();
        if of_pattern {
            keep(&mut self.patterns, note.clone());
        }
        keep(&mut self.all, note);
        of_pattern
    }

    /// Keeps what another node has told; false if that is not what one would tell.
    pub(super) fn hear(&mut self, node: &str, mut told: Self) -> bool {
        let is_sane = |note: &Note| {
            note.reason.len() <= MOST_REASON && note.detail.as_ref().is_none_or(|it| it.len() <= MAX_DETAIL)
        };
        let lists = [&mut told.all, &mut told.patterns];
        let is_told = lists.iter().all(|notes| notes.len() <= MOST && notes.iter().all(is_sane));
        if is_told {
            lists.into_iter().flatten().for_each(|note| note.server = Some(node.into()));
            self.merge(&told);
        }
        is_told
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.all.iter().for_each(|note| keep(&mut self.all, note.clone()));
        other.patterns.iter().for_each(|note| keep(&mut self.patterns, note.clone()));
    }
}

fn keep(notes: &mut Vec<Note>, note: Note) {
    let at = notes.partition_point(|other| *other > note);
    notes.insert(at, note);
    notes.truncate(MOST);
}
