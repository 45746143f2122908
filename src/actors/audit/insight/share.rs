//! What a node counts as texts that others can add to their own counts, and back.
//!
//! A text comes from a place where others can write too: what no node of this version would write counts as nothing.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{
    notes::Notes,
    review::Range,
    rollup::{HOURS, MINUTES, Rollup, Span},
    sealed::kinds,
};
use crate::domain::Timestamp;

/// The field of the newest alerts.
const NOTES: &str = "notes";
/// The field that says whether everything is counted.
const WHOLE: &str = "whole";
/// How many of the newest minutes and hours are told each time; the older ones hardly ever change.
const RUNNING: u64 = 2;
/// Longest text that is read.
const MAX_TEXT: usize = 256 * 1024;

/// What another node counts.
#[derive(Debug, Clone)]
pub(in crate::actors::audit) struct Told {
    /// Whether it has counted everything, and all of it could be read.
    pub(in crate::actors::audit) whole: bool,
    pub(super) rollup: Rollup,
}

/// When `range` begins, if it ends at `now`.
pub(in crate::actors::audit) fn begin(range: Range, now: Timestamp) -> Timestamp {
    let (secs, count) = range.points();
    Timestamp::from_secs((now.secs() / secs).saturating_sub(count) * secs)
}

/// The fields that tell of `range` up to `now`.
pub(in crate::actors::audit) fn fields(range: Range, now: Timestamp) -> Vec<String> {
    let (secs, count) = range.points();
    let last = now.secs() / secs;
    let kind = if range == Range::Hour { 'm' } else { 'h' };
    let spans = (last.saturating_sub(count)..=last).map(|at| format!("{kind}{at}"));
    [WHOLE.to_owned(), NOTES.to_owned()].into_iter().chain(spans).collect()
}

/// What `rollups` have counted together, field by field: all that is kept, or only the spans that run at `now`.
pub(super) fn tell(rollups: &[&Rollup], now: Timestamp, whole: bool, all: bool) -> Vec<(String, String)> {
    let mut notes = Notes::default();
    rollups.iter().for_each(|rollup| notes.merge(&rollup.notes));
    let mut told = vec![(WHOLE.to_owned(), u8::from(whole).to_string()), (NOTES.to_owned(), text(&notes))];
    let (minute, hour) = (now.secs() / 60, now.secs() / 3_600);
    let least = |shown: u64| if all { shown } else { RUNNING - 1 };
    for at in minute.saturating_sub(least(MINUTES))..=minute {
        let spans = rollups.iter().filter_map(|rollup| rollup.minute(at));
        told.extend(together(spans).map(|span| (format!("m{at}"), text(&span))));
    }
    for at in hour.saturating_sub(least(HOURS))..=hour {
        let spans = rollups.iter().filter_map(|rollup| rollup.hour(at));
        told.extend(together(spans).map(|span| (format!("h{at}"), text(&span))));
    }
    told
}

fn together<'a>(spans: impl Iterator<Item = &'a Span>) -> Option<Span> {
    spans.fold(None, |sum: Option<Span>, span| {
        let mut sum = sum.unwrap_or_default();
        sum.merge(span);
        Some(sum)
    })
}

/// What `node` has told in these fields.
pub(in crate::actors::audit) fn heard(node: &str, fields: &[String], texts: &[Option<String>]) -> Told {
    let mut told = Told { whole: false, rollup: Rollup::default() };
    let mut is_clear = true;
    for (field, text) in fields.iter().zip(texts) {
        let Some(text) = text else { continue };
        is_clear &= match field.as_str() {
            WHOLE => {
                told.whole = text == "1";
                true
            }
            NOTES => read(text).is_some_and(|notes: Notes| told.rollup.notes.hear(node, notes)),
            span => read(text).is_some_and(|heard| told.rollup.hear(span, heard)),
        };
    }
    told.whole &= is_clear;
    told
}

/// Which kinds of event this version tells apart, in eight digits: counts name kinds by their place.
fn version() -> String {
    Sha256::digest(kinds()).iter().take(4).fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

fn text(counted: &impl serde::Serialize) -> String {
    // What cannot be written is read as unclear.
    format!("{} {}", version(), serde_json::to_string(counted).unwrap_or_default())
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let (version, text) = text.split_once(' ').filter(|(_, text)| text.len() <= MAX_TEXT)?;
    (version == self::version()).then(|| serde_json::from_str(text).ok())?
}
