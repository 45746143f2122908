//! What the insight answers: totals, a series, the worst offenders, patterns and alerts of one range.

use std::collections::{BTreeMap, HashMap};

use super::{
    notes::{MOST, Note, Notes},
    pattern::{Finding, WINDOW},
    rollup::{HOURS, MINUTES, Rollup, Span},
    sign::{Offender, Violation},
    watch::Watch,
};
use crate::domain::{EventCode, Timestamp};

/// Offenders that are shown of each violation, addresses and principals apart.
pub const TOP: usize = 10;

/// How far back a review goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The running minute and the 60 before it.
    Hour,
    /// The running hour and the 24 before it.
    Day,
    /// The running hour and the 168 before it.
    Week,
}

impl Range {
    /// Seconds of one point of the series, and how many there are beside the running one.
    pub(super) const fn points(self) -> (u64, u64) {
        match self {
            Self::Hour => (60, MINUTES),
            Self::Day => (3_600, 24),
            Self::Week => (3_600, HOURS),
        }
    }

    fn span(self, rollup: &Rollup, at: u64) -> Option<&Span> {
        match self {
            Self::Hour => rollup.minute(at),
            Self::Day | Self::Week => rollup.hour(at),
        }
    }
}

/// How often something was violated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// `auth.failed` records.
    pub failed_authentications: u64,
    /// `tool.denied` records.
    pub permission_denials: u64,
    /// Requests over a limit.
    pub rate_limit_violations: u64,
    /// Alerts about patterns.
    pub unusual: u64,
}

impl Totals {
    fn add(&mut self, span: &Span) {
        self.failed_authentications += span.of(EventCode::AuthFailed);
        self.permission_denials += span.of(EventCode::ToolDenied);
        self.rate_limit_violations += span.of(EventCode::RateLimited);
        self.unusual += span.unusual;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            failed_authentications: self.failed_authentications + other.failed_authentications,
            permission_denials: self.permission_denials + other.permission_denials,
            rate_limit_violations: self.rate_limit_violations + other.rate_limit_violations,
            unusual: self.unusual + other.unusual,
        }
    }
}

/// Who violated what, how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// What.
    pub violation: Violation,
    /// Who.
    pub who: Offender,
    /// How often at least.
    pub count: u64,
    /// Whether that is exact: nobody had to be forgotten for somebody else.
    pub exact: bool,
}

/// A pattern that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusual {
    /// What was found.
    pub finding: Finding,
    /// When it was told.
    pub time: Timestamp,
    /// Whether it still lasts.
    pub lasts: bool,
    /// The node that told it; `None` for this one where it is alone.
    pub server: Option<Box<str>>,
}

/// How much of a fleet a review is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetView {
    /// Nodes whose counts are in it, this one included.
    pub servers: usize,
    /// Whether the store in which the others put theirs could be asked.
    pub reached: bool,
}

/// Everything about one range.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// Where the range begins.
    pub from: Timestamp,
    /// Whether everything in the range is counted; it is not while the log is still being read after a start.
    pub complete: bool,
    /// Everything together.
    pub totals: Totals,
    /// By minute or hour, oldest first, each with its beginning.
    pub series: Vec<(Timestamp, Totals)>,
    /// The worst first, at most [`TOP`] of each violation, addresses and principals apart.
    pub offences: Vec<Offence>,
    /// Newest first, at most ten.
    pub unusual: Vec<Unusual>,
    /// Newest first, at most ten.
    pub alerts: Vec<Note>,
    /// How much of the fleet it is of; `None` where there is none.
    pub fleet: Option<FleetView>,
}

impl Review {
    /// Of `range` up to `now`, by what `rollups` have counted together.
    pub(super) fn of(range: Range, now: Timestamp, rollups: &[&Rollup], watch: &Watch) -> Self {
        let (secs, count) = range.points();
        let last = now.secs() / secs;
        let first = last.saturating_sub(count);
        let mut offences = Offences::default();
        let point = |at: u64| {
            let mut totals = Totals::default();
            for span in rollups.iter().filter_map(|rollup| range.span(rollup, at)) {
                totals.add(span);
                offences.add(span);
            }
            (Timestamp::from_secs(at * secs), totals)
        };
        let series: Vec<_> = (first..=last).map(point).collect();
        let from = Timestamp::from_secs(first * secs);
        let mut notes = Notes::default();
        rollups.iter().for_each(|rollup| notes.merge(&rollup.notes));
        let within = |note: &Note| note.time >= from;
        let unusual = notes.patterns.iter().filter(|note| within(note)).filter_map(|note| {
            let finding = note.finding()?;
            // What others have told is followed by them.
            let is_recent = note.server.is_some() && note.time.plus(WINDOW) >= now;
            let lasts = is_recent || (note.server.is_none() && watch.lasts(&finding, now));
            Some(Unusual { lasts, time: note.time, finding, server: note.server.clone() })
        });
        Self {
            from,
            complete: false,
            totals: series.iter().fold(Totals::default(), |sum, (_, point)| sum.plus(*point)),
            offences: offences.worst(),
            unusual: unusual.collect(),
            alerts: notes.all.iter().filter(|note| within(note)).take(MOST).cloned().collect(),
            series,
            fleet: None,
        }
    }

    /// As one of a fleet, in which this node has that name.
    pub(super) fn within(mut self, node: &str, fleet: FleetView) -> Self {
        let unnamed = self.alerts.iter_mut().map(|note| &mut note.server);
        for server in unnamed.chain(self.unusual.iter_mut().map(|unusual| &mut unusual.server)) {
            server.get_or_insert_with(|| node.into());
        }
        Self { fleet: Some(fleet), complete: self.complete && fleet.reached, ..self }
    }
}

/// The counts of everybody in the tables of several spans.
#[derive(Default)]
struct Offences {
    counts: HashMap<(Violation, Offender), u64>,
    /// Violations and kinds of offenders of which somebody had to be forgotten.
    inexact: Vec<(Violation, &'static str)>,
}

impl Offences {
    fn add(&mut self, span: &Span) {
        for (violation, table) in span.tops.tables() {
            for entry in table.entries() {
                let sum = self.counts.entry((violation, entry.who.clone())).or_default();
                *sum = sum.saturating_add(entry.count.saturating_sub(entry.over));
            }
            let kind = table.entries().first().map(|entry| entry.who.kind());
            if let Some(kind) = kind.filter(|_| table.is_lossy()) {
                self.inexact.push((violation, kind));
            }
        }
    }

    fn worst(self) -> Vec<Offence> {
        let mut groups: BTreeMap<_, Vec<Offence>> = BTreeMap::new();
        for ((violation, who), count) in self.counts {
            let exact = !self.inexact.contains(&(violation, who.kind()));
            let group = groups.entry((violation as usize, who.kind())).or_default();
            group.push(Offence { violation, who, count, exact });
        }
        let mut worst = Vec::new();
        for mut group in groups.into_values() {
            group.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.who.cmp(&b.who)));
            worst.extend(group.into_iter().take(TOP));
        }
        worst
    }
}
