//! What a worker holds of one key: what is known of it, and the count of its uses.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::{ApiKey, Timestamp};

/// Set in the count of a handle that is not to be relied on any more.
const CLOSED: u64 = 1 << 63;

/// One valid key as it was read from the store. Shared by all workers; whatever changes about the key
/// [closes](Self::close) the handle, and the next use reads the key again.
#[derive(Debug)]
pub struct KeyHandle {
    key: ApiKey,
    /// Uses that nobody has collected, and whether the handle is closed: in one number, so that a use is
    /// either counted or refused, whenever the handle closes.
    uses: AtomicU64,
    last_used: AtomicU64,
}

impl KeyHandle {
    pub(super) fn new(key: ApiKey) -> Self {
        Self { key, uses: AtomicU64::new(0), last_used: AtomicU64::new(0) }
    }

    /// What is known of the key.
    pub fn key(&self) -> &ApiKey {
        &self.key
    }

    /// Counts one use at `now`; `false`, and nothing counted, if the handle is closed.
    #[must_use]
    pub fn count(&self, now: Timestamp) -> bool {
        self.last_used.store(now.micros(), Ordering::Relaxed);
        // Whoever collects the use must see its moment too.
        self.uses.fetch_add(1, Ordering::Release) & CLOSED == 0
    }

    /// Whether the handle may still be relied on.
    pub fn is_open(&self) -> bool {
        self.uses.load(Ordering::Acquire) & CLOSED == 0
    }

    /// Takes what was counted since the last time.
    pub(super) fn collect(&self) -> Option<(u64, Timestamp)> {
        let taken = self.uses.fetch_update(Ordering::AcqRel, Ordering::Acquire, |uses| {
            (uses != 0 && uses & CLOSED == 0).then_some(0)
        });
        taken.ok().map(|count| (count, self.last_used()))
    }

    /// Closes it for good, and takes what was counted.
    pub(super) fn close(&self) -> Option<(u64, Timestamp)> {
        let uses = self.uses.swap(CLOSED, Ordering::AcqRel);
        (uses != 0 && uses & CLOSED == 0).then(|| (uses, self.last_used()))
    }

    /// Closes it if it was not used since `since` and nothing waits to be collected.
    pub(super) fn close_if_idle(&self, since: Timestamp) -> bool {
        self.last_used() < since
            && self.uses.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn last_used(&self) -> Timestamp {
        Timestamp::from_micros(self.last_used.load(Ordering::Relaxed))
    }
}
