//! The one way to put a question: bounded in time, and not at all while nothing answers.

use std::time::{Duration, Instant};

use deadpool_redis::redis::FromRedisValue;
use parking_lot::Mutex;

use super::{
    circuit::{Circuit, Pass, Turn},
    link::{Link, Question, Unanswered},
};
use crate::{store::StoreError, telemetry::StoreFailures};

/// Connections, and whether they are of any use.
pub(super) struct Guarded {
    link: Link,
    circuit: Mutex<Circuit>,
    /// When that was shut last.
    opened: Mutex<Option<Instant>>,
    within: Duration,
    failures: StoreFailures,
}

impl Guarded {
    /// Asks over `link`, for `within` at most, and tells `failures` what becomes of it.
    pub(super) fn new(link: Link, within: Duration, failures: StoreFailures) -> Self {
        Self { link, circuit: Mutex::default(), opened: Mutex::default(), within, failures }
    }

    /// Longest that one question takes.
    pub(super) fn within(&self) -> Duration {
        self.within
    }

    /// Lets go of every connection that nobody uses at the moment, and of those that are being made.
    pub(super) fn forget_connections(&self) {
        self.link.forget_connections();
    }

    /// Where is counted what fails.
    pub(super) fn failures(&self) -> &StoreFailures {
        &self.failures
    }

    /// Puts `question`, unless the last ones had no answer.
    ///
    /// # Errors
    /// [`StoreError`]; at once while nothing answers.
    pub(super) async fn ask<T: FromRedisValue>(&self, question: &Question<'_>) -> Result<T, StoreError> {
        let entered = self.circuit.lock().enter(Instant::now());
        let Some(pass) = entered else {
            self.failures.not_asked();
            return Err(StoreError::Unavailable("it has not answered lately".into()));
        };
        // Whoever is given up was not answered: else the one that tries would leave the way shut for ever.
        let mut visit = Visit { guarded: self, pass, answered: false };
        let answer = self.link.ask(question, self.within).await;
        visit.answered = answer.as_ref().err().is_none_or(Unanswered::is_answer);
        answer.map_err(Unanswered::into_error)
    }

    fn leave(&self, pass: Pass, answered: bool) {
        let now = Instant::now();
        let turn = self.circuit.lock().leave(pass, answered, (now, rand::random()));
        match turn {
            Some(Turn::Opened) => {
                tracing::warn!("the store does not answer: questions fail at once, but for one now and then");
                self.failures.circuit_opened();
                *self.opened.lock() = Some(now);
                self.link.forget_connections_before(now);
            }
            // Only the question over a connection that was made since may have come too late.
            Some(Turn::StillOpen) => {
                let opened = *self.opened.lock();
                self.link.forget_connections_before(opened.unwrap_or(now));
            }
            Some(Turn::Closed) => {
                tracing::info!("the store answers again");
                self.failures.circuit_closed();
            }
            None => {}
        }
    }
}

/// One question on its way.
struct Visit<'a> {
    guarded: &'a Guarded,
    pass: Pass,
    answered: bool,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.guarded.leave(self.pass, self.answered);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // What shows how many ways are shut must not count one that is gone.
        if self.circuit.get_mut().is_shut() {
            self.failures.circuit_closed();
        }
    }
}
