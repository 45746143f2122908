//! What was used up before the start, until its owners come back.

use std::{collections::HashMap, time::Duration};

use super::{
    LimiterConfig, Scope,
    bucket::{Limit, Moment, backlog, span},
    table::Id,
};
use crate::{domain::Timestamp, store::Level};

/// For each identity the slowest limit that may hold for it: who comes back as whom is known only then, and
/// no level may be forgotten before it would be full again for each of them.
#[derive(Debug)]
pub(super) struct Slowest {
    address: Limit,
    failures: Limit,
    principals: Limit,
    tools: HashMap<Id, Limit>,
}

impl Slowest {
    pub(super) fn of(config: &LimiterConfig) -> Self {
        let roles = config.roles.values().copied().map(Limit::new);
        let tools = config.tools.iter().filter_map(|(name, rule)| Some((name, rule.rate?)));
        Self {
            address: Limit::new(config.address),
            failures: Limit::new(config.failures),
            principals: roles.fold(Limit::new(config.fallback), Limit::slower),
            tools: tools.map(|(name, rate)| (Id::of_name(name), Limit::new(rate))).collect(),
        }
    }

    /// When a level is full again at the latest; `None` for a tool that has no limit any more.
    pub(super) fn end_of(&self, (scope, id): (Scope, &Id), spent: u64, at: Timestamp) -> Option<Timestamp> {
        Some(end_of(self.limit(scope, id)?, spent, at))
    }

    fn limit(&self, scope: Scope, id: &Id) -> Option<Limit> {
        match scope {
            Scope::Address => Some(self.address),
            Scope::Failures => Some(self.failures),
            Scope::User | Scope::Key => Some(self.principals),
            Scope::Tool => self.tools.get(id).copied(),
        }
    }
}

fn end_of(limit: Limit, spent: u64, at: Timestamp) -> Timestamp {
    at.plus(span(backlog(limit, spent, Duration::ZERO)))
}

/// A level from before the start whose owner has not come back yet.
#[derive(Debug, Clone, Copy)]
struct Spent {
    calls: u64,
    /// How old it was when the limiter began.
    age: Duration,
    /// When it will be full again at the latest, by the clock that never jumps.
    until: Moment,
}

/// Every such level, as of the moment 0.
#[derive(Debug, Default)]
pub(super) struct Restored(HashMap<(Scope, Id), Spent>);

impl Restored {
    /// What of `saved` is not full by now under the limits of now; also the levels that must be kept longer than
    /// was thought when they were saved, because limits have become slower.
    ///
    /// A level counts in calls, and time since it was saved by the limits of now, whatever the limits were
    /// then. A clock that went back makes it no younger than it was when it was saved.
    pub(super) fn read(saved: Vec<Level>, slowest: &Slowest, now: Timestamp) -> (Self, Vec<Level>) {
        let (mut restored, mut prolonged) = (HashMap::new(), Vec::new());
        for level in saved {
            let (scope, id) =
                (Scope::ALL.into_iter().find(|scope| scope.as_str() == level.scope), Id(level.id));
            let Some((scope, limit)) = scope.and_then(|scope| Some((scope, slowest.limit(scope, &id)?)))
            else {
                continue;
            };
            let age = Duration::from_micros(now.micros().saturating_sub(level.at.micros()));
            let until = Moment(backlog(limit, level.spent, age));
            if until == Moment::default() {
                continue;
            }
            restored.insert((scope, id), Spent { calls: level.spent, age, until });
            let end = end_of(limit, level.spent, level.at.min(now));
            if end > level.until {
                prolonged.push(Level { until: end, ..level });
            }
        }
        (Self(restored), prolonged)
    }

    /// When the bucket of this identity, which has that limit now, is full again.
    pub(super) fn find(&self, scope: Scope, id: Id, limit: Limit) -> Moment {
        let level = self.0.get(&(scope, id));
        level.map_or(Moment::default(), |level| Moment(backlog(limit, level.calls, level.age)))
    }

    /// The same, for the last time.
    pub(super) fn take(&mut self, scope: Scope, id: Id, limit: Limit) -> Moment {
        let full_again = self.find(scope, id, limit);
        self.0.remove(&(scope, id));
        full_again
    }

    /// Drops what is full by now whoever comes back.
    pub(super) fn forget(&mut self, now: Moment) {
        self.0.retain(|_, level| level.until > now);
        if self.0.is_empty() {
            self.0.shrink_to_fit();
        }
    }
}
