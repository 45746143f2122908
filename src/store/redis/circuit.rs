//! When a Redis that does not answer is asked again: pure bookkeeping.
//!
//! After a few failures in a row nobody asks any more, but for one at a time, ever more rarely; the first answer lets
//! everybody in again. Pauses are spread, so that many servers do not come back at the same moment.

use std::time::{Duration, Instant};

/// So many failures in a row are not chance.
const TOLERATED: u32 = 3;
/// The first pause at its longest; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: with a store that is back, everything is well again long before 5 s are over.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Whether questions are put.
#[derive(Debug, Default)]
pub(super) struct Circuit(State);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// They are; so many failed since the last answer.
    Closed { failed: u32 },
    /// They are not before that moment; so many tries have failed.
    Open { tries: u32, until: Instant },
    /// One is on its way, after so many tries.
    Trying { tries: u32 },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failed: 0 }
    }
}

/// Leave to put one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// One of many.
    Plain,
    /// The one that finds out whether there are answers again.
    Trial,
}

/// What has become of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// From now on nobody asks.
    Opened,
    /// One more try was in vain.
    StillOpen,
    /// From now on everybody asks again.
    Closed,
}

impl Circuit {
    /// Whether nobody asks but one now and then.
    pub(super) fn is_shut(&self) -> bool {
        !matches!(self.0, State::Closed { .. })
    }

    /// Leave to ask at `now`; `None` if nothing would come of it.
    pub(super) fn enter(&mut self, now: Instant) -> Option<Pass> {
        match self.0 {
            State::Closed { .. } => Some(Pass::Plain),
            State::Open { tries, until } if now >= until => {
                self.0 = State::Trying { tries };
                Some(Pass::Trial)
            }
            State::Open { .. } | State::Trying { .. } => None,
        }
    }

    /// Takes in whether the question of `pass` had an answer, whatever it was. `dice` is between 0 and 1, and spreads
    /// the pauses.
    pub(super) fn leave(&mut self, pass: Pass, answered: bool, (now, dice): (Instant, f64)) -> Option<Turn> {
        match (self.0, answered, pass) {
            (State::Closed { .. }, true, _) => {
                self.0 = State::default();
                None
            }
            // An answer is an answer, also to a question from before.
            (_, true, _) => {
                self.0 = State::default();
                Some(Turn::Closed)
            }
            (State::Closed { failed }, false, _) if failed + 1 < TOLERATED => {
                self.0 = State::Closed { failed: failed + 1 };
                None
            }
            (State::Closed { .. }, false, _) => {
                self.0 = State::Open { tries: 0, until: now + pause(0, dice) };
                Some(Turn::Opened)
            }
            (State::Trying { tries }, false, Pass::Trial) => {
                let tries = tries.saturating_add(1);
                self.0 = State::Open { tries, until: now + pause(tries, dice) };
                Some(Turn::StillOpen)
            }
            // Of those that were on their way nothing new is learnt.
            (State::Open { .. } | State::Trying { .. }, false, _) => None,
        }
    }
}

/// Half of the pause after so many tries is sure, the other half is thrown for.
fn pause(tries: u32, dice: f64) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has just opened at `now`, with the longest pause.
    fn open(now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        for n in 1..=TOLERATED {
            let turn = circuit.leave(Pass::Plain, false, (now, 1.0));
            assert_eq!(turn, (n == TOLERATED).then_some(Turn::Opened), "failure {n}");
        }
        circuit
    }

    #[test]
    fn a_few_failures_in_a_row_end_all_questions_and_an_answer_between_them_does_not() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for _ in 0..10 {
            for _ in 1..TOLERATED {
                assert_eq!(circuit.leave(Pass::Plain, false, (now, 1.0)), None);
            }
            assert_eq!(circuit.leave(Pass::Plain, true, (now, 1.0)), None);
            assert_eq!(circuit.enter(now), Some(Pass::Plain));
        }
        assert_eq!(open(now).enter(now), None);
    }

    #[test]
    fn after_the_pause_one_may_try_and_nobody_beside_it() {
        let now = Instant::now();
        let mut circuit = open(now);
        assert_eq!(circuit.enter(now + FIRST_PAUSE - Duration::from_millis(1)), None);
        assert_eq!(circuit.enter(now + FIRST_PAUSE), Some(Pass::Trial));
        assert_eq!(circuit.enter(now + Duration::from_secs(60)), None);
    }

    #[test]
    fn an_answer_lets_everybody_in_again_and_counts_from_the_beginning() {
        let now = Instant::now();
        let mut circuit = open(now);
        assert_eq!(circuit.enter(now + FIRST_PAUSE), Some(Pass::Trial));
        assert_eq!(circuit.leave(Pass::Trial, true, (now, 1.0)), Some(Turn::Closed));
        assert_eq!(circuit.enter(now), Some(Pass::Plain));
        assert_eq!(circuit.leave(Pass::Plain, false, (now, 1.0)), None);
        assert_eq!(circuit.enter(now), Some(Pass::Plain));
    }

    #[test]
    fn a_late_answer_closes_it_and_a_late_failure_changes_nothing() {
        let now = Instant::now();
        let mut late = open(now);
        assert_eq!(late.leave(Pass::Plain, false, (now + LONGEST_PAUSE, 1.0)), None);
        assert_eq!(late.enter(now + FIRST_PAUSE), Some(Pass::Trial), "the pause was not made longer");
        assert_eq!(late.leave(Pass::Plain, false, (now + FIRST_PAUSE, 1.0)), None);
        assert_eq!(late.enter(now + LONGEST_PAUSE), None, "the one that tries is still on its way");
        assert_eq!(late.leave(Pass::Plain, true, (now, 1.0)), Some(Turn::Closed));
        // What then comes of the one that tried is one failure like any other.
        assert_eq!(late.leave(Pass::Trial, false, (now, 1.0)), None);
        assert_eq!(late.enter(now), Some(Pass::Plain));
    }

    #[test]
    fn pauses_double_up_to_a_second_and_are_spread_over_half_of_their_length() {
        let mut now = Instant::now();
        let mut circuit = open(now);
        for expected_ms in [100, 200, 400, 800, 1_000, 1_000] {
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(circuit.enter(now + expected - Duration::from_millis(1)), None, "{expected:?}");
            now += expected;
            assert_eq!(circuit.enter(now), Some(Pass::Trial), "{expected:?}");
            assert_eq!(circuit.leave(Pass::Trial, false, (now, 1.0)), Some(Turn::StillOpen));
        }
        assert_eq!((pause(1, 0.0), pause(1, 0.5)), (Duration::from_millis(100), Duration::from_millis(150)));
        assert_eq!(pause(u32::MAX, 2.0), LONGEST_PAUSE);
    }
}
