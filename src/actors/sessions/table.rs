//! Every session of this process, by its id, and how many each caller has. Pure.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{
    SessionRules,
    error::SessionError,
    id::SessionId,
    session::{Opening, Session},
};
use crate::{
    domain::{Change, Subject, Timestamp},
    store::{SessionDigest, SessionRow, SessionUse},
};

/// The sessions. It outlives the actor, its only writer.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_id: HashMap<SessionId, Arc<Session>>,
    by_owner: HashMap<Subject, u32>,
    /// Those that servers share, by what the store knows them by.
    by_digest: HashMap<SessionDigest, SessionId>,
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

    /// Knows one that servers share, if it does not yet. Its owner has room for it everywhere.
    ///
    /// # Errors
    /// [`SessionError`]: there are as many here as there may be.
    pub(super) fn adopt(
        &mut self,
        (id, row): (SessionId, SessionRow),
        rules: &SessionRules,
        now: Instant,
    ) -> Result<Arc<Session>, SessionError> {
        match self.by_id.get(&id) {
            // Where nobody has used it here for long, somebody has elsewhere: it goes on, and is used from now on.
            Some(known) if !known.has_ended(rules, now) => {
                known.touch(now);
                return Ok(Arc::clone(known));
            }
            Some(_) => self.end(&id),
            None => {}
        }
        if self.by_id.len() >= rules.max as usize {
            self.sweep(rules, now);
        }
        if self.by_id.len() >= rules.max as usize {
            return Err(SessionError::OfAll);
        }
        *self.by_owner.entry(row.owner.clone()).or_default() += 1;
        self.by_digest.insert(row.digest, id);
        let age = row.age(Timestamp::now());
        let session = Arc::new(Session::shared(id, (row, age), rules, now));
        self.by_id.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// The session that servers share of that digest, if it is known here.
    pub(super) fn of_digest(&self, digest: &SessionDigest) -> Option<Arc<Session>> {
        self.by_id.get(self.by_digest.get(digest)?).map(Arc::clone)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.by_id.values()
    }

    /// Those whose use the store is to be told of, and what of it is told.
    pub(super) fn used(&self, rules: &SessionRules, now: Instant) -> Vec<(Arc<Session>, u64, SessionUse)> {
        let used = |session: &Arc<Session>| {
            let (when, lives) = session.untold_use(rules, now)?;
            let (digest, owner) = (session.id().digest(), session.owner().clone());
            Some((Arc::clone(session), when, SessionUse { digest, owner, lives }))
        };
        self.by_id.values().filter_map(used).collect()
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
        if session.is_shared() {
            self.by_digest.remove(&id.digest());
        }
        if let Some(own) = self.by_owner.get_mut(session.owner()) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_owner.remove(session.owner());
            }
        }
    }

    /// Looks after what is under way in all; gives those that are over by now. Nobody has to wait for this.
    pub(super) fn over(&self, rules: &SessionRules, now: Instant) -> Vec<Arc<Session>> {
        self.by_id.values().for_each(|session| session.tend(now));
        self.by_id.values().filter(|session| session.is_over(rules, now)).map(Arc::clone).collect()
    }

    /// Ends those that are over by now.
    pub(super) fn sweep(&mut self, rules: &SessionRules, now: Instant) {
        self.over(rules, now).iter().for_each(|session| self.end(session.id()));
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
        self.by_id.is_empty() && self.by_owner.is_empty() && self.by_digest.is_empty()
    }
}
