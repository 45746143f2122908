//! The buckets of one scope by identity. The table outlives the actor, which alone adds and forgets.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::bucket::{Bucket, Moment};
pub(super) use crate::actors::identity::Id;

/// Parts of a table that are locked apart.
const SHARDS: usize = 64;

type Shard = HashMap<Id, Arc<Bucket>, RandomState>;

/// The buckets of one scope.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    count: AtomicUsize,
    most: usize,
    /// What identities share for which there is no place.
    overflow: Arc<Bucket>,
}

impl Table {
    /// An empty one for at most `most` buckets.
    pub(super) fn new(most: usize, overflow: Bucket) -> Self {
        let hasher = RandomState::new();
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::with_hasher(hasher.clone()))).collect(),
            hasher,
            count: AtomicUsize::new(0),
            most,
            overflow: Arc::new(overflow),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether a new identity gets the [overflow](Self::overflow).
    pub(super) fn is_at_its_end(&self) -> bool {
        self.len() >= self.most
    }

    /// The bucket that identities share for which there is no place.
    pub(super) fn overflow(&self) -> Arc<Bucket> {
        Arc::clone(&self.overflow)
    }

    /// The bucket of `id`, if it has one.
    pub(super) fn find(&self, id: &Id) -> Option<Arc<Bucket>> {
        self.shard(id)?.lock().get(id).cloned()
    }

    /// The bucket of `id`, made by `make` if it has none; `None` if there is no place. For the actor alone.
    pub(super) fn open(&self, id: &Id, make: impl FnOnce() -> Bucket) -> Option<Arc<Bucket>> {
        let mut shard = self.shard(id)?.lock();
        if let Some(known) = shard.get(id) {
            return Some(Arc::clone(known));
        }
        if self.is_at_its_end() {
            return None;
        }
        let made = Arc::new(make());
        shard.insert(*id, Arc::clone(&made));
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(made)
    }

    /// Shows every bucket to `see`, and forgets those that are full and that nobody holds: a new one would be
    /// the same. For the actor alone.
    pub(super) fn sweep(&self, now: Moment, mut see: impl FnMut(&Id, &Bucket)) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|id, bucket| {
                see(id, bucket);
                // Whoever gets hold of one does so under the shard's lock.
                Arc::strong_count(bucket) > 1 || !bucket.is_full(now)
            });
            self.count.fetch_sub(before - shard.len(), Ordering::Relaxed);
            if shard.len() < shard.capacity() / 8 {
                let room = shard.len() * 2;
                shard.shrink_to(room);
            }
        }
    }

    /// Places for buckets, taken or not.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().capacity()).sum()
    }

    fn shard(&self, id: &Id) -> Option<&Mutex<Shard>> {
        // Bits that the map inside does not choose its places by.
        let at = (self.hasher.hash_one(id) >> 32) as usize % SHARDS;
        self.shards.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::of_address(Some(text.parse().unwrap()))
    }

    #[test]
    fn a_bucket_is_forgotten_only_when_it_is_full_and_nobody_holds_it() {
        let bucket = |full_again| Bucket::new(0, Moment(full_again));
        let table = Table::new(10, bucket(0));
        let [full, held, used] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(id);
        for (id, full_again) in [(full, 5), (held, 5), (used, 6)] {
            assert!(table.open(&id, || bucket(full_again)).is_some());
        }
        let holds = table.find(&held);
        table.sweep(Moment(5), |_, _| {});
        assert_eq!((table.len(), table.find(&full).is_none(), table.find(&used).is_some()), (2, true, true));
        drop(holds);
        table.sweep(Moment(6), |_, _| {});
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn there_is_an_end_to_buckets_and_none_goes_for_another() {
        let bucket = || Bucket::new(0, Moment(9));
        let table = Table::new(2, bucket());
        let [one, other, third] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(id);
        let first = table.open(&one, bucket).unwrap();
        table.open(&other, bucket).unwrap();
        assert!(table.is_at_its_end() && table.open(&third, bucket).is_none());
        assert!(Arc::ptr_eq(&first, &table.open(&one, bucket).unwrap()), "who is there stays");
    }
}
