//! Limits that several servers share: each gives away what it has taken out of the shared bucket beforehand.
//!
//! Whoever has a slice at hand asks nobody; whoever has none, or has used it up, costs one question to the store.
//! The slices outlive the actor, which alone asks, reports and forgets.

mod gate;
mod slice;
#[cfg(test)]
mod traffic;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use self::slice::{Has, Report, Slice};
use super::{
    Scope,
    bucket::{Limit, Moment, Short},
    table::Id,
};
use crate::store::{Granted, LeaseAsk};

/// Parts of the table that are locked apart.
const SHARDS: usize = 64;

/// What holds while the store is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLoss {
    /// This server's part of each limit.
    #[default]
    LocalShare,
    /// Nobody is let in.
    Deny,
    /// Nobody is limited.
    Allow,
}

/// A bucket that is claimed from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) scope: Scope,
    pub(super) id: Id,
    pub(super) limit: Limit,
    pub(super) cost: u32,
}

/// Why nothing was taken.
#[derive(Debug)]
pub(super) enum Lack {
    /// A bucket holds too little.
    Short(Short, Id),
    /// A bucket has to be asked first.
    Ask(Wanted),
    /// Nobody can be asked, and nobody is to be let in then.
    Lost,
}

type Shard = HashMap<(Scope, Id), Arc<Mutex<Slice>>>;

/// Most buckets that one request claims from.
const CLAIMS: usize = 3;
/// Shared by all for whom there is no place.
const OVERFLOW: Id = Id([0xff; 16]);
/// Most slices that are settled in one go.
const SETTLED_AT_ONCE: usize = 512;

/// The slices of this server.
#[derive(Debug)]
pub(super) struct Fleet {
    holder: Uuid,
    on_loss: OnLoss,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// Most slices of each scope.
    most: usize,
    /// How many there are of each scope: addresses, of which anybody has many, push out no user.
    counts: [AtomicUsize; Scope::ALL.len()],
    is_lost: AtomicBool,
    servers: AtomicU32,
    /// How long one claim waits for the store.
    wait: Duration,
}

impl Fleet {
    /// No slices yet, and at most `most` of them a scope; a claim waits for the store for `wait` at most.
    pub(super) fn new(on_loss: OnLoss, most: usize, wait: Duration) -> Self {
        Self {
            holder: Uuid::now_v7(),
            on_loss,
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            most,
            counts: Default::default(),
            is_lost: AtomicBool::new(false),
            servers: AtomicU32::new(1),
            wait,
        }
    }

    /// How long one claim waits for the store.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// Who we are to the store.
    pub(super) fn holder(&self) -> Uuid {
        self.holder
    }

    /// How many servers there are, or `None` if the store could not be asked. Says whether that is new.
    pub(super) fn counted(&self, servers: Option<u32>) -> bool {
        if let Some(servers) = servers {
            self.servers.store(servers.max(1), Ordering::Relaxed);
        }
        self.is_lost.swap(servers.is_none(), Ordering::AcqRel) != servers.is_none()
    }

    /// Takes all that is `wanted` or nothing. Slices are locked in the order of `wanted`, which must be the same
    /// everywhere: principal, key, tool.
    ///
    /// # Errors
    /// [`Lack`].
    pub(super) fn take(&self, wanted: &[Option<Wanted>; CLAIMS], now: Moment) -> Result<(), Lack> {
        self.take_while(wanted, self.is_lost.load(Ordering::Acquire), now)
    }

    /// Takes as if the store were lost, which for this claim it is: what it has of a bucket is of no use.
    ///
    /// # Errors
    /// [`Lack`], but never that the store has to be asked.
    pub(super) fn take_alone(&self, wanted: &[Option<Wanted>; CLAIMS], now: Moment) -> Result<(), Lack> {
        self.take_while(wanted, true, now)
    }

    /// Whether nobody is limited while the store cannot be asked.
    pub(super) fn allows_on_loss(&self) -> bool {
        self.on_loss == OnLoss::Allow
    }

    fn take_while(&self, wanted: &[Option<Wanted>; CLAIMS], is_lost: bool, now: Moment) -> Result<(), Lack> {
        match self.on_loss {
            OnLoss::Deny if is_lost => return Err(Lack::Lost),
            OnLoss::Allow if is_lost => return Ok(()),
            _ => {}
        }
        let known = wanted.map(|one| one.map(|one| (self.find(one.scope, one.id, is_lost), one)));
        let mut held = [const { None }; CLAIMS];
        for (place, (slice, wanted)) in held.iter_mut().zip(known.iter().flatten()) {
            *place = Some((slice.as_ref().ok_or(Lack::Ask(*wanted))?.lock(), wanted));
        }
        let servers = self.servers.load(Ordering::Relaxed);
        for (slice, wanted) in held.iter().flatten() {
            let short = |remaining, wait| {
                let Wanted { scope, limit, cost, .. } = **wanted;
                Err(Lack::Short(Short { scope, limit, cost, remaining, wait }, wanted.id))
            };
            match slice.has(wanted.cost, wanted.limit, now) {
                Has::Enough => {}
                _ if is_lost => match slice.share_has(wanted.cost, wanted.limit, servers, now) {
                    Ok(()) => {}
                    Err(wait) => return short(0, wait),
                },
                Has::Short { remaining, wait } => return short(remaining, wait),
                Has::Unknown => return Err(Lack::Ask(**wanted)),
            }
        }
        for (slice, wanted) in held.iter_mut().flatten() {
            slice.take(wanted.cost, wanted.limit, servers, now);
        }
        Ok(())
    }

