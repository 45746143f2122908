//! API keys: who may come in by one, how often each is used, and how one follows another.
//!
//! A worker reads a key from the store at first sight and from then on holds a shared [`KeyHandle`]: a use
//! is one addition to a number in it. Whatever changes about a key closes its handle, within a look at the
//! feed, and the next use reads the key again; what does not hold is never kept. The actor alone closes
//! handles, and carries the counts to the store once a second. [`ApiKeys`] is the only thing the rest of the
//! house sees.

mod actor;
mod error;
mod handle;
mod messages;
mod minting;
mod shared;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::ArbiterHandle;
pub use error::{KeyError, WhyRefused};
pub use handle::KeyHandle;
pub use minting::KeyRequest;

use self::{
    actor::ApiKeysActor,
    messages::{Apply, NoteEnded},
    shared::Shared,
    table::{KEPT, NotTaken, Table},
};
use crate::{
    actors::{
        audit::Lane,
        epoch::Epoch,
        feed::{Listener, Reloaded, Upto},
        kit::{self, ActorError, Fault, Seat},
    },
    domain::{ApiKey, ApiKeySecret, KeyDigest, KeyId, KeyState, Timestamp},
    store::{Change, ChangeKind, KeyRotation, Lookup, RotateOutcome, Stores},
};

/// How often a first sight reads again because keys have changed meanwhile, before it gives up.
const READS: u32 = 8;
/// Attempts to carry the last counts to the store when the house closes, and the pause between them.
const LAST_FLUSHES: (u32, Duration) = (5, Duration::from_millis(200));

/// When and for how long a key may be followed by another.
#[derive(Debug, Clone, Copy)]
pub struct RotationRules {
    /// How long the old key lives on.
    pub grace: Duration,
    /// How long before its end a key may ask for its successor.
    pub before_end: Duration,
}

/// A key and the text that opens with it, told once.
#[derive(Debug)]
pub struct Successor {
    /// The text.
    pub secret: ApiKeySecret,
    /// The new key.
    pub key: ApiKey,
    /// The old key as it now stands.
    pub old: ApiKey,
}

/// A handle to the keys. Clones share everything.
#[derive(Clone)]
pub struct ApiKeys {
    shared: Arc<Shared>,
    seat: Arc<Seat<ApiKeysActor>>,
    rules: RotationRules,
}

impl ApiKeys {
    /// Starts the actor on `arbiter`. No key is loaded: each is read when it is first used. `from` is the row
    /// of the feed that is the last one now; `epoch` moves whenever keys have changed; the ends of keys are
    /// recorded through `lane`.
    ///
    /// # Errors
    /// [`ActorError`].
    pub async fn start(
        arbiter: &ArbiterHandle,
        (stores, from): (&Stores, u64),
        rules: RotationRules,
        (epoch, lane): (&Epoch, Lane),
    ) -> Result<Self, ActorError> {
        let shared = Arc::new(Shared::new(Table::new(KEPT), stores.clone(), from));
        let (state, epoch) = (Arc::clone(&shared), epoch.clone());
        let build = move |life| {
            let (shared, epoch, lane) = (Arc::clone(&state), epoch.clone(), lane.clone());
            Ok::<_, ActorError>(ApiKeysActor {
                shared,
                epoch,
                lane,
                flushing: false,
                looking: false,
                _life: life,
            })
        };
        let seat = kit::keep("api_keys", arbiter, build).await?;
        Ok(Self { shared, seat, rules })
    }

    /// The handle of the key of that digest, read from the store if no worker has seen it yet.
    ///
    /// # Errors
    /// [`KeyError`]; a refusal says why, and is not kept.
    pub async fn look(&self, digest: &KeyDigest, now: Timestamp) -> Result<Arc<KeyHandle>, KeyError> {
        if let Some(handle) = self.shared.table.find(digest)
            && self.holds(handle.key(), now).is_ok()
        {
            return Ok(handle);
        }
        for _ in 0..READS {
            let as_of = self.shared.table.changes();
            let key = self.read(digest).await?;
            self.holds(&key, now)?;
            match self.shared.table.take(*digest, key, as_of) {
                Ok(handle) => return Ok(handle),
                Err(NotTaken::Changed) => {}
                Err(NotTaken::Full) => return Err(KeyError::Full),
            }
        }
        Err(KeyError::Full)
    }

    async fn read(&self, digest: &KeyDigest) -> Result<ApiKey, KeyError> {
        let stores = &self.shared.stores;
        match stores.failures.note("keys.find", stores.keys.find(digest).await)? {
            Lookup::Key(key) => Ok(*key),
            Lookup::Nothing => Err(KeyError::refused(WhyRefused::Unknown, None)),
            Lookup::Unreadable => {
                tracing::error!(
                    store.op = "keys.find",
                    "the record of an API key does not read: it opens nothing"
                );
                Err(KeyError::refused(WhyRefused::Unreadable, None))
            }
        }
    }

