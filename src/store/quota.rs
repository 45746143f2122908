//! What of the limits has been used up, so that a restart is no fresh start.

use super::StoreFuture;
use crate::domain::Timestamp;

/// How much of one bucket is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// What kind of bucket, a word of the limiter's; at most 32 bytes.
    pub scope: String,
    /// Whose: a digest, so that the store does not know more names than it must.
    pub id: [u8; 16],
    /// Calls that are missing from the full bucket, in millionths.
    pub spent: u64,
    /// As of when.
    pub at: Timestamp,
    /// When it is full again at the latest, if nothing more is taken and limits stay as they are.
    pub until: Timestamp,
}

/// The levels of buckets that are not full. Losing the last second of them is borne.
pub trait Quota: Send + Sync {
    /// Keeps `levels`, each in the place of an earlier one of the same bucket, and drops those that are full
    /// again at `now`; of very many only a part, and more at the next call. All in one transaction.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): none of it is known to be kept.
    fn save(&self, levels: Vec<Level>, now: Timestamp) -> StoreFuture<'_, ()>;

    /// All that are kept, in no particular order; also such as are past their end and not dropped yet: limits
    /// may have become slower since.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn levels(&self) -> StoreFuture<'_, Vec<Level>>;
}
