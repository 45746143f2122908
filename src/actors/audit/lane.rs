//! What a worker holds of the log: a place reserved before something happens, filled when it has, and a
//! receipt to wait with until it is on disk.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout};

use super::{error::AuditError, shared::Shared, waiters::Waiters};
use crate::domain::AuditEvent;

/// Most events of one lane between reservation and commit.
pub const LANE_CAPACITY: u64 = 65_536;
/// Longest wait for a commit.
const COMMIT_DEADLINE: Duration = Duration::from_secs(5);

/// One worker's way into the log. Cheap to clone; clones share the way.
#[derive(Debug, Clone)]
pub struct Lane {
    state: Arc<LaneState>,
}

impl Lane {
    pub(super) fn new(state: Arc<LaneState>) -> Self {
        Self { state }
    }

    /// Makes sure that what happens next can be recorded, before it happens.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] while nothing can be recorded, [`AuditError::Full`] with
    /// [`LANE_CAPACITY`] events on their way.
    pub fn reserve(&self) -> Result<Slot, AuditError> {
        if !self.state.shared.is_open() {
            return Err(AuditError::Unavailable);
        }
        if self.state.held.fetch_add(1, Ordering::Relaxed) >= LANE_CAPACITY {
            self.state.held.fetch_sub(1, Ordering::Relaxed);
            return Err(AuditError::Full);
        }
        Ok(Slot { lane: Some(Arc::clone(&self.state)) })
    }

    /// Returns once everything that was written on this lane so far is recorded, whoever has its receipts or has
    /// dropped them. For what is rare: it is called at every commit.
    ///
    /// # Errors
    /// As [`Receipt::committed`].
    pub async fn recorded(&self) -> Result<(), AuditError> {
        let shared = &self.state.shared;
        if !shared.is_durable() {
            return Ok(());
        }
        let failures = shared.failures();
        let wait = Wait { lane: Arc::clone(&self.state), ticket: self.state.last(), failures };
        let ended = async {
            loop {
                let mut news = pin!(self.state.news.notified());
                // Whatever ended before it entered called nobody; whatever ends from now on does.
                news.as_mut().enable();
                if let Some(end) = wait.ended() {
                    return end;
                }
                news.await;
            }
        };
        timeout(COMMIT_DEADLINE, ended).await.unwrap_or(Err(AuditError::Unavailable))
    }
}

/// A place in the log for one event. Dropped unwritten, it is given back.
#[derive(Debug)]
#[must_use = "a place that is not written to records nothing"]
pub struct Slot {
    lane: Option<Arc<LaneState>>,
}

impl Slot {
    /// Hands the event over. Cannot fail: that was settled when the place was reserved.
    pub fn write(mut self, event: AuditEvent) -> Receipt {
        let Some(lane) = self.lane.take() else { return Receipt { wait: None } };
        let failures = lane.shared.failures();
        // Counted before it is there, so that the actor never takes what is not counted.
        let waiting = lane.shared.count();
        let ticket = lane.push(event);
        lane.shared.arrived(waiting);
        let durable = lane.shared.is_durable();
        Receipt { wait: durable.then_some(Wait { lane, ticket, failures }) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(lane) = &self.lane {
            lane.held.fetch_sub(1, Ordering::Release);
        }
    }
}

/// Stands for one written event until it is committed. May be dropped; the event stays.
#[derive(Debug, Default)]
pub struct Receipt {
    wait: Option<Wait>,
}

impl Receipt {
    /// Returns once the event is recorded: in durable mode when it is on disk, else at once.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] if the disk refuses or takes longer than 5 s. The event may still be
    /// written later, but nobody may rely on it.
    pub async fn committed(self) -> Result<(), AuditError> {
        let Some(wait) = self.wait else { return Ok(()) };
        if wait.lane.settled() >= wait.ticket {
            return Ok(());
        }
        let waiting = Waiting { wait: &wait, entered: false };
        timeout(COMMIT_DEADLINE, waiting).await.unwrap_or(Err(AuditError::Unavailable))
    }
}

#[derive(Debug)]
struct Wait {
    lane: Arc<LaneState>,
    /// Which of the lane's events this is, from 1.
    ticket: u64,
    /// How often the disk had failed when the event was written.
    failures: u64,
}

impl Wait {
    fn ended(&self) -> Option<Result<(), AuditError>> {
        if self.lane.settled() >= self.ticket {
            return Some(Ok(()));
        }
        let shared = &self.lane.shared;
        let refused = shared.is_failing() || shared.has_ended() || shared.failures() != self.failures;
        refused.then_some(Err(AuditError::Unavailable))
    }
}

/// Ends when its event does.
struct Waiting<'a> {
    wait: &'a Wait,
    /// Whether it stands in the lane's line.
    entered: bool,
}

impl Future for Waiting<'_> {
    type Output = Result<(), AuditError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let wait = self.wait;
        if let Some(end) = wait.ended() {
            self.leave();
            return Poll::Ready(end);
        }
        wait.lane.waiters.enter(wait.ticket, context.waker());
        self.entered = true;
        // Whatever ended before it entered called nobody; whatever ends from now on does.
        let Some(end) = wait.ended() else { return Poll::Pending };
        self.leave();
        Poll::Ready(end)
    }
}

impl Waiting<'_> {
    fn leave(&mut self) {
        if std::mem::take(&mut self.entered) {
            self.wait.lane.waiters.leave(self.wait.ticket, || self.wait.lane.settled());
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The shared half of a lane: workers push, the actor takes and settles.
#[derive(Debug)]
pub(super) struct LaneState {
    shared: Arc<Shared>,
    queue: Mutex<Queue>,
    /// Events of this lane that are on disk: those with a ticket up to this.
    settled: AtomicU64,
    /// Places reserved or written and not settled.
    held: AtomicU64,
    /// Who waits for events that are not settled.
    waiters: Waiters,
    /// Calls whoever waits for no event of their own.
    news: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    events: Vec<AuditEvent>,
    /// Ticket of the event that was pushed last.
    last: u64,
}

impl LaneState {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            queue: Mutex::default(),
            settled: AtomicU64::new(0),
            held: AtomicU64::new(0),
            waiters: Waiters::default(),
            news: Notify::new(),
        }
    }

    fn push(&self, event: AuditEvent) -> u64 {
        let mut queue = self.queue.lock();
        queue.events.push(event);
        queue.last += 1;
        queue.last
    }

    /// Ticket of the event that was pushed last.
    fn last(&self) -> u64 {
        self.queue.lock().last
    }

    fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// Moves every event that is here to the end of `events`; says how many.
    pub(super) fn take(&self, events: &mut Vec<AuditEvent>) -> u64 {
        let mut queue = self.queue.lock();
        let taken = queue.events.len() as u64;
        events.append(&mut queue.events);
        // What one burst needed is not kept for ever.
        queue.events.shrink_to(4_096);
        taken
    }

    /// Places reserved or written and not settled.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    /// Whether no event waits to be taken.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.lock().events.is_empty()
    }

    /// Whether nobody holds the lane any more and nothing of it is on its way.
    pub(super) fn is_abandoned(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 && self.is_empty()
    }

    /// The next `count` events of this lane are on disk.
    pub(super) fn settle(&self, count: u64) {
        let settled = self.settled.fetch_add(count, Ordering::Release) + count;
        self.held.fetch_sub(count, Ordering::Release);
        self.waiters.call(settled);
        self.news.notify_waiters();
    }

    /// Has every waiter look again.
    pub(super) fn wake(&self) {
        self.waiters.call_all();
        self.news.notify_waiters();
    }
}
