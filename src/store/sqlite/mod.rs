//! The embedded backend: one SQLite file in WAL mode, one thread that writes, one that reads.

mod columns;
mod connection;
mod families;
mod fault;
mod feed;
mod key_rows;
mod keys;
mod migrations;
mod moving;
mod place;
mod quota;
mod reader;
mod reports;
mod revocations;
mod rings;
mod tasks;
#[cfg(test)]
mod tests;
mod users;
mod watch;
mod whole;
mod worker;
mod writer;

use std::path::Path;

use self::{place::Place, worker::Worker};
use super::StoreError;
use crate::telemetry::StoreFailures;

/// One database file, open.
pub(super) struct Sqlite {
    place: Place,
    /// Where is counted what does not read.
    failures: StoreFailures,
    // Fields drop in this order: SQLite folds the log into the file when its last connection closes,
    // and only a connection that may write can do that.
    reader: Worker,
    writer: Worker,
}

impl Sqlite {
    /// Opens the file at `path`, making and migrating it as needed.
    ///
    /// # Errors
    /// As [`store::open`](super::open).
    pub(super) fn open(path: &str) -> Result<Self, StoreError> {
        if path.is_empty() || path == ":memory:" {
            return Err(StoreError::Config(
                "needs a path after sqlite: (memory: is the store without one)".into(),
            ));
        }
        let place = Place::prepare(Path::new(path))?;
        let writing = connection::for_writing(&place)?;
        let reading = connection::for_reading(&place)?;
        let writer = Worker::start("store-writer", place.clone(), writing, writer::write)?;
        let reader = Worker::start("store-reader", place.clone(), reading, reader::read)?;
        Ok(Self { place, failures: StoreFailures::default(), reader, writer })
    }

    /// Where is counted what fails.
    pub(super) fn failures(&self) -> StoreFailures {
        self.failures.clone()
    }
}