    /// Whether `key` may be used at `now`.
    ///
    /// # Errors
    /// A refusal. One that is over is also noted as such.
    pub fn holds(&self, key: &ApiKey, now: Timestamp) -> Result<(), KeyError> {
        let why = match key.state {
            KeyState::Revoked => WhyRefused::Revoked,
            KeyState::Disabled => WhyRefused::Disabled,
            KeyState::Active if now >= key.ends_at() => {
                // The regular look comes soon anyway, should the mailbox be full.
                let _full = self.seat.post(NoteEnded);
                WhyRefused::Expired
            }
            KeyState::Active => return Ok(()),
        };
        Err(KeyError::refused(why, Some(key.id)))
    }

    /// Gives the key of that id its successor, at its own wish: once, and only near its end.
    ///
    /// # Errors
    /// [`KeyError::AlreadyRotated`], [`KeyError::NotDue`], a refusal, or [`KeyError::Store`]: nothing is
    /// known to be done then, and nothing was told.
    pub async fn rotate(&self, id: KeyId, now: Timestamp) -> Result<Successor, KeyError> {
        let stores = &self.shared.stores;
        let unknown = || KeyError::refused(WhyRefused::Unknown, Some(id));
        let key = stores.failures.note("keys.show", stores.keys.show(id).await)?.ok_or_else(unknown)?;
        if key.rotation.is_some() {
            return Err(KeyError::AlreadyRotated);
        }
        self.holds(&key, now)?;
        if now < key.expires_at.minus(self.rules.before_end) {
            return Err(KeyError::NotDue(self.rules.before_end));
        }
        let secret = ApiKeySecret::generate()?;
        let rotation = KeyRotation {
            of: id,
            newest: false,
            successor: KeyId::new(),
            digest: secret.digest(),
            by: None,
            at: now,
            grace: self.rules.grace,
        };
        match stores.failures.note("keys.rotate", stores.keys.rotate(&rotation).await)? {
            RotateOutcome::Done { successor, old } => {
                self.changed([Some(old.id), old.predecessor]).await;
                Ok(Successor { secret, key: *successor, old: *old })
            }
            RotateOutcome::Superseded => Err(KeyError::AlreadyRotated),
            RotateOutcome::Unknown | RotateOutcome::Unusable => Err(unknown()),
        }
    }

    /// Brings a change of our own into force here at once; the feed brings it too.
    async fn changed(&self, keys: impl IntoIterator<Item = Option<KeyId>>) {
        let keys = Some(keys.into_iter().flatten().collect());
        if let Err(error) = self.seat.ask(Apply { keys, upto: None }).await {
            tracing::warn!(%error, "a stored change of API keys comes into force by the feed");
        }
    }

    /// How old our knowledge of changes is.
    pub fn staleness(&self, now: Instant) -> Duration {
        self.shared.fresh.staleness(now)
    }

    /// Carries the last counts to the store: when nobody uses keys any more, before the store closes.
    pub async fn close(&self) {
        for _ in 0..LAST_FLUSHES.0 {
            match self.shared.flush().await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "the last uses of API keys wait for the store"),
            }
            tokio::time::sleep(LAST_FLUSHES.1).await;
        }
        tracing::error!("the last uses of API keys are lost: the store does not take them");
    }

    /// Makes the actor panic.
    ///
    /// # Errors
    /// [`ActorError`] if it is down already.
    pub fn fault(&self) -> Result<(), ActorError> {
        self.seat.post(Fault)
    }

    /// What health and metrics read.
    pub fn vitals(&self) -> kit::Vitals {
        self.seat.vitals()
    }
}

impl Listener for ApiKeys {
    fn applied(&self) -> u64 {
        self.shared.fresh.applied()
    }

    fn deliver(&self, changes: &[Change], upto: Upto) -> Result<(), ActorError> {
        let changed = |change: &Change| match &change.what {
            ChangeKind::Key(id) => Some(*id),
            _ => None,
        };
        let keys: HashSet<KeyId> = changes.iter().filter_map(changed).collect();
        self.seat.post(Apply { keys: Some(keys), upto: Some(upto) })
    }

    fn reload(&self, upto: Upto) -> Reloaded<'_> {
        Box::pin(async move {
            // Every key is read again at its next use.
            if let Err(error) = self.seat.post(Apply { keys: None, upto: Some(upto) }) {
                tracing::debug!(%error, "changes of API keys wait for their actor");
            }
            Ok(())
        })
    }
}
