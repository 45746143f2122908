//! What can happen to a store that several servers share, and is not in their hands: that it is emptied or replaced, that
//! a node of it is lost with what it had not handed on, that it is run carelessly.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Revocation, StoreFuture};
use crate::telemetry::StoreFailures;

/// Counts what was taken back without any replica having confirmed it, although there are some. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Unconfirmed {
    so_far: Arc<AtomicU64>,
    failures: StoreFailures,
}

impl Unconfirmed {
    /// None yet; each is shown among the `failures` too.
    pub(super) fn new(failures: StoreFailures) -> Self {
        Self { so_far: Arc::default(), failures }
    }

    /// One more.
    pub(super) fn count(&self) {
        self.so_far.fetch_add(1, Ordering::AcqRel);
        self.failures.count("replication");
    }

    /// How many there were since the store was opened.
    pub fn so_far(&self) -> u64 {
        self.so_far.load(Ordering::Acquire)
    }
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Accounts.
    pub accounts: u64,
    /// API keys.
    pub keys: u64,
    /// Refresh families.
    pub families: u64,
    /// Revocations.
    pub revocations: u64,
}

/// What moving to another store came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The identity of the store that is used now.
    pub identity: String,
    /// Revocations that it lacked and now has.
    pub revocations: u64,
    /// Shared secrets that it had others of already: what was sealed with ours is not opened by newer servers.
    pub foreign_rings: u64,
}

/// What a store that several servers share has beside the other ports.
///
/// A store that was emptied or replaced has another identity. Nobody goes over to it by himself, since revocations would
/// be gone: an operator has to write down in it which one it stands in for.
pub trait Adoption: Send + Sync {
    /// How much the store holds that was opened.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn kept(&self) -> StoreFuture<'_, Kept>;

    /// Writes down that the store which was opened stands in for the one of this identity.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn adopt<'a>(&'a self, old: &'a str) -> StoreFuture<'a, ()>;

    /// Whether the store which was opened stands in for the one of this identity.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn stands_in_for<'a>(&'a self, old: &'a str) -> StoreFuture<'a, bool>;

    /// Goes over to what is in the place of the store that was opened, if that stands in for the identity `own`: adds
    /// what is `known` to be revoked and the shared secrets that were given out, and only then takes it for the store.
    /// `None` while nobody has said that it may.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): all is as before, and asking again is safe.
    fn go_over<'a>(&'a self, own: &'a str, known: &'a [Revocation]) -> StoreFuture<'a, Option<Moved>>;

    /// What an operator should know of how the store is run: each a sentence.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn survey(&self) -> StoreFuture<'_, Vec<String>>;
}
