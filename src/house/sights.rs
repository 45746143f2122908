//! Credentials that this process has seen: the first sight of each is on record, whichever path it was shown on.

use std::collections::HashSet;

use parking_lot::Mutex;

use super::Worker;
use crate::{
    actors::audit::AuditError,
    domain::{EventCode, Principal},
    edge::Record,
};

/// Most credentials of which the house remembers that it has seen them; then it starts anew.
const MAX_SIGHTS: usize = 65_536;

/// Credentials that this process has seen, by id: the first sight of each is recorded once, whichever
/// worker has it. Forgetting one only means that it is recorded again.
#[derive(Debug, Default)]
pub struct Sights(Mutex<HashSet<Box<str>>>);

impl Sights {
    /// Whether this is the first sight of `credential`.
    fn is_first(&self, credential: &str) -> bool {
        let mut seen = self.0.lock();
        if seen.contains(credential) {
            return false;
        }
        if seen.len() >= MAX_SIGHTS {
            seen.clear();
        }
        seen.insert(credential.into())
    }
}

impl Worker {
    /// Records, if this process sees the credential of `principal` for the first time, that it holds, and what
    /// of it means nothing here. `request` is the record of the request that shows it, which says who that is.
    ///
    /// # Errors
    /// [`AuditError`]: it cannot be recorded, and counts as not seen.
    pub fn first_sight(
        &self,
        request: &Record,
        principal: &Principal,
        unknown: &[Box<str>],
    ) -> Result<(), AuditError> {
        let slot = self.lane.reserve()?;
        if !self.house.sights.is_first(&principal.credential) {
            return Ok(());
        }
        let mut event = request.beside(EventCode::AuthSucceeded);
        if !unknown.is_empty() {
            tracing::warn!(
                principal.id = %principal.id,
                unknown = ?unknown,
                "a token carries roles or permissions that do not exist here; they grant nothing"
            );
            let detail = serde_json::json!({ "unknown_grants": unknown });
            event.detail = Some(detail.to_string().into());
        }
        // In the same lane as the request's own record, before it: durable once that one is.
        drop(slot.write(event));
        Ok(())
    }
}
