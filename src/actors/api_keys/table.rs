//! The handles of the keys in use: a table that outlives the actor which closes them.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::handle::KeyHandle;
use crate::{
    domain::{ApiKey, KeyDigest, KeyId, Timestamp},
    store::KeyUse,
};

/// Shards, so that workers that see keys for the first time do not wait for each other.
const SHARDS: usize = 16;
/// Handles that stay once they are idle: about 40 MiB.
pub(super) const KEPT: usize = 65_536;
/// Most handles at any time, whatever is in use.
const MOST: usize = 2 * KEPT;

type Shard = Mutex<HashMap<KeyDigest, Arc<KeyHandle>>>;

/// Why a key was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Keys have changed since it was read: read it again.
    Changed,
    /// More keys are in use at once than there is room for.
    Full,
}

/// Handles by digest, filled by workers at first sight, closed by the actor alone.
#[derive(Debug)]
pub(super) struct Table {
    shards: [Shard; SHARDS],
    len: AtomicUsize,
    /// How often keys have changed: what was read before is not taken in after.
    changes: AtomicU64,
    /// What was counted on handles that were closed since.
    left_over: Mutex<HashMap<KeyId, (u64, Timestamp)>>,
    kept: usize,
}

impl Table {
    /// Keeps `kept` idle handles.
    pub(super) fn new(kept: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            len: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            left_over: Mutex::default(),
            kept,
        }
    }

    fn shard(&self, digest: &KeyDigest) -> &Mutex<HashMap<KeyDigest, Arc<KeyHandle>>> {
        let [first, ..] = digest.as_bytes();
        let [zeroth, ..] = &self.shards;
        self.shards.get(usize::from(*first) % SHARDS).unwrap_or(zeroth)
    }

    /// The handle of that digest.
    pub(super) fn find(&self, digest: &KeyDigest) -> Option<Arc<KeyHandle>> {
        self.shard(digest).lock().get(digest).cloned()
    }

    /// The number to read before a key is read, for [`take`](Self::take).
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Takes in a key that was read after [`changes`](Self::changes) was `as_of`, or gives the handle that
    /// another worker was faster with.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(super) fn take(
        &self,
        digest: KeyDigest,
        key: ApiKey,
        as_of: u64,
    ) -> Result<Arc<KeyHandle>, NotTaken> {
        let mut shard = self.shard(&digest).lock();
        // Under the lock: whoever has changed keys comes through this shard after it, and finds the handle.
        if self.changes() != as_of {
            return Err(NotTaken::Changed);
        }
        if let Some(handle) = shard.get(&digest) {
            return Ok(Arc::clone(handle));
        }
        if self.len.load(Ordering::Relaxed) >= MOST {
            return Err(NotTaken::Full);
        }
        let handle = Arc::new(KeyHandle::new(key));
        shard.insert(digest, Arc::clone(&handle));
        self.len.fetch_add(1, Ordering::Relaxed);
        Ok(handle)
    }

    /// Closes the handles of these keys, or all of them; what was counted on them stays to be collected.
    pub(super) fn forget(&self, keys: Option<&HashSet<KeyId>>) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        let is_meant = |handle: &KeyHandle| keys.is_none_or(|keys| keys.contains(&handle.key().id));
        for shard in &self.shards {
            let mut shard = shard.lock();
            let closed = shard.extract_if(|_, handle| is_meant(handle)).map(|(_, handle)| {
                if let Some(used) = handle.close() {
                    self.leave_over(handle.key().id, used);
                }
            });
            self.len.fetch_sub(closed.count(), Ordering::Relaxed);
        }
    }

    fn leave_over(&self, id: KeyId, (count, last_used): (u64, Timestamp)) {
        let mut left_over = self.left_over.lock();
        let (sum, last) = left_over.entry(id).or_default();
        *sum = sum.saturating_add(count);
        *last = last_used.max(*last);
    }

    /// Takes everything that was counted since the last time.
    pub(super) fn collect(&self) -> Vec<KeyUse> {
        let mut uses = std::mem::take(&mut *self.left_over.lock());
        for shard in &self.shards {
            for handle in shard.lock().values() {
                if let Some((count, last_used)) = handle.collect() {
                    let (sum, last) = uses.entry(handle.key().id).or_default();
                    *sum = sum.saturating_add(count);
                    *last = last_used.max(*last);
                }
            }
        }
        uses.into_iter().map(|(id, (count, last_used))| KeyUse { id, count, last_used }).collect()
    }

    /// Closes handles that were not used since `since`, as many as are too many; one with an uncollected use
    /// stays.
    pub(super) fn shrink(&self, since: Timestamp) {
        let mut too_many = self.len.load(Ordering::Relaxed).saturating_sub(self.kept);
        for shard in &self.shards {
            if too_many == 0 {
                return;
            }
            let mut shard = shard.lock();
            let closed = shard.extract_if(|_, handle| {
                let goes = too_many > 0 && handle.close_if_idle(since);
                too_many = too_many.saturating_sub(usize::from(goes));
                goes
            });
            self.len.fetch_sub(closed.count(), Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}
