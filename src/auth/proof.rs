//! A credential that was shown at the beginning of a stream, to be looked at again while the stream is open.

use std::{sync::Arc, time::Instant};

use super::{
    api_key::KeyProof,
    caller::Caches,
    credential::Credential,
    jwt::{Against, AuthError, TokenProof},
};
use crate::domain::{Principal, Timestamp};

/// What of a credential is kept to look at it again: never itself.
#[derive(Debug)]
pub struct Proof(Kind);

#[derive(Debug)]
enum Kind {
    Token(TokenProof),
    Key(KeyProof),
}

impl Proof {
    /// Of `credential`, which this worker has just verified; `None` if it has not.
    pub fn of(credential: Credential<'_>, caches: &Caches) -> Option<Self> {
        let kind = match credential {
            Credential::Bearer(token) => Kind::Token(caches.tokens.proof(token)?),
            Credential::ApiKey(text) => Kind::Key(caches.keys.proof(text)?),
        };
        Some(Self(kind))
    }

    /// Whether it needs no more than a look at the clock: nothing about credentials has changed since `epoch`.
    pub fn holds(&self, against: Against<'_>, epoch: u64, (now, clock): (Timestamp, Instant)) -> Look {
        let is_over = match &self.0 {
            Kind::Token(token) => token.is_over(against, now),
            Kind::Key(key) => key.is_over(against, now),
        };
        if is_over || !Self::can_be_told(against, clock) {
            return Look::Over;
        }
        let is_open = match &self.0 {
            Kind::Token(_) => true,
            Kind::Key(key) => key.is_open(),
        };
        if is_open && against.epoch.now() == epoch { Look::Holds } else { Look::Again }
    }

    /// Whether anybody can say now if a credential holds: what is known of all that is taken back is no older than
    /// the settings allow.
    pub fn can_be_told(against: Against<'_>, clock: Instant) -> bool {
        let stale = against.users.staleness(clock).max(against.keys.staleness(clock));
        against.tokens.check_fresh(clock, stale).is_ok()
    }

    /// Whether anything about credentials has changed since `epoch`. That time has passed is no change.
    pub fn may_have_changed(&self, against: Against<'_>, epoch: u64) -> bool {
        let is_open = match &self.0 {
            Kind::Token(_) => true,
            Kind::Key(key) => key.is_open(),
        };
        !is_open || against.epoch.now() != epoch
    }

    /// Holds it against what has changed: who its owner is now.
    ///
    /// # Errors
    /// It does not hold any more.
    pub async fn renew(&mut self, against: Against<'_>, now: Timestamp) -> Result<Arc<Principal>, AuthError> {
        match &mut self.0 {
            Kind::Token(token) => Ok(token.renew(against)?),
            Kind::Key(key) => Ok(key.renew(against, now).await?),
        }
    }
}

/// What a short look at a credential says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It holds as it did.
    Holds,
    /// It has to be held against what has changed.
    Again,
    /// It has ended, or nobody can say whether it has.
    Over,
}
