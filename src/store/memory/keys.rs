//! The port [`Keys`] in memory.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{Memory, Tables};
use crate::{
    domain::{ApiKey, KeyDigest, KeyId, KeyState, Timestamp},
    store::{
        ChangeKind, KEY_PAGE_MAX, KeyRotation, Keys, Lookup, RotateOutcome, StoreError, StoreFuture,
        UseBatch, keys,
    },
};

/// The keys, and what has been counted.
#[derive(Default)]
pub(super) struct KeyTables {
    keys: BTreeMap<KeyId, ApiKey>,
    digests: HashMap<KeyDigest, KeyId>,
    told_ended: std::collections::HashSet<KeyId>,
    batches: HashMap<Uuid, u64>,
}

impl KeyTables {
    fn insert(&mut self, digest: KeyDigest, key: ApiKey) -> Result<(), StoreError> {
        if self.keys.contains_key(&key.id) || self.digests.contains_key(&digest) {
            return Err(StoreError::Taken("the key"));
        }
        self.digests.insert(digest, key.id);
        self.keys.insert(key.id, key);
        Ok(())
    }

    /// Their ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.keys()
    }

    /// All that is known of one, and whether its end has been told of.
    pub(super) fn whole(&self, id: KeyId) -> Option<(KeyDigest, ApiKey, bool)> {
        let key = self.keys.get(&id)?.clone();
        let (digest, _) = self.digests.iter().find(|(_, of)| **of == id)?;
        Some((*digest, key, self.told_ended.contains(&id)))
    }

    /// Puts one as it was elsewhere.
    pub(super) fn put(&mut self, digest: KeyDigest, key: ApiKey, told_ended: bool) {
        self.remove(key.id);
        if told_ended {
            self.told_ended.insert(key.id);
        }
        self.digests.insert(digest, key.id);
        self.keys.insert(key.id, key);
    }

    /// Takes one away, and tells nobody.
    pub(super) fn remove(&mut self, id: KeyId) {
        self.digests.retain(|_, of| *of != id);
        self.told_ended.remove(&id);
        self.keys.remove(&id);
    }

    /// The newest successor of `id`, or itself.
    fn newest(&self, mut id: KeyId) -> KeyId {
        while let Some(rotation) = self.keys.get(&id).and_then(|key| key.rotation) {
            id = rotation.successor;
        }
        id
    }

    fn add(&mut self, batch: &UseBatch) {
        let last = self.batches.entry(batch.writer).or_default();
        if *last >= batch.number {
            return;
        }
        *last = batch.number;
        for used in &batch.uses {
            if let Some(key) = self.keys.get_mut(&used.id) {
                key.usage_count = key.usage_count.saturating_add(used.count);
                key.last_used = key.last_used.max(Some(used.last_used));
            }
        }
    }
}

impl Tables {
    fn rotate_key(&mut self, rotation: &KeyRotation) -> Result<RotateOutcome, StoreError> {
        let id = if rotation.newest { self.keys.newest(rotation.of) } else { rotation.of };
        let Some(old) = self.keys.keys.get(&id).cloned() else { return Ok(RotateOutcome::Unknown) };
        let (successor, rotated) = match keys::plan(&old, rotation) {
            Ok(plan) => plan,
            Err(refused) => return Ok(refused),
        };
        self.keys.insert(rotation.digest, successor.clone())?;
        let mut changed = vec![old.id];
        if let Some(before) = old.predecessor.and_then(|id| self.keys.keys.get_mut(&id))
            && let Some(its) = &mut before.rotation
        {
            its.grace_until = its.grace_until.min(rotation.at);
            changed.push(before.id);
        }
        let old = ApiKey { rotation: Some(rotated), ..old };
        self.keys.keys.insert(old.id, old.clone());
        changed.into_iter().for_each(|id| self.tell(ChangeKind::Key(id), Timestamp::now()));
        Ok(RotateOutcome::Done { successor: Box::new(successor), old: Box::new(old) })
    }

    fn set_state(&mut self, id: KeyId, state: KeyState) -> Option<ApiKey> {
        let key = self.keys.keys.get_mut(&id)?;
        if key.state != KeyState::Revoked {
            key.state = state;
        }
        let key = key.clone();
        self.tell(ChangeKind::Key(id), Timestamp::now());
        Some(key)
    }
}

impl Keys for Memory {
    fn find<'a>(&'a self, digest: &'a KeyDigest) -> StoreFuture<'a, Lookup> {
        Box::pin(async {
            let tables = self.0.lock();
            let key = tables.keys.digests.get(digest).and_then(|id| tables.keys.keys.get(id)).cloned();
            Ok(key.map_or(Lookup::Nothing, |key| Lookup::Key(Box::new(key))))
        })
    }

    fn show(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>> {
        Box::pin(async move { Ok(self.0.lock().keys.keys.get(&id).cloned()) })
    }

    fn page(&self, after: Option<KeyId>, size: u64) -> StoreFuture<'_, Vec<ApiKey>> {
        let size = usize::try_from(size.clamp(1, KEY_PAGE_MAX)).unwrap_or(1);
        Box::pin(async move {
            let tables = self.0.lock();
            let later = tables.keys.keys.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
            Ok(later.take(size).map(|(_, key)| key.clone()).collect())
        })
    }

    fn insert<'a>(&'a self, digest: &'a KeyDigest, key: &'a ApiKey) -> StoreFuture<'a, ()> {
        Box::pin(async { self.0.lock().keys.insert(*digest, key.clone()) })
    }

    fn set_state(&self, id: KeyId, state: KeyState) -> StoreFuture<'_, Option<ApiKey>> {
        Box::pin(async move { Ok(self.0.lock().set_state(id, state)) })
    }

    fn rotate<'a>(&'a self, rotation: &'a KeyRotation) -> StoreFuture<'a, RotateOutcome> {
        Box::pin(async { self.0.lock().rotate_key(rotation) })
    }

    fn add_uses<'a>(&'a self, batch: &'a UseBatch) -> StoreFuture<'a, ()> {
        Box::pin(async {
            self.0.lock().keys.add(batch);
            Ok(())
        })
    }

    fn newly_ended(&self, now: Timestamp, most: u64) -> StoreFuture<'_, Vec<ApiKey>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Box::pin(async move {
            let mut tables = self.0.lock();
            let KeyTables { keys, told_ended, .. } = &mut tables.keys;
            let is_new = |key: &&ApiKey| {
                key.state != KeyState::Revoked && key.ends_at() <= now && !told_ended.contains(&key.id)
            };
            let mut ended: Vec<_> = keys.values().filter(is_new).cloned().collect();
            ended.sort_by_key(|key| (key.ends_at(), key.id));
            ended.truncate(most);
            told_ended.extend(ended.iter().map(|key| key.id));
            Ok(ended)
        })
    }
}
