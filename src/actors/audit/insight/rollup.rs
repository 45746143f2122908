//! Counts of a stretch of the log: by minute for the last hour, by hour for seven days. Two of them merge
//! into what one would be that had counted both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    notes::Notes,
    sign::{Seen, Sign},
    tops::{MOST_COUNTED, Tops},
};
use crate::domain::{EventCode, Outcome, Timestamp};

/// Minutes that are kept before the running one.
pub(super) const MINUTES: u64 = 60;
/// Hours that are kept before the running one.
pub(super) const HOURS: u64 = 7 * 24;
/// Seconds of a minute, minutes of an hour.
const SIXTY: u64 = 60;

/// Records in the order they came, counted: what is handed from the log's writer to the insight.
#[derive(Debug, Default)]
pub(super) struct Digest {
    /// How many, by minute, event and outcome.
    minutes: BTreeMap<u64, Box<Dense>>,
    /// Those that may be a sign of abuse.
    pub(super) signs: Vec<Sign>,
}

type Dense = [[u64; Outcome::ALL.len()]; EventCode::ALL.len()];

impl Digest {
    pub(super) fn add(&mut self, seen: Seen) {
        let dense = self.minutes.entry(seen.time.secs() / SIXTY).or_default();
        if let Some(count) =
            dense.get_mut(seen.event as usize).and_then(|it| it.get_mut(seen.outcome as usize))
        {
            *count += seen.weight;
        }
        self.signs.extend(seen.sign);
    }

    /// How much memory it takes, in signs and minutes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.signs.len(), self.minutes.len())
    }
}

/// Counts of a stretch of the log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollup {
    minutes: BTreeMap<u64, Span>,
    hours: BTreeMap<u64, Span>,
    pub(super) notes: Notes,
}

/// Counts of one minute or hour.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Span {
    /// How many requests by event and outcome, by their places in `ALL`; those that there are.
    counts: Vec<(u8, u8, u64)>,
    /// Alerts about patterns.
    pub(super) unusual: u64,
    pub(super) tops: Tops,
}

impl Span {
    /// Requests whose record is of that kind, however they ended.
    pub(super) fn of(&self, event: EventCode) -> u64 {
        let of_event = self.counts.iter().filter(|(code, ..)| usize::from(*code) == event as usize);
        of_event.map(|(.., count)| count).sum()
    }

