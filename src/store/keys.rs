//! API keys: found by digest, rotated as a whole, counted in batches.

use std::time::Duration;

use uuid::Uuid;

use super::StoreFuture;
use crate::domain::{ApiKey, KeyDigest, KeyId, KeyState, Rotated, Timestamp};

/// Largest page that [`Keys::page`] gives.
pub const KEY_PAGE_MAX: u64 = 1_000;

/// What is kept under a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Nothing.
    Nothing,
    /// A key.
    Key(Box<ApiKey>),
    /// A record that does not read: whatever it was, it opens nothing.
    Unreadable,
}

/// Give a key a successor.
#[derive(Debug, Clone)]
pub struct KeyRotation {
    /// The key.
    pub of: KeyId,
    /// Whether the newest successor of `of` is rotated instead, if there is one.
    pub newest: bool,
    /// The successor's id.
    pub successor: KeyId,
    /// The successor's digest.
    pub digest: KeyDigest,
    /// Who does it; if nobody, the key itself.
    pub by: Option<String>,
    /// When.
    pub at: Timestamp,
    /// How long the old key lives on, at most until its own end.
    pub grace: Duration,
}

/// What came of a [`KeyRotation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RotateOutcome {
    /// Both keys as they now stand.
    Done {
        /// The key to use from now on.
        successor: Box<ApiKey>,
        /// The key that lives on for the grace.
        old: Box<ApiKey>,
    },
    /// There is no such key.
    Unknown,
    /// It has a successor already.
    Superseded,
    /// It is disabled, revoked or over: nothing can follow it.
    Unusable,
}

/// How often one key was used since the last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub id: KeyId,
    /// How often.
    pub count: u64,
    /// When for the last time.
    pub last_used: Timestamp,
}

/// The uses of one second. A batch that comes twice counts once, so it may be sent until it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UseBatch {
    /// Whoever counts, one for each start of a process.
    pub writer: Uuid,
    /// Its number, from 1 upwards.
    pub number: u64,
    /// The uses, at most one entry a key.
    pub uses: Vec<KeyUse>,
}

/// The API keys. A change, and the end of a key by another's rotation, is told to the feed.
pub trait Keys: Send + Sync {
    /// The key of that digest: one look into an index, however many there are.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): nothing is known of the key.
    fn find<'a>(&'a self, digest: &'a KeyDigest) -> StoreFuture<'a, Lookup>;

    /// The key of that id.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError), also if its record does not read.
    fn show(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>>;

    /// The next `size` keys (1 to [`KEY_PAGE_MAX`], others are brought there) after that id, oldest first.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError), also if a single record does not read.
    fn page(&self, after: Option<KeyId>, size: u64) -> StoreFuture<'_, Vec<ApiKey>>;

    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::Taken`](super::StoreError::Taken) if its id or its digest is another's.
    fn insert<'a>(&'a self, digest: &'a KeyDigest, key: &'a ApiKey) -> StoreFuture<'a, ()>;

    /// Brings the key into that state and gives it as it now stands; a revoked one stays revoked.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): it is not known to be done.
    fn set_state(&self, id: KeyId, state: KeyState) -> StoreFuture<'_, Option<ApiKey>>;

    /// Gives a key a successor, and ends the one before it: two of a lineage live at most.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): it is not known to be done.
    fn rotate<'a>(&'a self, rotation: &'a KeyRotation) -> StoreFuture<'a, RotateOutcome>;

    /// Adds what was counted, all of it or nothing; keys that are gone are passed over. Tells nobody.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): send the same batch again.
    fn add_uses<'a>(&'a self, batch: &'a UseBatch) -> StoreFuture<'a, ()>;

    /// At most `most` keys that were over at `now` and of which this was never said before; whoever asks
    /// first is told.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn newly_ended(&self, now: Timestamp, most: u64) -> StoreFuture<'_, Vec<ApiKey>>;
}

/// What both backends make of a rotation of `old`, which is the key that it is really about.
///
/// # Errors
/// Why there can be no successor.
pub(super) fn plan(old: &ApiKey, rotation: &KeyRotation) -> Result<(ApiKey, Rotated), RotateOutcome> {
    if old.rotation.is_some() {
        return Err(RotateOutcome::Superseded);
    }
    if old.state != KeyState::Active || old.ends_at() <= rotation.at {
        return Err(RotateOutcome::Unusable);
    }
    let life = Duration::from_micros(old.expires_at.micros().saturating_sub(old.created_at.micros()));
    let grace_until = rotation.at.plus(rotation.grace).min(old.expires_at);
    let successor = ApiKey {
        id: rotation.successor,
        created_at: rotation.at,
        expires_at: rotation.at.plus(life),
        last_used: None,
        usage_count: 0,
        created_by: rotation.by.clone().unwrap_or_else(|| format!("key:{}", old.id)),
        predecessor: Some(old.id),
        ..old.clone()
    };
    Ok((successor, Rotated { successor: rotation.successor, at: rotation.at, grace_until }))
}
