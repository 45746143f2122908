//! API keys: read once per worker, afterwards a look at a handle and one addition to its count.

use std::{cell::RefCell, sync::Arc};

use super::{
    cache::Cache,
    caller::{At, Caches},
    jwt::{Against, AuthError, Authenticated},
};
use crate::{
    actors::api_keys::{KeyError, KeyHandle, WhyRefused},
    domain::{ApiKey, KeyDigest, Principal, PrincipalKind, Recorded, Timestamp},
    policy::standing,
};

/// Half of the entries that one worker's cache may hold: 8 192 in all.
const HALF: usize = 4_096;
/// How often a key is read again because it has changed in the very moment of its use.
const LOOKS: u32 = 4;

/// Keys that one worker thread has seen. Bounded; failures are never kept.
#[derive(Debug)]
pub(super) struct KeyCache(Cache<Seen, 32>);

/// A key that holds, as of an epoch.
#[derive(Debug)]
struct Seen {
    handle: Arc<KeyHandle>,
    principal: Arc<Principal>,
    epoch: u64,
}

impl Default for KeyCache {
    fn default() -> Self {
        Self(Cache::new(HALF))
    }
}

/// Finds out who shows the key `text`. Waits for the store only for a key that this worker has not seen.
///
/// # Errors
/// Why it opens nothing; nothing about the failure is kept.
pub(super) async fn authenticate(
    text: &str,
    against: Against<'_>,
    caches: &RefCell<Caches>,
    at: At,
) -> Result<Authenticated, AuthError> {
    let stale = against.users.staleness(at.clock).max(against.keys.staleness(at.clock));
    against.tokens.check_fresh(at.clock, stale)?;
    let digest = KeyDigest::of(text).map_err(|_| KeyError::refused(WhyRefused::Malformed, None))?;
    if let Some(seen) = caches.borrow_mut().keys.known(&digest, against, at)? {
        return Ok(seen);
    }
    for _ in 0..LOOKS {
        // Read before the key is, so that a change in between is seen at the next use.
        let epoch = against.epoch.now();
        let handle = against.keys.look(&digest, at.now).await?;
        let (principal, unknown) = principal(handle.key(), against)?;
        if !used(&handle, at)? {
            continue;
        }
        let principal = Arc::new(principal);
        let rotated = handle.key().rotation;
        let seen = Seen { handle, principal: Arc::clone(&principal), epoch };
        caches.borrow_mut().keys.0.add(*digest.as_bytes(), seen);
        return Ok(Authenticated { principal, first_sight: Some(unknown), rotated });
    }
    Err(KeyError::Full.into())
}

/// What is kept of a key to look at it again.
#[derive(Debug)]
pub(super) struct KeyProof {
    digest: KeyDigest,
    handle: Arc<KeyHandle>,
}

impl KeyProof {
    /// Whether it has ended.
    pub(super) fn is_over(&self, against: Against<'_>, now: Timestamp) -> bool {
        against.keys.holds(self.handle.key(), now).is_err()
    }

    /// Whether nothing about the key has changed.
    pub(super) fn is_open(&self) -> bool {
        self.handle.is_open()
    }

    /// Who its owner is now; a key that has changed is read again, which is no use of it.
    pub(super) async fn renew(
        &mut self,
        against: Against<'_>,
        now: Timestamp,
    ) -> Result<Arc<Principal>, KeyError> {
        if !self.handle.is_open() {
            self.handle = against.keys.look(&self.digest, now).await?;
        }
        principal(self.handle.key(), against).map(|(principal, _)| Arc::new(principal))
    }
}

impl KeyCache {
    /// What to keep of the key `text`, if this worker has seen it.
    pub(super) fn proof(&self, text: &str) -> Option<KeyProof> {
        let digest = KeyDigest::of(text).ok()?;
        let handle = Arc::clone(&self.0.peek(digest.as_bytes())?.handle);
        Some(KeyProof { digest, handle })
    }

    /// Whether this worker has seen the key `text`, and it has not changed since.
    pub(super) fn knows(&self, text: &str) -> bool {
        let seen = KeyDigest::of(text).ok().and_then(|digest| self.0.peek(digest.as_bytes()));
        seen.is_some_and(|seen| seen.handle.is_open())
    }

    /// What a key that this worker has seen is worth now; `None` if it must be read again.
    fn known(
        &mut self,
        digest: &KeyDigest,
        against: Against<'_>,
        at: At,
    ) -> Result<Option<Authenticated>, AuthError> {
        let Some(seen) = self.0.find(digest.as_bytes()) else { return Ok(None) };
        match seen.hold(against, at) {
            Ok(true) => {
                let (principal, rotated) = (Arc::clone(&seen.principal), seen.handle.key().rotation);
                Ok(Some(Authenticated { principal, first_sight: None, rotated }))
            }
            Ok(false) => {
                self.0.remove(digest.as_bytes());
                Ok(None)
            }
            Err(error) => {
                self.0.remove(digest.as_bytes());
                Err(error)
            }
        }
    }
}

impl Seen {
    /// Holds the key against the time, its owner's account and its networks, and counts the use; `false` if
    /// the handle is not to be relied on any more.
    fn hold(&mut self, against: Against<'_>, at: At) -> Result<bool, AuthError> {
        if !self.handle.is_open() {
            return Ok(false);
        }
        let key = self.handle.key();
        against.keys.holds(key, at.now)?;
        let epoch = against.epoch.now();
        if self.epoch != epoch {
            let (principal, _) = principal(key, against)?;
            // Most changes are somebody else's: then everybody goes on with the same one.
            if principal != *self.principal {
                self.principal = Arc::new(principal);
            }
            self.epoch = epoch;
        }
        Ok(used(&self.handle, at)?)
    }
}

/// Counts the use from where it comes, once a request; `false` if the handle is closed.
fn used(handle: &KeyHandle, at: At) -> Result<bool, KeyError> {
    let key = handle.key();
    if !key.admits(at.address) {
        return Err(KeyError::refused(WhyRefused::Address, Some(key.id)));
    }
    Ok(if at.again { handle.is_open() } else { handle.count(at.now) })
}

/// Who the key speaks for at present, and which of its permissions mean nothing here.
///
/// Its owner's roles are those that its account has now; they choose the limits, and give the key nothing
/// that it does not carry itself.
fn principal(key: &ApiKey, against: Against<'_>) -> Result<(Principal, Vec<Box<str>>), KeyError> {
    let account = against.users.find(key.owner.as_str());
    let held = standing(against.roles, account.as_deref(), (&[], &key.permissions))
        .map_err(|_disabled| KeyError::refused(WhyRefused::Owner, Some(key.id)))?;
    let roles = account.map(|account| against.roles.grant(&account.roles, &[]).roles).unwrap_or_default();
    let principal = Principal {
        id: key.owner.clone(),
        kind: PrincipalKind::ApiKey,
        client: key.name.as_str().into(),
        credential: key.id.to_string().into(),
        roles,
        permissions: held.permissions,
        // A client cannot ask for a wider key.
        reach: held.permissions,
        recorded: Recorded::default(),
    };
    Ok((principal, held.unknown))
}
