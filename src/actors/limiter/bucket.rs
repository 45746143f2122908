//! One bucket, by the generic cell rate algorithm: it is the moment at which it will be full again.
//!
//! Nothing fills a bucket in the background. Source: GCRA, ITU-T I.371. Time is counted in 1024ths of a
//! nanosecond since the limiter began, so that even a thousand million calls a second are within 0.1 % of
//! what was set, and never above it.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::{Rate, Scope};

/// Ticks of a nanosecond.
const TICKS: u128 = 1_024;
/// Parts of a call that are kept when a bucket gets another rate.
const PARTS: u128 = 1 << 20;
/// Millionths of a call: how levels are saved.
const MICROS: u128 = 1_000_000;

/// A moment, in ticks since the limiter began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment(pub(super) u128);

/// The clock that never jumps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    /// One that begins at `origin`.
    pub(super) fn from(origin: Instant) -> Self {
        Self(origin)
    }

    /// `at` as ticks.
    pub(super) fn moment(self, at: Instant) -> Moment {
        Moment(ticks(at.saturating_duration_since(self.0)))
    }
}

/// `span` in ticks.
pub(super) fn ticks(span: Duration) -> u128 {
    span.as_nanos() * TICKS
}

/// `ticks` in whole milliseconds, rounded up: whoever waits that long has waited long enough.
pub(super) fn span(ticks: u128) -> Duration {
    Duration::from_millis(u64::try_from(ticks.div_ceil(TICKS * 1_000_000)).unwrap_or(u64::MAX))
}

/// A [`Rate`] in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// Most calls at once.
    pub(super) capacity: u32,
    /// Ticks in which one call comes back, rounded up.
    interval: u64,
}

impl Limit {
    pub(super) fn new(rate: Rate) -> Self {
        // A cast from a float saturates; the settings keep it far from there.
        let interval = (1e9 * 1_024.0 / rate.refill_per_second).ceil() as u64;
        Self { capacity: rate.capacity, interval: interval.max(1) }
    }

    /// The one that gives calls back more slowly.
    pub(super) fn slower(self, other: Self) -> Self {
        if other.interval > self.interval { other } else { self }
    }

    /// Calls that come back in a second.
    pub(super) fn per_second(self) -> f64 {
        1e9 * 1_024.0 / self.interval as f64
    }

    /// What one of `servers` may give away without asking the others: one call at least.
    pub(super) fn part(self, servers: u32) -> Self {
        let servers = servers.max(1);
        Self {
            capacity: (self.capacity / servers).max(1),
            interval: self.interval.saturating_mul(servers.into()),
        }
    }

    /// Time in which so many calls come back.
    pub(super) fn of_calls(self, calls: u32) -> u128 {
        u128::from(self.interval) * u128::from(calls)
    }

    /// Time in which the empty bucket fills.
    pub(super) fn depth(self) -> u128 {
        self.of_calls(self.capacity)
    }

    /// Seconds in which the empty bucket fills, rounded up.
    pub(super) fn window_secs(self) -> u64 {
        u64::try_from(self.depth().div_ceil(TICKS * 1_000_000_000)).unwrap_or(u64::MAX)
    }
}

/// Which of the [`Limits`] holds for a bucket.
pub(super) type Class = u16;

/// Every limit there is.
#[derive(Debug)]
pub(super) struct Limits(pub(super) Box<[Limit]>);

impl Limits {
    /// The limit of `class`; one that lets hardly anything in if there is no such class.
    pub(super) fn of(&self, class: Class) -> Limit {
        self.0.get(usize::from(class)).copied().unwrap_or(Limit { capacity: 1, interval: u64::MAX })
    }
}

/// A bucket. Whoever holds it may take from it; only the limiter's actor makes and forgets one.
#[derive(Debug)]
pub(super) struct Bucket(Mutex<State>);

#[derive(Debug)]
struct State {
    full_again: Moment,
    /// The latest moment at which it was asked, whole nanoseconds.
    latest: u64,
    /// The epoch of the credentials as of which `class` holds; what is beyond 32 bits is as good as the end.
    epoch: u32,
    class: Class,
    /// Whether it was taken from since it was last saved.
    changed: bool,
}

/// What is to be taken from one bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) scope: Scope,
    pub(super) bucket: &'a Bucket,
    /// The limit that the caller has.
    pub(super) class: Class,
    /// The epoch of the credentials as of which it has it.
    pub(super) epoch: u64,
    pub(super) cost: u32,
}

/// Why nothing was taken: of the buckets that hold too little, the one that takes longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) scope: Scope,
    pub(super) limit: Limit,
    pub(super) cost: u32,
    /// Whole calls that are left.
    pub(super) remaining: u64,
    /// Until the same would be let in.
    pub(super) wait: Duration,
}

