//! Credentials that this process has seen: the first sight of each is on record, whichever path it was shown on.

use std::collections::HashSet;

use parking_lot::Mutex;

use super::Worker;
use crate::{
    actors::audit::{AuditError, Slot},
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
    /// Whether `credential` has been seen.
    fn knows(&self, credential: &str) -> bool {
        self.0.lock().contains(credential)
    }

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
        // Looked at before a place is taken: a known credential must not depend on there being one.
        if !self.house.sights.knows(&principal.credential) {
            self.first_sight_in(self.lane.reserve()?, request, principal, unknown);
        }
        Ok(())
    }

    /// [`Worker::first_sight`] where the place was taken beforehand, since what is done with the credential
    /// cannot be undone; it is given back if this is not the first sight.
    pub fn first_sight_in(&self, slot: Slot, request: &Record, principal: &Principal, unknown: &[Box<str>]) {
        if !self.house.sights.is_first(&principal.credential) {
            return;
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_remembers_nothing_and_a_first_sight_is_one_once() {
        let sights = Sights::default();
        assert!(!sights.knows("a") && !sights.knows("a"));
        assert!(sights.is_first("a") && sights.knows("a") && !sights.is_first("a"));
        for n in 1..MAX_SIGHTS {
            assert!(sights.is_first(&n.to_string()));
        }
        assert!(sights.knows("a"), "as many as there may be");
        assert!(sights.is_first("b") && !sights.knows("a"), "one more, and it starts anew");
    }
}
