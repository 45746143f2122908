//! Every session of this process, by its id, and how many each caller has. Pure.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{
    SessionRules,
    error::SessionError,
    id::SessionId,
    session::{Opening, Session},
};
use crate::domain::{Change, Subject};

/// The sessions. It outlives the actor, its only writer.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_id: HashMap<SessionId, Arc<Session>>,
    by_owner: HashMap<Subject, u32>,
}

impl Table {
    /// Opens one.
    ///
    /// # Errors
    /// [`SessionError`]: its owner has as many as one may have, or there are as many as there may be.
    pub(super) fn open(
        &mut self,
        opening: Opening,
        rules: &SessionRules,
        now: Instant,
    ) -> Result<Arc<Session>, SessionError> {
        let own = |table: &Self| table.by_owner.get(&opening.owner).copied().unwrap_or_default();
        let is_full = |table: &Self| table.by_id.len() >= rules.max as usize;
        if is_full(self) || own(self) >= rules.per_principal {
            // Those that have ended by now take nobody's place.
            self.sweep(rules, now);
        }
        if own(self) >= rules.per_principal {
            return Err(SessionError::OfOne(rules.per_principal));
        }
        if is_full(self) {
            return Err(SessionError::OfAll);
        }
        let id = SessionId::random().ok_or(SessionError::Random)?;
        *self.by_owner.entry(opening.owner.clone()).or_default() += 1;
        let session = Arc::new(Session::new(id, opening, rules, now));
        self.by_id.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// The session of that name that `owner` has, if it has not ended; it is used then. Whose it is not, for them it
    /// is not there.
    pub(super) fn find(
        &self,
        id: &SessionId,
        owner: &Subject,
        (rules, now): (&SessionRules, Instant),
    ) -> Option<Arc<Session>> {
        let session = self.by_id.get(id).filter(|session| session.owner() == owner)?;
        if session.is_over(rules, now) {
            return None;
        }
        session.touch(now);
        Some(Arc::clone(session))
    }

    /// Ends one.
    pub(super) fn end(&mut self, id: &SessionId) {
        let Some(session) = self.by_id.remove(id) else { return };
        session.end();
        if let Some(own) = self.by_owner.get_mut(session.owner()) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_owner.remove(session.owner());
            }
        }
    }

    /// Looks after the streams of all; gives those that are over by now. Nobody has to wait for this.
    pub(super) fn over(&self, rules: &SessionRules, now: Instant) -> Vec<SessionId> {
        self.by_id.values().for_each(|session| session.tend(now));
        let over = self.by_id.iter().filter(|(_, session)| session.is_over(rules, now));
        over.map(|(id, _)| *id).collect()
    }

    /// Ends those that are over by now.
    pub(super) fn sweep(&mut self, rules: &SessionRules, now: Instant) {
        self.over(rules, now).iter().for_each(|id| self.end(id));
    }

    /// Has every session keep that `changes` are to be told.
    pub(super) fn hear(&self, changes: Option<&[Change]>) {
        self.by_id.values().for_each(|session| session.hear(changes));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nothing is left of anybody.
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        self.by_id.is_empty() && self.by_owner.is_empty()
    }
}