/// Takes all `claims` or none. Buckets are locked in the order of the claims, which must be the same
/// everywhere: principal, key, tool.
///
/// # Errors
/// [`Short`]: nothing was taken from any of them.
pub(super) fn take(limits: &Limits, claims: [Option<Claim<'_>>; 3], now: Moment) -> Result<(), Short> {
    let mut held = claims.map(|claim| claim.map(|claim| (claim.bucket.0.lock(), claim)));
    let mut short: Option<Short> = None;
    for (state, claim) in held.iter_mut().flatten() {
        let now = state.not_before(now);
        state.latest = u64::try_from(now.0 / TICKS).unwrap_or(u64::MAX);
        state.rate(limits, claim, now);
        if let Some(mine) = state.short(limits, claim, now)
            && short.is_none_or(|worst| mine.wait > worst.wait)
        {
            short = Some(mine);
        }
    }
    if let Some(short) = short {
        return Err(short);
    }
    for (state, claim) in held.iter_mut().flatten() {
        let now = state.not_before(now);
        state.spend(limits, claim.cost, now);
    }
    Ok(())
}

impl Bucket {
    /// A bucket of that class that will be full at `full_again`.
    pub(super) fn new(class: Class, full_again: Moment) -> Self {
        Self(Mutex::new(State { full_again, latest: 0, epoch: 0, class, changed: false }))
    }

    /// Whether one call could be taken; nothing is.
    pub(super) fn peek(&self, limits: &Limits, claim: &Claim<'_>, now: Moment) -> Result<(), Short> {
        let state = self.state();
        state.short(limits, claim, state.not_before(now)).map_or(Ok(()), Err)
    }

    /// Takes one call although there is none, since what it is for has been done; says when the next one can be
    /// taken. A bucket owes at most what it holds when it is full.
    pub(super) fn owe(&self, limits: &Limits, claim: &Claim<'_>, now: Moment) -> Option<Short> {
        let mut state = self.state();
        let now = state.not_before(now);
        let limit = limits.of(state.class);
        let backlog = state.full_again.0.saturating_sub(now.0);
        if backlog + limit.of_calls(claim.cost) <= 2 * limit.depth() {
            state.spend(limits, claim.cost, now);
        }
        state.short(limits, claim, now)
    }

    pub(super) fn is_full(&self, now: Moment) -> bool {
        self.state().full_again <= now
    }

    /// How much is missing, if it has changed since it was last asked: in millionths of a call, rounded up.
    /// `None` also if nothing is missing.
    pub(super) fn changed_level(&self, limits: &Limits, now: Moment) -> Option<u64> {
        let mut state = self.state();
        if !std::mem::take(&mut state.changed) || state.full_again <= now {
            return None;
        }
        let backlog = state.full_again.0 - now.0;
        let spent = (backlog * MICROS).div_ceil(u128::from(limits.of(state.class).interval));
        Some(u64::try_from(spent).unwrap_or(u64::MAX))
    }

    /// What was told of it was not kept.
    pub(super) fn touch(&self) {
        self.state().changed = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

/// The backlog of a bucket of which `spent` millionths were missing `elapsed` ago.
pub(super) fn backlog(limit: Limit, spent: u64, elapsed: Duration) -> u128 {
    let backlog = (u128::from(spent) * u128::from(limit.interval)).div_ceil(MICROS);
    backlog.saturating_sub(ticks(elapsed))
}

impl State {
    /// The moment that counts: requests of several threads come in another order than they began, and one
    /// that is late must not find the time gone back. Nobody asks before their time, so it is not too late.
    fn not_before(&self, now: Moment) -> Moment {
        now.max(Moment(u128::from(self.latest) * TICKS))
    }

    /// Gives the bucket the limit that its owner has now.
    ///
    /// The larger of two counts, since a principal has one bucket whatever it shows; but what was true before
    /// the credentials changed does not count any more. What was taken stays taken, call for call: a change
    /// of role forgives nothing, in either direction.
    fn rate(&mut self, limits: &Limits, claim: &Claim<'_>, now: Moment) {
        let epoch = u32::try_from(claim.epoch).unwrap_or(u32::MAX);
        if claim.class != self.class {
            let (old, new) = (limits.of(self.class), limits.of(claim.class));
            if epoch > self.epoch || (epoch == self.epoch && new.capacity > old.capacity) {
                let backlog = self.full_again.0.saturating_sub(now.0);
                let calls = (backlog * PARTS).div_ceil(u128::from(old.interval));
                let backlog = (calls * u128::from(new.interval)).div_ceil(PARTS);
                self.full_again = Moment(now.0.saturating_add(backlog));
                self.class = claim.class;
            }
        }
        self.epoch = self.epoch.max(epoch);
    }

    fn short(&self, limits: &Limits, claim: &Claim<'_>, now: Moment) -> Option<Short> {
        let limit = limits.of(self.class);
        let backlog = self.full_again.0.saturating_sub(now.0);
        let over = (backlog + limit.of_calls(claim.cost)).saturating_sub(limit.depth());
        if over == 0 {
            return None;
        }
        let left = limit.depth().saturating_sub(backlog) / u128::from(limit.interval);
        Some(Short {
            scope: claim.scope,
            limit,
            cost: claim.cost,
            remaining: u64::try_from(left).unwrap_or(u64::MAX),
            wait: span(over),
        })
    }

    fn spend(&mut self, limits: &Limits, cost: u32, now: Moment) {
        let from = self.full_again.max(now);
        self.full_again = Moment(from.0.saturating_add(limits.of(self.class).of_calls(cost)));
        self.changed = true;
    }
}
