//! The metrics of one request: counted when it ends, however it ends.

use std::{cell::Cell, time::Instant};

use crate::{domain::Outcome, telemetry::Metrics};

/// Counts one request when it is dropped: as cancelled, unless it was told how the request has ended.
pub(super) struct Count<'a> {
    metrics: &'a Metrics,
    started: Instant,
    label: Cell<&'static str>,
    outcome: Cell<Outcome>,
}

impl<'a> Count<'a> {
    /// Begins with a request of which nothing is known yet.
    pub(super) fn begin(metrics: &'a Metrics, started: Instant) -> Self {
        Self { metrics, started, label: Cell::new("none"), outcome: Cell::new(Outcome::Cancelled) }
    }

    /// What metrics call the method that it asks for.
    pub(super) fn label(&self, label: &'static str) {
        self.label.set(label);
    }

    /// How it has ended, as its record says it.
    pub(super) fn ended(&self, outcome: Outcome) {
        self.outcome.set(outcome);
    }

    /// What it is counted as so far.
    pub(super) fn known_as(&self) -> &'static str {
        self.label.get()
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        let outcome = match self.outcome.get() {
            // As the record says it.
            Outcome::Cancelled if std::thread::panicking() => Outcome::Failed,
            outcome => outcome,
        };
        self.metrics.request(self.label.get(), outcome, self.started.elapsed());
    }
}
