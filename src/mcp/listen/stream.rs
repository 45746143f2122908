//! One subscription: what it is told of, what is to be told, and until when it may.

use std::{
    cell::{Cell, RefCell},
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    asked::{Flags, Wishes},
    hub::Watched,
    standing::Standing,
};
use crate::{domain::Change, edge::Busy, house::StreamPlace};

/// Longest silence.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How long something may wait to be taken. Then nobody reads, and the stream is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// One subscription.
pub(super) struct Stream {
    /// The id of the request that opened it, JSON text.
    pub(super) id: Box<str>,
    /// What it is told of.
    pub(super) honoured: Wishes,
    standing: Standing,
    due: Cell<Flags>,
    beats: Cell<bool>,
    /// When something was taken last, and since when something waits to be.
    taken: Cell<Instant>,
    waits: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
    /// What it takes up for as long as it is served.
    held: RefCell<(Option<StreamPlace>, Option<Busy>)>,
}

/// What is to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// These changes.
    Changes(Flags),
    /// That it ends.
    End,
    /// That it lives.
    Beat,
    /// Nothing yet.
    Nothing,
}

impl Stream {
    pub(super) fn new((id, honoured): (Box<str>, Wishes), standing: Standing, place: StreamPlace) -> Self {
        Self {
            id,
            honoured,
            standing,
            due: Cell::default(),
            beats: Cell::default(),
            taken: Cell::new(Instant::now()),
            waits: Cell::default(),
            waker: RefCell::default(),
            held: RefCell::new((Some(place), None)),
        }
    }

    /// Keeps what says that a handler runs on its connection.
    pub(super) fn hold(&self, busy: Busy) {
        self.held.borrow_mut().1 = Some(busy);
    }

    /// What is to be sent; it counts as sent then.
    pub(super) fn take(&self, waker: &Waker) -> Next {
        let next = if !self.due.get().is_empty() {
            Next::Changes(self.due.take())
        } else if self.standing.has_ended() {
            Next::End
        } else if self.beats.take() {
            Next::Beat
        } else {
            self.waits.set(None);
            *self.waker.borrow_mut() = Some(waker.clone());
            return Next::Nothing;
        };
        self.taken.set(Instant::now());
        next
    }

    /// Wakes whoever sends it, if there is something to send. `false` if nobody takes it: then it is over.
    fn wake_up(&self, clock: Instant) -> bool {
        let has_news = !self.due.get().is_empty() || self.standing.has_ended();
        if !has_news && clock.saturating_duration_since(self.taken.get()) >= HEARTBEAT {
            self.beats.set(true);
        }
        if !has_news && !self.beats.get() {
            return true;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        let since = self.waits.get().unwrap_or(clock);
        self.waits.set(Some(since));
        let is_read = clock.saturating_duration_since(since) < PATIENCE;
        if !is_read {
            // The connection ends as any other on which nothing happens.
            *self.held.borrow_mut() = (None, None);
            // On an edge that goes on without being read, whoever reads again is told that this is over.
            self.standing.end();
        }
        is_read
    }
}

impl Watched for Stream {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn hear(&self, news: &News) {
        let mut due = self.due.get();
        match news {
            News::Everything => due = Flags::all_of(&self.honoured),
            News::These(changes) => changes.iter().for_each(|change| due.add(&self.honoured.touched(change))),
        }
        self.due.set(due);
    }

    fn sees_other_tools(&self) {
        self.hear(&News::These(vec![Change::Tools]));
    }

    fn wake(&self, clock: Instant) -> bool {
        self.wake_up(clock)
    }
}

/// What has changed since the last look.
pub(in crate::mcp) enum News {
    /// So much that nobody can say.
    Everything,
    /// These.
    These(Vec<Change>),
}

impl News {
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::These(changes) if changes.is_empty())
    }
}
