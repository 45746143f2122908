//! A running server goes over to the store that an operator has let take the place of the one that was lost.

use std::path::PathBuf;

use parking_lot::Mutex;
use serde_json::json;

use super::stores;
use crate::{
    actors::{
        audit::Lane,
        feed::{GoneOver, Mover},
        tokens::Tokens,
    },
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
    store::Stores,
};

/// What it takes to go over.
pub(super) struct GoOver {
    pub(super) stores: Stores,
    /// Knows what is revoked: no store that lacks any of it is gone over to.
    pub(super) tokens: Tokens,
    pub(super) lane: Lane,
    pub(super) data_dir: PathBuf,
    /// The identity of the store that is used.
    pub(super) identity: Mutex<String>,
}

impl Mover for GoOver {
    fn go_over(&self) -> GoneOver<'_> {
        Box::pin(async move {
            let Some(adoption) = &self.stores.adoption else { return Ok(()) };
            let (own, known) = (self.identity.lock().clone(), self.tokens.known_revocations());
            let Some(moved) = adoption.go_over(&own, &known).await? else { return Ok(()) };
            tracing::warn!(
                revocations = moved.revocations,
                foreign_rings = moved.foreign_rings,
                "another store takes the place of the one that was lost"
            );
            if moved.foreign_rings > 0 {
                tracing::warn!("the new store has secrets of its own already: start this server again soon");
            }
            self.keep_identity(moved.identity);
            self.record(moved.revocations);
            Ok(())
        })
    }
}

impl GoOver {
    fn keep_identity(&self, identity: String) {
        // Without it the next start asks the store, which says the same.
        if let Err(error) = stores::keep_identity(&self.data_dir, &identity) {
            tracing::error!(%error, "the identity of the new store is not kept");
        }
        *self.identity.lock() = identity;
    }

    fn record(&self, revocations: u64) {
        // Where nothing can be recorded, nothing is served either, and the log has the lines above.
        if let Ok(slot) = self.lane.reserve() {
            let mut adopted = AuditEvent::new(Timestamp::now(), EventCode::StoreAdopted, Outcome::Ok);
            adopted.detail = Some(json!({ "revocations": revocations }).to_string().into());
            drop(slot.write(adopted));
        }
    }
}
