//! How often it was tried, and how long the next try must wait: longer each time, never for ever. Pure.

use std::time::{Duration, Instant};

/// Tries before the first wait.
pub(super) const FREE: u32 = 5;
/// The first wait; each further one is twice as long.
pub(super) const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
pub(super) const LONGEST: Duration = Duration::from_secs(60);
/// After this long without a try all of them are forgiven.
pub(super) const FORGIVEN_AFTER: Duration = Duration::from_secs(15 * 60);

/// Tries that were let through and have not proved anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    count: u32,
    last: Instant,
}

impl Tries {
    /// None so far.
    pub(super) fn none(now: Instant) -> Self {
        Self { count: 0, last: now }
    }

    /// When the next one may come.
    pub(super) fn until(&self) -> Instant {
        self.last + wait(self.count)
    }

    /// Whether the next one must wait at all.
    pub(super) fn is_waiting(&self) -> bool {
        self.count >= FREE
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_none(&self) -> bool {
        self.count == 0
    }

    /// Whether so much time has gone by that nothing counts any more.
    pub(super) fn is_forgiven(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= FORGIVEN_AFTER
    }

    /// When the last one was, or since when there is none.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// Counts a try before its password is looked at, so that many at once count as many.
    ///
    /// # Errors
    /// How long to wait; such a try does not count.
    pub(super) fn attempt(&mut self, now: Instant) -> Result<Counted, Duration> {
        let until = self.until();
        if now < until {
            return Err(until - now);
        }
        if self.is_forgiven(now) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        let before = std::mem::replace(&mut self.last, now);
        Ok(Counted { at: now, before })
    }

    /// It is as if that try had not been.
    pub(super) fn take_back(&mut self, counted: Counted) {
        self.count = self.count.saturating_sub(1);
        if self.last == counted.at {
            self.last = counted.before;
        }
    }
}

/// One try that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    at: Instant,
    /// When the one before it was.
    before: Instant,
}

/// The wait after the try of this number.
fn wait(count: u32) -> Duration {
    match count.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(further) => FIRST.saturating_mul(1 << further.min(10)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_a_minute_and_never_beyond() {
        let mut now = Instant::now();
        let mut tries = Tries::none(now);
        let mut waits = Vec::new();
        for n in 0..15 {
            assert!(tries.attempt(now).is_ok(), "try {n}");
            waits.push((tries.until() - now).as_secs());
            now = tries.until();
        }
        assert_eq!(waits[..11], [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60]);
        assert!(waits[11..].iter().all(|wait| *wait == 60), "{waits:?}");
    }

    #[test]
    fn a_try_within_the_wait_neither_counts_nor_lengthens_it() {
        let now = Instant::now();
        let mut tries = Tries::none(now);
        assert!((0..FREE).all(|_| tries.attempt(now).is_ok()));
        assert!((0..100).all(|_| tries.attempt(now) == Err(FIRST)));
        assert!(tries.attempt(now + FIRST).is_ok());
    }

    #[test]
    fn a_quiet_quarter_of_an_hour_forgives_everything() {
        let now = Instant::now();
        let mut tries = Tries::none(now);
        assert!((0..FREE).all(|_| tries.attempt(now).is_ok()));
        let later = now + FORGIVEN_AFTER;
        assert!((0..FREE).all(|_| tries.attempt(later).is_ok()));
        assert!(tries.attempt(later).is_err());
    }

    #[test]
    fn what_is_taken_back_has_not_been_whatever_came_after_it() {
        let now = Instant::now();
        let at = |secs| now + Duration::from_secs(secs);
        let mut tries = Tries::none(now);
        let counted: Vec<_> = (1..=5).map(|n| tries.attempt(at(n)).unwrap()).collect();
        assert_eq!(tries.until(), at(6));
        tries.take_back(counted[1]);
        assert_eq!(tries.until(), at(5), "four are no reason to wait");
        tries.take_back(counted[4]);
        assert_eq!(tries.last(), at(4));
        for one in [counted[0], counted[2], counted[3]] {
            tries.take_back(one);
        }
        assert!(tries.is_none());
    }
}
