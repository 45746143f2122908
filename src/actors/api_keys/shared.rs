//! State that outlives the actor: the table, and the batch of uses on its way to the store.

use parking_lot::Mutex;
use uuid::Uuid;

use super::table::Table;
use crate::{
    actors::freshness::Freshness,
    store::{StoreError, Stores, UseBatch},
};

/// What outlives the actor.
pub(super) struct Shared {
    pub(super) table: Table,
    pub(super) fresh: Freshness,
    pub(super) stores: Stores,
    outbox: Mutex<Outbox>,
}

/// The batch that was taken from the counts and is not known to be in the store yet.
struct Outbox {
    writer: Uuid,
    last: u64,
    batch: Option<UseBatch>,
}

impl Shared {
    /// Nothing is in use yet, as of row `from` of the feed.
    pub(super) fn new(table: Table, stores: Stores, from: u64) -> Self {
        let outbox = Mutex::new(Outbox { writer: Uuid::now_v7(), last: 0, batch: None });
        Self { table, fresh: Freshness::new(from), stores, outbox }
    }

    /// Carries what was counted to the store: first what failed to arrive the last time, under its old
    /// number, so that nothing counts twice.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is lost, the next flush tries again.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let waits = self.outbox.lock().batch.is_some();
        for _ in 0..=usize::from(waits) {
            let Some(batch) = self.next() else { break };
            let added = self.stores.keys.add_uses(&batch).await;
            self.stores.failures.note("keys.add_uses", added)?;
            self.arrived(&batch);
        }
        Ok(())
    }

    /// The batch to send: the one that waits, or a new one of what was counted since.
    fn next(&self) -> Option<UseBatch> {
        let mut outbox = self.outbox.lock();
        if outbox.batch.is_none() {
            let uses = self.table.collect();
            if uses.is_empty() {
                return None;
            }
            outbox.last += 1;
            outbox.batch = Some(UseBatch { writer: outbox.writer, number: outbox.last, uses });
        }
        outbox.batch.clone()
    }

    fn arrived(&self, batch: &UseBatch) {
        let mut outbox = self.outbox.lock();
        if outbox.batch.as_ref().is_some_and(|waiting| waiting.number == batch.number) {
            outbox.batch = None;
        }
    }
}
