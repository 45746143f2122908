//! What outlives the actor: the lanes, the events between lane and disk, and how things stand.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::{
    actor::{AuditActor, Drain},
    config::Durability,
    insight::{End, Inbox},
    journal::{Desk, Position},
    lane::LaneState,
};
use crate::{actors::kit::Seat, domain::AuditEvent};

/// How the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It records.
    Healthy,
    /// The disk refuses; it is tried again at least once a second.
    Failing,
    /// The writer is being rebuilt after a panic, or closed.
    Down,
}

/// Called after every commit with its duration and its number of records.
pub type CommitHook = Box<dyn Fn(Duration, usize) + Send + Sync>;

/// Everything that workers and the actor share.
pub(super) struct Shared {
    /// What the journal works with.
    pub(super) desk: Arc<Desk>,
    /// Events that the actor has taken and not committed. Only the actor locks it.
    pub(super) work: Mutex<Work>,
    /// Ends a linger when enough events are there.
    pub(super) bell: Bell,
    pub(super) seat: OnceLock<Arc<Seat<AuditActor>>>,
    pub(super) hook: OnceLock<CommitHook>,
    /// What was committed, for the insight.
    pub(super) inbox: Inbox,
    lanes: Mutex<Vec<Arc<LaneState>>>,
    idle: AtomicBool,
    failing: AtomicBool,
    closed: AtomicBool,
    ended: AtomicBool,
    failures: AtomicU64,
    waiting: AtomicU64,
    committed: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("desk", &self.desk).finish_non_exhaustive()
    }
}

/// Events between lane and disk, with what is needed to write them exactly once after a panic.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// In the order in which they will be recorded.
    pub(super) events: Vec<AuditEvent>,
    /// How many of them the journal has been given since the last commit.
    pub(super) written: usize,
    /// How many of them came from which lane.
    pub(super) owners: Vec<(Arc<LaneState>, u64)>,
    /// The last commit; `None` before the first.
    pub(super) committed: Option<Position>,
}

impl Work {
    /// Whether there are events that the journal has not been given.
    pub(super) fn has_news(&self) -> bool {
        self.events.len() > self.written
    }
}

impl Shared {
    pub(super) fn new(desk: Desk) -> Self {
        Self {
            desk: Arc::new(desk),
            work: Mutex::default(),
            bell: Bell::default(),
            seat: OnceLock::new(),
            hook: OnceLock::new(),
            inbox: Inbox::default(),
            lanes: Mutex::default(),
            idle: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        }
    }

    pub(super) fn open_lane(self: &Arc<Self>) -> Arc<LaneState> {
        let lane = Arc::new(LaneState::new(Arc::clone(self)));
        self.lanes.lock().push(Arc::clone(&lane));
        lane
    }

