//! The port of the fleet's audit log: copies of what each server has recorded, where all of them can read it.
//!
//! Each chain has a stream of its own, in which a row has the number of its record: the same record cannot be there
//! twice. A copy proves nothing that its text does not prove; the truth is in the files of the server that wrote it.

use super::StoreFuture;
use crate::domain::Timestamp;

/// The fleet's audit log.
pub trait FleetLog: Send + Sync {
    /// The end of what is there of `chain`; if there is something, makes it known that `node` writes it.
    fn begin(&self, node: &str, chain: &str) -> StoreFuture<'_, FleetEnd>;

    /// Adds rows, all or none of them.
    fn append(&self, batch: FleetBatch) -> StoreFuture<'_, FleetAppended>;

    /// Forgets all that is there of `chain`: it is not what its writer wrote.
    fn forget(&self, chain: &str) -> StoreFuture<'_, ()>;

    /// Forgets rows of every chain that are of a time before `before`, and chains of which nothing is left; says how
    /// many rows.
    fn forget_before(&self, before: Timestamp) -> StoreFuture<'_, u64>;

    /// Every chain of which something is or was there.
    fn chains(&self) -> StoreFuture<'_, Vec<FleetChain>>;

    /// At most `most` rows of `chain` behind the one with the id `after` (from the first one if `None`), oldest first.
    fn rows(&self, chain: &str, after: Option<&str>, most: usize) -> StoreFuture<'_, Vec<FleetRow>>;

    /// The last `most` rows of `chain`, oldest first.
    fn newest(&self, chain: &str, most: usize) -> StoreFuture<'_, Vec<FleetRow>>;

    /// Puts down what `node` counts, field by field; `anew` in the place of all that it told before. False if nothing was
    /// there of before: then all of it has to be told.
    fn tell_counts(&self, node: &str, counts: Vec<(String, String)>, anew: bool) -> StoreFuture<'_, bool>;

    /// What the nodes but `node` count that have told something since `since`: of each these fields, as far as it has
    /// told them.
    fn counts_but(
        &self,
        node: &str,
        since: Timestamp,
        fields: Vec<String>,
    ) -> StoreFuture<'_, Vec<FleetCounts>>;
}

/// How a chain ends there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetEnd {
    /// Number of the last record that ever was there, 0 if none was.
    pub seq: u64,
    /// That record's line, if it is there still.
    pub line: Option<Vec<u8>>,
}

/// Rows to add.
#[derive(Debug, Clone)]
pub struct FleetBatch {
    /// Who writes the chain.
    pub node: String,
    /// The chain that they are of.
    pub chain: String,
    /// Number of the record that must be the last one before.
    pub after: u64,
    /// Number, time and line of each, oldest first.
    pub rows: Vec<(u64, Timestamp, Vec<u8>)>,
    /// Most rows of the chain that stay, the newest ones.
    pub most: u64,
    /// How long the chain stays if nothing is added to it any more.
    pub kept: std::time::Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FleetAppended {
    /// They are there; so many older ones had to go, since there are too many.
    Done {
        /// How many.
        dropped: u64,
    },
    /// Nothing was added: the chain does not end there with that record.
    Elsewhere,
}

/// One chain and its writer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FleetChain {
    /// The id of the server's data directory.
    pub node: String,
    /// The writer's id, the same in every record of the chain.
    pub chain: String,
}

/// One row as it stands there, whoever put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetRow {
    /// Its id.
    pub id: String,
    /// The record's number by the id; `None` if no server of ours gives such ids.
    pub seq: Option<u64>,
    /// What should be the record's line; empty if there is none.
    pub line: Vec<u8>,
}

/// What one node counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetCounts {
    /// The id of its data directory.
    pub node: String,
    /// The fields that were asked for, in that order.
    pub texts: Vec<Option<String>>,
}
