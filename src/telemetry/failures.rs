//! Failed operations of the store, counted by whoever asked, and whether it is asked at all.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

type ByWord = Family<[(&'static str, &'static str); 1], Counter>;

/// What goes wrong with the store. Clones share it: it is made with the store, before the metrics that show it.
#[derive(Debug, Clone, Default)]
pub struct StoreFailures {
    failed: ByWord,
    unreadable: ByWord,
    /// Ways to the store on which nobody asks.
    shut: Gauge,
    opened: Counter,
    not_asked: Counter,
}

impl StoreFailures {
    /// The operation `op` failed.
    pub fn count(&self, op: &'static str) {
        self.failed.get_or_create(&[("op", op)]).inc();
    }

    /// Counts `result` if it is a failure of the operation `op`, and gives it back.
    ///
    /// # Errors
    /// Those of `result`.
    pub fn note<T, E>(&self, op: &'static str, result: Result<T, E>) -> Result<T, E> {
        result.inspect_err(|_| self.count(op))
    }

    /// A record, `what` it should have been, did not read.
    pub fn unreadable(&self, what: &'static str) {
        self.unreadable.get_or_create(&[("record", what)]).inc();
    }

    /// The store has not answered: on one way to it questions fail at once from now on.
    pub fn circuit_opened(&self) {
        self.shut.inc();
        self.opened.inc();
    }

    /// It answers there again.
    pub fn circuit_closed(&self) {
        self.shut.dec();
    }

    /// A question was not put, since none would have had an answer.
    pub fn not_asked(&self) {
        self.not_asked.inc();
    }

    /// Whether there is a way to the store on which questions fail at once.
    pub fn is_shut(&self) -> bool {
        self.shut.get() > 0
    }

    /// Shows the series.
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("store_errors", "Store operations that failed", self.failed.clone());
        r.register("store_unreadable", "Records of the store that did not read", self.unreadable.clone());
        r.register("store_circuit_open", "Ways to the store that are given up for now", self.shut.clone());
        r.register("store_circuit_openings", "How often one was given up", self.opened.clone());
        r.register("store_not_asked", "Questions that failed at once", self.not_asked.clone());
    }
}