    /// One event more will be in its lane; says how many there are.
    pub(super) fn count(&self) -> u64 {
        self.waiting.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// It is there: wakes the actor if it sleeps.
    pub(super) fn arrived(&self, waiting: u64) {
        if self.idle.load(Ordering::SeqCst) && self.idle.swap(false, Ordering::SeqCst) {
            // A dead actor's successor drains when it starts, a full mailbox's owner when it gets there.
            let _ = self.seat.get().map(|seat| seat.post(Drain));
        } else {
            self.bell.arrived(waiting);
        }
    }

    /// Moves what is in the lanes to `work`.
    pub(super) fn take(&self, work: &mut Work) {
        for lane in self.lanes.lock().iter() {
            let taken = lane.take(&mut work.events);
            if taken > 0 {
                work.owners.push((Arc::clone(lane), taken));
            }
        }
    }

    /// The actor has nothing to do; false if there is something after all.
    ///
    /// The flag is set before the lanes are looked at and read after one is pushed to, both around the
    /// lane's own lock, so one of the two sides always sees the other.
    pub(super) fn rest(&self) -> bool {
        self.idle.store(true, Ordering::SeqCst);
        self.lanes.lock().iter().all(|lane| lane.is_empty()) || !self.idle.swap(false, Ordering::SeqCst)
    }

    /// The log was taken over and ends there: whoever counts has to look.
    pub(super) fn stands(&self, work: &mut Work, end: End) {
        work.committed = Some(end.position.clone());
        self.inbox.stands(end);
    }

    /// Everything in `work` is on disk: tells the insight and the lanes.
    pub(super) fn settle(&self, work: &mut Work, end: End) -> usize {
        let count = work.events.len();
        let before = work.committed.replace(end.position.clone());
        self.inbox.post(before.as_ref().map(|it| &it.head), &work.events, end);
        work.events.clear();
        work.events.shrink_to(4_096);
        work.written = 0;
        self.committed.fetch_add(count as u64, Ordering::Relaxed);
        for (lane, taken) in work.owners.drain(..) {
            self.waiting.fetch_sub(taken, Ordering::SeqCst);
            lane.settle(taken);
        }
        count
    }

    /// Whether no place is reserved, and nothing that was written is still on its way to the disk.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting().load(Ordering::SeqCst) == 0 && self.lanes.lock().iter().all(|lane| lane.held() == 0)
    }

    /// The disk refused: whoever waits is told, and nothing more is let in.
    pub(super) fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
        self.failures.fetch_add(1, Ordering::SeqCst);
        self.wake_all();
    }

    pub(super) fn heal(&self) {
        self.failing.store(false, Ordering::SeqCst);
    }

    /// From now on nothing more is let in.
    pub(super) fn shut(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Nothing will be written any more: whoever still waits is told, and the slot is free.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.desk.home().release();
        self.wake_all();
        self.lanes.lock().clear();
    }

    fn wake_all(&self) {
        self.lanes.lock().iter().for_each(|lane| lane.wake());
    }

    /// Forgets lanes whose worker is gone.
    pub(super) fn forget_abandoned(&self) {
        self.lanes.lock().retain(|lane| !lane.is_abandoned());
    }

    pub(super) fn is_durable(&self) -> bool {
        self.desk.config.durability == Durability::Durable
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::SeqCst)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }

    /// Events in lanes or on their way to the disk.
    pub(super) fn waiting(&self) -> &AtomicU64 {
        &self.waiting
    }

    /// Events that were committed since the start.
    pub(super) fn total(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// Whether an event that is written now would be recorded.
    pub(super) fn is_open(&self) -> bool {
        !self.is_failing() && !self.is_closed() && self.is_alive()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.seat.get().is_some_and(|seat| seat.is_alive())
    }

    pub(super) fn status(&self) -> Status {
        if self.is_closed() || !self.is_alive() {
            Status::Down
        } else if self.is_failing() {
            Status::Failing
        } else {
            Status::Healthy
        }
    }
}

/// Lets the actor wait for company, and be called when it is there.
#[derive(Debug)]
pub(super) struct Bell {
    enough: AtomicU64,
    lock: Mutex<()>,
    rings: Condvar,
}

impl Default for Bell {
    fn default() -> Self {
        Self { enough: AtomicU64::new(u64::MAX), lock: Mutex::new(()), rings: Condvar::new() }
    }
}

impl Bell {
    /// Waits until `enough` events are waiting, at most `longest`.
    pub(super) fn wait(&self, waiting: &AtomicU64, enough: u64, longest: Duration) {
        let mut guard = self.lock.lock();
        self.enough.store(enough, Ordering::SeqCst);
        if waiting.load(Ordering::SeqCst) < enough {
            self.rings.wait_for(&mut guard, longest);
        }
        self.enough.store(u64::MAX, Ordering::SeqCst);
    }

    fn arrived(&self, waiting: u64) {
        if waiting == self.enough.load(Ordering::SeqCst) {
            drop(self.lock.lock());
            self.rings.notify_one();
        }
    }
}
