//! What both crates of behaviour tests share: whole servers, raw clients, tokens, tools, records.

pub(crate) mod app;
pub(crate) mod auth;
pub(crate) mod events;
pub(crate) mod http;
pub(crate) mod judge;
pub(crate) mod keys;
pub(crate) mod legacy;
pub(crate) mod lines;
pub(crate) mod methods;
pub(crate) mod output;
pub(crate) mod rpc;
pub(crate) mod schemas;
pub(crate) mod session;
pub(crate) mod signing;
pub(crate) mod tasks;
pub(crate) mod tokens;
pub(crate) mod tools;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Longest wait for something that must happen "at once".
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Waits until `holds`, which must be within `most`; says how long it took.
pub(crate) fn until(what: &str, most: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < most, "{what}: not within {most:?}");
        pause(Duration::from_millis(4));
    }
    started.elapsed()
}

/// Lets `wait` pass: for what can only be looked at again.
pub(crate) fn pause(wait: Duration) {
    let ends = Instant::now() + wait;
    while let Some(left) = ends.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// Tells other threads of a test to end, whatever becomes of this one: else a failure waits for them for ever.
pub(crate) struct Stops<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs `work` to its end on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
