//! How old a copy of the store is: what may be relied on, and for how long.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::feed::Upto;

/// How far a copy has followed the feed, and when it last was at its end.
#[derive(Debug)]
pub(super) struct Freshness {
    born: Instant,
    fresh_ms: AtomicU64,
    applied: AtomicU64,
}

impl Freshness {
    /// Complete as of row `from`, now.
    pub(super) fn new(from: u64) -> Self {
        Self { born: Instant::now(), fresh_ms: AtomicU64::new(0), applied: AtomicU64::new(from) }
    }

    /// Everything up to there is applied. What counts is when the feed was read, not when that was applied: a
    /// slow actor must not pass for a fresh one.
    pub(super) fn mark(&self, upto: Upto) {
        self.applied.fetch_max(upto.row, Ordering::AcqRel);
        let age = upto.at.saturating_duration_since(self.born).as_millis();
        self.fresh_ms.fetch_max(u64::try_from(age).unwrap_or(u64::MAX), Ordering::AcqRel);
    }

    /// The row of the feed up to which the copy is complete.
    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// How long ago everything was known, at `now`.
    pub(super) fn staleness(&self, now: Instant) -> Duration {
        let age = now.saturating_duration_since(self.born);
        age.saturating_sub(Duration::from_millis(self.fresh_ms.load(Ordering::Acquire)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_grows_old_until_it_is_marked_and_never_goes_back() {
        let (fresh, born) = (Freshness::new(7), Instant::now());
        let after = |secs| born + Duration::from_secs(secs);
        assert!(fresh.staleness(after(3)) >= Duration::from_secs(3));
        fresh.mark(Upto { row: 5, at: after(1) });
        assert_eq!(fresh.applied(), 7);
        fresh.mark(Upto { row: 9, at: after(2) });
        assert_eq!(fresh.applied(), 9);
        let age = fresh.staleness(after(60)).as_secs();
        assert_eq!(age, 58, "however late it was applied");
        fresh.mark(Upto { row: 9, at: after(1) });
        assert_eq!(fresh.staleness(after(60)).as_secs(), 58, "an older look makes nothing older");
    }
}