    /// What is asked for instead of `wanted`, if there is no place for its identity. For the actor alone.
    pub(super) fn placed(&self, wanted: Wanted) -> Wanted {
        let Wanted { scope, id, .. } = wanted;
        let has_place = self.shard(scope, id).contains_key(&(scope, id)) || !self.is_at_its_end(scope);
        if has_place { wanted } else { Wanted { id: OVERFLOW, ..wanted } }
    }

    /// What to ask the store for `wanted`, and of whom the answer is. For the actor alone.
    pub(super) fn ask(&self, wanted: &Wanted, now: Moment) -> Asked {
        let Wanted { scope, limit, cost, .. } = *wanted;
        let (id, slice) = self.open(scope, wanted.id);
        let report = slice.lock().ask(cost, limit, now);
        let question = vec![self.question((scope, id), limit, report)];
        Asked { slice, report, at: now, question }
    }

    /// What to say of the slices that nobody takes from any more, or, if all are to go, of all. For the actor alone.
    pub(super) fn settle(&self, goes: bool, now: Moment) -> Vec<LeaseAsk> {
        let mut questions = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|(scope, id), slice| {
                let mut held = slice.lock();
                if questions.len() < SETTLED_AT_ONCE
                    && let Some((report, limit)) = held.settle(goes)
                {
                    questions.push(self.question((*scope, *id), limit, report));
                }
                // Whoever gets hold of one does so under the shard's lock.
                let stays = Arc::strong_count(slice) > 1 || !held.is_idle(now);
                if !stays {
                    self.count(*scope).fetch_sub(1, Ordering::Relaxed);
                }
                stays
            });
            if shard.len() < shard.capacity() / 8 {
                let room = shard.len() * 2;
                shard.shrink_to(room);
            }
        }
        questions
    }

    fn question(&self, (scope, id): (Scope, Id), limit: Limit, report: Report) -> LeaseAsk {
        let Report { used, returned, needed, wanted } = report;
        let (capacity, per_second) = (limit.capacity, limit.per_second());
        let (scope, holder) = (scope.as_str(), self.holder);
        LeaseAsk { scope, id: id.0, holder, capacity, per_second, used, returned, needed, wanted }
    }

    /// The slice of an identity; one is made if nobody can be asked for one.
    fn find(&self, scope: Scope, id: Id, is_lost: bool) -> Option<Arc<Mutex<Slice>>> {
        let known = self.shard(scope, id).get(&(scope, id)).cloned();
        match known {
            None if is_lost => Some(self.open(scope, id).1),
            None if self.is_at_its_end(scope) => self.shard(scope, OVERFLOW).get(&(scope, OVERFLOW)).cloned(),
            known => known,
        }
    }

    /// The slice of an identity, made if it has none; if there is no place, the one that such identities share.
    /// Says whose it is.
    fn open(&self, scope: Scope, id: Id) -> (Id, Arc<Mutex<Slice>>) {
        let mut shard = self.shard(scope, id);
        if let Some(known) = shard.get(&(scope, id)) {
            return (id, Arc::clone(known));
        }
        if self.is_at_its_end(scope) && id != OVERFLOW {
            drop(shard);
            return self.open(scope, OVERFLOW);
        }
        let made = Arc::default();
        shard.insert((scope, id), Arc::clone(&made));
        self.count(scope).fetch_add(1, Ordering::Relaxed);
        (id, made)
    }

    fn is_at_its_end(&self, scope: Scope) -> bool {
        self.count(scope).load(Ordering::Relaxed) >= self.most
    }

    fn count(&self, scope: Scope) -> &AtomicUsize {
        let [address, failures, user, key, tool] = &self.counts;
        match scope {
            Scope::Address => address,
            Scope::Failures => failures,
            Scope::User => user,
            Scope::Key => key,
            Scope::Tool => tool,
        }
    }

    fn shard(&self, scope: Scope, id: Id) -> MutexGuard<'_, Shard> {
        // Bits that the map inside does not choose its places by.
        let at = (self.hasher.hash_one((scope, id)) >> 32) as usize & (SHARDS - 1);
        match self.shards.get(at) {
            Some(shard) => shard.lock(),
            None => self.shards[0].lock(),
        }
    }
}

/// A question on its way to the store.
#[derive(Debug)]
pub(super) struct Asked {
    slice: Arc<Mutex<Slice>>,
    report: Report,
    at: Moment,
    question: Vec<LeaseAsk>,
}

impl Asked {
    /// The question itself, for the store.
    pub(super) fn take_question(&mut self) -> Vec<LeaseAsk> {
        std::mem::take(&mut self.question)
    }

    /// Takes in what was answered.
    pub(super) fn answered(self, granted: Granted) {
        self.slice.lock().credit(self.report, granted, self.at);
    }
}