    /// Whether this could be what a node has counted.
    fn is_sane(&self) -> bool {
        let kinds = |(event, outcome, count): &(u8, u8, u64)| {
            usize::from(*event) < EventCode::ALL.len()
                && usize::from(*outcome) < Outcome::ALL.len()
                && *count <= MOST_COUNTED
        };
        // In order and each kind once: that is how they are looked up.
        let is_ordered = self.counts.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1));
        is_ordered && self.counts.iter().all(kinds) && self.unusual <= MOST_COUNTED && self.tops.is_sane()
    }

    fn count(&mut self, event: u8, outcome: u8, count: u64) {
        match self.counts.binary_search_by_key(&(event, outcome), |(event, outcome, _)| (*event, *outcome)) {
            Ok(at) => _ = self.counts.get_mut(at).map(|it| it.2 = it.2.saturating_add(count)),
            Err(at) => self.counts.insert(at, (event, outcome, count)),
        }
    }

    fn add(&mut self, dense: &Dense) {
        for (event, outcomes) in (0_u8..).zip(dense) {
            for (outcome, count) in (0_u8..).zip(outcomes) {
                if *count > 0 {
                    self.count(event, outcome, *count);
                }
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.counts.iter().for_each(|(event, outcome, count)| self.count(*event, *outcome, *count));
        self.unusual = self.unusual.saturating_add(other.unusual);
        self.tops.merge(&other.tops);
    }
}

/// Which minutes and hours are kept at one moment. Those in the future are too, as far: a clock may step.
#[derive(Debug, Clone, Copy)]
struct Kept {
    minute: u64,
    hour: u64,
}

impl Kept {
    const fn at(now: Timestamp) -> Self {
        let minute = now.secs() / SIXTY;
        Self { minute, hour: minute / SIXTY }
    }

    const fn minute(self, minute: u64) -> bool {
        minute.abs_diff(self.minute) <= MINUTES
    }

    const fn hour(self, hour: u64) -> bool {
        hour.abs_diff(self.hour) <= HOURS
    }
}

impl Rollup {
    /// Counts what `digest` holds. Of one stretch the newest spans are kept, twice as many as are ever shown;
    /// which of them are shown is decided by the clock of whoever asks, not by that of this moment.
    pub(super) fn add(&mut self, digest: &Digest) {
        for (minute, dense) in &digest.minutes {
            self.spans(*minute).into_iter().for_each(|span| span.add(dense));
        }
        for sign in &digest.signs {
            let unusual = u64::from(self.notes.add(sign));
            for span in self.spans(sign.time.secs() / SIXTY) {
                span.tops.add(sign);
                span.unusual += unusual;
            }
        }
        forget_oldest(&mut self.minutes, MINUTES);
        forget_oldest(&mut self.hours, HOURS);
    }

    /// Counts what `other` has counted, and forgets what is too old at `now`.
    pub(super) fn merge(&mut self, other: &Self, now: Timestamp) {
        let kept = Kept::at(now);
        for (minute, span) in other.minutes.iter().filter(|(minute, _)| kept.minute(**minute)) {
            self.minutes.entry(*minute).or_default().merge(span);
        }
        for (hour, span) in other.hours.iter().filter(|(hour, _)| kept.hour(**hour)) {
            self.hours.entry(*hour).or_default().merge(span);
        }
        self.notes.merge(&other.notes);
        self.minutes.retain(|minute, _| kept.minute(*minute));
        self.hours.retain(|hour, _| kept.hour(*hour));
    }

    /// Takes over what another node has counted in the span of this name, `m` or `h` and its number; false if that is
    /// not what one would tell.
    pub(super) fn hear(&mut self, name: &str, span: Span) -> bool {
        let (spans, number) = match (name.strip_prefix('m'), name.strip_prefix('h')) {
            (Some(minute), _) => (&mut self.minutes, minute),
            (_, Some(hour)) => (&mut self.hours, hour),
            _ => return false,
        };
        let number = number.parse().ok().filter(|_| span.is_sane());
        number.is_some_and(|number: u64| spans.insert(number, span).is_none())
    }

    /// The minute and the hour that `minute` is in.
    fn spans(&mut self, minute: u64) -> [&mut Span; 2] {
        [self.minutes.entry(minute).or_default(), self.hours.entry(minute / SIXTY).or_default()]
    }

    /// What is counted of one minute since the epoch.
    pub(super) fn minute(&self, minute: u64) -> Option<&Span> {
        self.minutes.get(&minute)
    }

    /// What is counted of one hour since the epoch.
    pub(super) fn hour(&self, hour: u64) -> Option<&Span> {
        self.hours.get(&hour)
    }
}

fn forget_oldest(spans: &mut BTreeMap<u64, Span>, shown: u64) {
    while spans.len() as u64 > 2 * (shown + 1) {
        spans.pop_first();
    }
}

#[cfg(test)]
impl Rollup {
    /// How many minutes and hours are kept.
    pub(super) fn spans_kept(&self) -> (usize, usize) {
        (self.minutes.len(), self.hours.len())
    }

    /// How much memory it takes, texts included; the newest alerts are too few to matter.
    pub(super) fn heap_bytes(&self) -> usize {
        let span = |span: &Span| span.counts.capacity() * size_of::<(u8, u8, u64)>() + span.tops.heap_bytes();
        let spans: usize = self.minutes.values().chain(self.hours.values()).map(span).sum();
        // The leaves of such a map are half full at least.
        2 * (self.minutes.len() + self.hours.len()) * size_of::<(u64, Span)>() + spans
    }
}
