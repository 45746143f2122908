//! Slices of limits that several servers share: what a server has taken out of a bucket, to give away by itself.

use std::time::Duration;

use uuid::Uuid;

use super::StoreFuture;

/// How long a slice is its server's, from the last time that it was asked of. What a server does not report on
/// for so long counts as given away.
pub const LEASED_FOR: Duration = Duration::from_secs(10);

/// What a server says of its slice of one bucket, and what it wants of it. Calls are whole.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaseAsk {
    /// What kind of bucket, a word of the limiter's.
    pub scope: &'static str,
    /// Whose, as of [`Level`](super::Level).
    pub id: [u8; 16],
    /// Whose slice.
    pub holder: Uuid,
    /// Most calls at once.
    pub capacity: u32,
    /// Calls that come back in a second.
    pub per_second: f64,
    /// Calls of the slice that were given away since it was last said.
    pub used: u32,
    /// Calls of the slice that are given back.
    pub returned: u32,
    /// Calls without which nothing is wanted.
    pub needed: u32,
    /// Calls that would be welcome, at least as many.
    pub wanted: u32,
}

/// What was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Calls: none, or at least as many as were needed.
    pub calls: u32,
    /// Calls that are left in the bucket.
    pub left: u32,
    /// If none: until there are as many as are needed, if nobody else takes them.
    pub wait: Duration,
}

/// The buckets that servers share. All that servers hold and all that is left in a bucket never is more than it may
/// hold: a bucket fills only as far as that allows.
pub trait Leases: Send + Sync {
    /// Reports on slices and asks for more. Answers in the order of the questions.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): what was reported may or may not be known.
    fn lease(&self, asks: Vec<LeaseAsk>) -> StoreFuture<'_, Vec<Granted>>;

    /// Says that `holder` is there; gives how many are.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn beat(&self, holder: Uuid) -> StoreFuture<'_, u32>;
}
