//! One subscription: what it is told of, what is to be told, and until when it may.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use super::asked::{Flags, Wishes};
use crate::{
    auth::{Look, Proof},
    domain::{Change, Principal, Timestamp},
    edge::Busy,
    house::{House, StreamPlace},
};

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
    proof: RefCell<Option<Proof>>,
    principal: RefCell<Arc<Principal>>,
    epoch: Cell<u64>,
    due: Cell<Flags>,
    beats: Cell<bool>,
    ends: Cell<bool>,
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
    pub(super) fn new(
        (id, honoured): (Box<str>, Wishes),
        (proof, principal, epoch): (Proof, Arc<Principal>, u64),
        place: StreamPlace,
    ) -> Self {
        Self {
            id,
            honoured,
            proof: RefCell::new(Some(proof)),
            principal: RefCell::new(principal),
            epoch: Cell::new(epoch),
            due: Cell::default(),
            beats: Cell::default(),
            ends: Cell::default(),
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
        } else if self.ends.get() {
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

    /// Keeps what `news` say; wakes nobody.
    pub(super) fn hear(&self, news: &News) {
        let mut due = self.due.get();
        match news {
            News::Everything => due = Flags::all_of(&self.honoured),
            News::These(changes) => changes.iter().for_each(|change| due.add(&self.honoured.touched(change))),
        }
        self.due.set(due);
    }

    /// Ends it, once what is due is told.
    pub(super) fn end(&self) {
        self.ends.set(true);
    }

    /// Whether its credential has to be held against what has changed; ends it if it has ended.
    pub(super) fn needs_renewal(&self, house: &House, at: (Timestamp, Instant)) -> bool {
        let proof = self.proof.borrow();
        match proof.as_ref().map(|proof| proof.holds(house.against(), self.epoch.get(), at)) {
            Some(Look::Holds) => false,
            Some(Look::Again) => true,
            Some(Look::Over) | None => {
                self.end();
                false
            }
        }
    }

    /// Holds its credential against what has changed. Whoever may see other tools now is told so; whoever has
    /// lost anything begins anew.
    pub(super) async fn renew(&self, house: &House, now: Timestamp) {
        // Read before the credential is looked at, so that a change in between is seen the next time.
        let epoch = house.services.epoch.now();
        let Some(mut proof) = self.proof.take() else { return };
        let renewed = proof.renew(house.against(), now).await;
        *self.proof.borrow_mut() = Some(proof);
        let Ok(principal) = renewed else { return self.end() };
        self.epoch.set(epoch);
        let before = std::mem::replace(&mut *self.principal.borrow_mut(), Arc::clone(&principal));
        let (had, has) = (before.permissions, principal.permissions);
        if house.views.tools_differ(had, has) {
            self.hear(&News::These(vec![Change::Tools]));
        }
        if had.intersection(has) != had {
            self.end();
        }
    }

    /// Ends it if the look at its credential did not come to an end.
    pub(super) fn end_if_unproved(&self) {
        if self.proof.borrow().is_none() {
            self.end();
        }
    }

    /// Wakes whoever sends it if there is something to send. `false` if nobody takes it: then it is over.
    pub(super) fn wake(&self, clock: Instant) -> bool {
        let has_news = !self.due.get().is_empty() || self.ends.get();
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
            self.end();
        }
        is_read
    }
}

/// What has changed since the last look.
pub(super) enum News {
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
