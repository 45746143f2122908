//! How old a copy of the store is: what may be relied on, and for how long.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

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

    /// Everything up to now is known: the feed was read to its end, which is `row`, and applied.
    pub(super) fn mark(&self, row: u64) {
        self.applied.fetch_max(row, Ordering::AcqRel);
        let age = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.fresh_ms.store(age, Ordering::Release);
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
        let fresh = Freshness::new(7);
        let later = Instant::now() + Duration::from_secs(3);
        assert!(fresh.staleness(later) >= Duration::from_secs(2));
        fresh.mark(5);
        assert_eq!(fresh.applied(), 7);
        fresh.mark(9);
        assert_eq!(fresh.applied(), 9);
        assert_eq!(fresh.staleness(Instant::now()).as_secs(), 0);
    }
}
