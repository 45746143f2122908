//! One number that says whether anything about credentials has changed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A number that moves whenever a credential was revoked, an account changed or a key was taken back.
///
/// Whoever owns such a table writes it first and then [advances](Self::advance) the epoch; a worker that has
/// checked a credential as of [`now`](Self::now) need not check it again until the number differs. Clones
/// share the number.
#[derive(Debug, Clone)]
pub struct Epoch(Arc<AtomicU64>);

impl Default for Epoch {
    fn default() -> Self {
        // Not 0, so that an entry which was never checked can say so.
        Self(Arc::new(AtomicU64::new(1)))
    }
}

impl Epoch {
    /// The number as it stands: read it before the check whose outcome is to be kept.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Says that something has changed; call it after the change is there to be read.
    pub fn advance(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}
