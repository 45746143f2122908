//! When to stop asking a service that keeps failing. Pure: time comes in.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
pub(super) const FAILURES: u32 = 5;
/// How long it stays open before one question may try again.
pub(super) const REST: Duration = Duration::from_secs(30);

/// Closed: everybody may ask. Open: nobody, except one probe every [`REST`].
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    probe_at_earliest: Option<Instant>,
}

impl Breaker {
    /// Lets a question through at `now`, or says how long to wait.
    ///
    /// Letting a probe through starts the next rest at once, so a probe that never reports back
    /// (its task died) holds nobody up for longer than one rest.
    ///
    /// # Errors
    /// The wait, above zero, while it is open.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.probe_at_earliest {
            Some(probe_at) if now < probe_at => Err(probe_at.duration_since(now)),
            Some(_) => {
                self.probe_at_earliest = Some(now + REST);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes how a question ended that was let through; gives whether that opened or closed it.
    pub(super) fn record(&mut self, answered: bool, now: Instant) -> bool {
        let was_open = self.probe_at_earliest.is_some();
        if answered {
            *self = Self::default();
        } else {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= FAILURES {
                self.probe_at_earliest = Some(now + REST);
            }
        }
        was_open != self.probe_at_earliest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A breaker that `FAILURES` questions at `now` have opened.
    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for left in (0..FAILURES).rev() {
            assert_eq!(breaker.admit(now), Ok(()));
            assert_eq!(breaker.record(false, now), left == 0);
        }
        breaker
    }

    #[test]
    fn the_fifth_failure_in_a_row_opens_it_and_an_answer_starts_the_count_again() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            breaker.record(false, now);
        }
        assert_eq!(breaker.admit(now), Ok(()));
        breaker.record(true, now);
        for _ in 1..FAILURES {
            breaker.record(false, now);
        }
        assert_eq!(breaker.admit(now), Ok(()));
        breaker.record(false, now);
        assert_eq!(breaker.admit(now), Err(REST));
    }

    #[test]
    fn after_its_rest_one_probe_passes_and_its_answer_closes_it() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(start + REST - Duration::from_millis(1)), Err(Duration::from_millis(1)));
        let later = start + REST;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Err(REST));
        assert!(breaker.record(true, later));
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Ok(()));
    }

    #[test]
    fn a_failed_probe_opens_it_for_another_rest() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let later = start + REST;
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(!breaker.record(false, later));
        assert_eq!(breaker.admit(later), Err(REST));
    }

    #[test]
    fn a_probe_that_never_reports_is_followed_by_another() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(start + REST), Ok(()));
        assert_eq!(breaker.admit(start + REST * 2), Ok(()));
    }
}
