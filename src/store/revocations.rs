//! Credentials that were taken back before their end.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::StoreFuture;
use crate::domain::Timestamp;

/// What a revocation is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationTarget {
    /// One credential, by its `jti`, whenever it was issued.
    Jti(String),
    /// Everything issued to this subject up to and including the revocation's `at`.
    Subject(String),
    /// Everything issued to this client up to and including the revocation's `at`.
    Client(String),
}

/// One credential, or all of a subject or a client, taken back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revocation {
    /// What is taken back.
    pub target: RevocationTarget,
    /// When; later credentials of the same subject or client are good.
    pub at: Timestamp,
    /// First moment at which the entry is no longer needed, since all that it covers has expired.
    pub until: Timestamp,
}

impl Revocation {
    /// Takes in another revocation of the same target: the later `at` and the later `until` stay.
    pub fn widen(&mut self, other: &Self) {
        self.at = self.at.max(other.at);
        self.until = self.until.max(other.until);
    }

    /// Whether `other`, of the same target, adds nothing to it.
    pub fn covers(&self, other: &Self) -> bool {
        // One credential is taken back whenever it was issued.
        let is_early = matches!(self.target, RevocationTarget::Jti(_)) || other.at <= self.at;
        is_early && other.until <= self.until
    }

    /// Whether it still matters at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.until > now
    }
}

/// The list of what was taken back. It must survive a loss of power: a revocation that was answered holds.
pub trait Revocations: Send + Sync {
    /// Adds `revocation`, [widening](Revocation::widen) one of the same target, and tells the feed.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): it is not known to be kept, so it must not be reported as done.
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> StoreFuture<'a, ()>;

    /// Adds those of `known` that are not there, or narrower, and tells the feed; says how many that were. For a store
    /// that has lost some: families that were founded since stay.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError); some may be there already.
    fn restore<'a>(&'a self, known: &'a [Revocation]) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            let kept = self.live(Timestamp::from_micros(0)).await?;
            let kept: HashMap<_, _> = kept.iter().map(|one| (&one.target, one)).collect();
            let mut added = 0;
            for one in known.iter().filter(|one| !kept.get(&one.target).is_some_and(|kept| kept.covers(one)))
            {
                self.revoke(one).await?;
                added += 1;
            }
            Ok(added)
        })
    }

    /// All that matter at `now`, in no particular order.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError), also if a single record does not read: a list with a hole
    /// would let a revoked credential in.
    fn live(&self, now: Timestamp) -> StoreFuture<'_, Vec<Revocation>>;

    /// Drops those that no longer matter at `now` and says how many; in small steps, so that other
    /// writers get their turn.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError); some may be gone already.
    fn forget_ended(&self, now: Timestamp) -> StoreFuture<'_, u64>;
}
