//! Failed operations of the store, counted by whoever asked.

use prometheus_client::metrics::{counter::Counter, family::Family};

/// A count of failures for each operation. Clones share it: it is made with the store, before the metrics
/// that show it.
#[derive(Debug, Clone, Default)]
pub struct StoreFailures(Family<[(&'static str, &'static str); 1], Counter>);

impl StoreFailures {
    /// The operation `op` failed.
    pub fn count(&self, op: &'static str) {
        self.0.get_or_create(&[("op", op)]).inc();
    }

    /// Counts `result` if it is a failure of the operation `op`, and gives it back.
    ///
    /// # Errors
    /// Those of `result`.
    pub fn note<T, E>(&self, op: &'static str, result: Result<T, E>) -> Result<T, E> {
        result.inspect_err(|_| self.count(op))
    }

    /// The series themselves.
    pub(super) fn family(&self) -> Family<[(&'static str, &'static str); 1], Counter> {
        self.0.clone()
    }
}
