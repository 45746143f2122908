//! The clock that tokens are issued by: it does not run backwards when the system's clock is put back.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::domain::Timestamp;

/// Furthest that the system's clock is carried over: one further back is believed, since then it was wrong
/// before, and tokens must not go on living in a future that never comes.
pub(super) const MOST: Duration = Duration::from_secs(2 * 3_600);
/// How far one token is issued after the other meanwhile: revocation tells tokens apart by the millisecond.
const STEP: Duration = Duration::from_millis(1);

/// A moment as two clocks have it.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// By the system's clock: what has ended has ended by this one.
    pub now: Timestamp,
    /// By the clock that tokens are issued by: only what is later than this one is of the future.
    pub reached: Timestamp,
}

impl From<Timestamp> for Moment {
    fn from(now: Timestamp) -> Self {
        Self { now, reached: now }
    }
}

/// The latest moment at which this process has issued a token. The actor moves it, everybody reads it.
#[derive(Debug, Default)]
pub(super) struct Steady(AtomicU64);

impl Steady {
    /// When the token is issued that is asked for `now`: never before the one before it.
    pub(super) fn issue(&self, now: Timestamp) -> Timestamp {
        let at = if self.behind(now).is_zero() { now } else { self.at(now).reached.plus(STEP) };
        self.0.store(at.micros(), Ordering::Release);
        at
    }

    /// This moment by both clocks.
    pub(super) fn at(&self, now: Timestamp) -> Moment {
        Moment { now, reached: now.plus(self.behind(now)) }
    }

    /// How far the system's clock is behind what it was; zero as long as nobody puts it back.
    pub(super) fn behind(&self, now: Timestamp) -> Duration {
        let behind = self.0.load(Ordering::Acquire).saturating_sub(now.micros());
        Some(Duration::from_micros(behind)).filter(|behind| *behind <= MOST).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const NOON: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_clock_that_is_put_back_an_hour_puts_no_token_before_another() {
        let steady = Steady::default();
        let mut last = steady.issue(NOON);
        for minute in 0..60 {
            let next = steady.issue(NOON.minus(HOUR).plus(Duration::from_secs(60 * minute)));
            assert_eq!(next, last.plus(STEP));
            last = next;
        }
        let later = NOON.plus(Duration::from_secs(1));
        assert_eq!(steady.issue(later), later, "the clock has caught up");
        assert_eq!(steady.behind(later), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_runs_ahead_is_followed_at_once() {
        let steady = Steady::default();
        steady.issue(NOON);
        assert_eq!(steady.issue(NOON.plus(HOUR)), NOON.plus(HOUR));
        assert_eq!(steady.issue(NOON), NOON.plus(HOUR).plus(STEP));
    }

    #[test]
    fn one_that_is_put_back_further_than_two_hours_is_believed() {
        let steady = Steady::default();
        steady.issue(NOON);
        assert_eq!(steady.at(NOON.minus(MOST)).reached, NOON);
        let back = NOON.minus(MOST).minus(STEP);
        assert_eq!(steady.at(back).reached, back);
        assert_eq!(steady.issue(back), back);
    }
}
