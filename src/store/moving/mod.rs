//! Moving a store: all that it keeps, as records that are the same for every backend.
//!
//! What ends with a process or begins anew is no record: the change feed, slices of limits, numbers of batches.

mod copy;
mod mark;
mod record;
mod tally;

pub(super) use self::record::{level_id, level_of, target_id, target_of, target_parts};
pub use self::{
    copy::{Copied, CopiedKind, CopyError, Verdict, copy},
    mark::Mark,
    record::{Record, RecordKind, UsedRefresh, WholeFamily},
    tally::Tally,
};
use super::StoreFuture;
use crate::domain::Timestamp;

/// Most ids that [`Moving::list`] gives at a time.
pub const MOST_LISTED: usize = 512;
/// Bytes of records after which [`Moving::look_up`] looks no further.
pub const MOST_BYTES: usize = 1024 * 1024;

/// Some ids of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The ids, at most [`MOST_LISTED`]; there may be more even after none.
    pub ids: Vec<String>,
    /// From where to go on; `None` at the end.
    pub next: Option<String>,
}

/// Some records.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    /// Those that are there.
    pub records: Vec<Record>,
    /// How many of the ids were looked for, from the first on: at least one, if there was one.
    pub looked_for: usize,
}

/// What tells a store from every other, and whether it rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// Which store this is, by whatever name it was opened.
    pub place: String,
    /// Another text once somebody has written to it; not every write shows.
    pub version: String,
    /// Servers that say that they use it.
    pub servers: u64,
}

/// Reading and writing a store as a whole, a bounded part at a time.
pub trait Moving: Send + Sync {
    /// Ids of the records of a kind that have not ended at `now`, from `after` on, which is what
    /// [`Listing::next`] said; in an order that only the backend knows. Each comes once while nobody writes.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn list(&self, kind: RecordKind, after: Option<String>, now: Timestamp) -> StoreFuture<'_, Listing>;

    /// The records with the first of these ids.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError), also if a single record does not read.
    fn look_up(&self, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'_, Found>;

    /// Puts these records, each in the place of an earlier one of the same id; tells nobody.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing) unless the mark is `mark`. Some may be there.
    fn put_all<'a>(&'a self, mark: &'a Mark, records: Vec<Record>) -> StoreFuture<'a, ()>;

    /// Takes the records with these ids away; tells nobody.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing) unless the mark is `mark`. Some may be gone.
    fn drop_all<'a>(&'a self, mark: &'a Mark, kind: RecordKind, ids: Vec<String>) -> StoreFuture<'a, ()>;

    /// The mark of a store into which a copy is under way: it lacks revocations, so nobody may serve from it.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): it may carry one.
    fn mark(&self) -> StoreFuture<'_, Option<Mark>>;

    /// Marks the store, unless it carries the mark of a copy from another one, or not that of this run although it
    /// has begun; says which mark it had. If that had begun, so has the new one.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn mark_as<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, Option<Mark>>;

    /// Takes the mark away: the copy is whole, or was not begun.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing) unless it is `mark`.
    fn unmark<'a>(&'a self, mark: &'a Mark) -> StoreFuture<'a, ()>;

    /// What tells it from every other store, and whether it rests.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn traits(&self) -> StoreFuture<'_, Traits>;
}
