//! Room for large answers: what waits to be made ready, and what waits for a client that reads slowly, is bounded
//! together.

use std::{collections::HashMap, pin::pin, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::domain::Subject;

/// From how many bytes on an answer is large: smaller ones are bounded by the number of connections.
pub const LARGE: usize = 64 * 1024;
/// One caller has a quarter of the room at most, so that it keeps nobody else from theirs.
const SHARES: usize = 4;

/// Room for the bytes of large answers, and as much again for those that wait until there is some.
#[derive(Debug)]
pub struct AnswerRoom {
    answers: Room,
    waiting: Room,
    turns: Arc<Semaphore>,
}

/// Room for bytes. Clones share it.
#[derive(Debug, Clone)]
struct Room {
    held: Arc<Mutex<Held>>,
    freed: Arc<Notify>,
    most: usize,
}

/// What is held, in bytes.
#[derive(Debug, Default)]
struct Held {
    all: usize,
    by: HashMap<Subject, usize>,
}

/// The place of one answer; dropped, it is free again.
#[derive(Debug)]
pub struct Place {
    room: Room,
    who: Subject,
    bytes: usize,
}

impl AnswerRoom {
    /// Room for `most` bytes in all.
    pub fn new(most: usize) -> Self {
        Self {
            answers: Room::new(most / 2),
            waiting: Room::new(most / 2),
            turns: Arc::new(Semaphore::new(1)),
        }
    }

    /// A place for `bytes` of an answer to `who`; `None` if there is no room now, or not for `who`. Where nothing
    /// is held there is room for one, whatever its size.
    pub fn take(&self, who: &Subject, bytes: usize) -> Option<Place> {
        self.answers.take(who, bytes)
    }

    /// The turn to make an answer ready that has a place.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// A [place](Self::take) as soon as there is room for it; meanwhile `held` bytes wait. `None` if there is no room to wait in.
    pub async fn wait(&self, who: &Subject, (held, bytes): (usize, usize)) -> Option<Place> {
        if let Some(place) = self.take(who, bytes) {
            return Some(place);
        }
        let _seat = self.waiting.take(who, held)?;
        loop {
            let mut freed = pin!(self.answers.freed.notified());
            // From here on nothing that is freed is missed.
            freed.as_mut().enable();
            if let Some(place) = self.take(who, bytes) {
                return Some(place);
            }
            freed.await;
        }
    }

    /// A place for an answer that must not be refused any more: what it tells of has been done.
    pub fn insist(&self, who: &Subject, bytes: usize) -> Place {
        self.answers.insist(who, bytes)
    }
}

impl Room {
    fn new(most: usize) -> Self {
        Self { held: Arc::default(), freed: Arc::default(), most }
    }

    fn take(&self, who: &Subject, bytes: usize) -> Option<Place> {
        let mut held = self.held.lock();
        let own = held.by.get(who).copied().unwrap_or_default();
        let fits = |before: usize, most: usize| before == 0 || before.saturating_add(bytes) <= most;
        let has_room = fits(held.all, self.most) && fits(own, self.most / SHARES);
        has_room.then(|| {
            held.add(who, bytes);
            Place { room: self.clone(), who: who.clone(), bytes }
        })
    }

    fn insist(&self, who: &Subject, bytes: usize) -> Place {
        self.held.lock().add(who, bytes);
        Place { room: self.clone(), who: who.clone(), bytes }
    }
}

impl Place {
    /// Holds what the answer came to once it is made: less than was taken for it, or more.
    pub fn settle(&mut self, bytes: usize) {
        self.room.release(&self.who, self.bytes.saturating_sub(bytes));
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 {
            self.room.held.lock().add(&self.who, more);
        }
        self.bytes = bytes;
    }
}

impl Room {
    fn release(&self, who: &Subject, bytes: usize) {
        if bytes > 0 {
            self.held.lock().release(who, bytes);
            self.freed.notify_waiters();
        }
    }
}

impl Held {
    fn add(&mut self, who: &Subject, bytes: usize) {
        self.all = self.all.saturating_add(bytes);
        let own = self.by.entry(who.clone()).or_default();
        *own = own.saturating_add(bytes);
    }

    fn release(&mut self, who: &Subject, bytes: usize) {
        self.all = self.all.saturating_sub(bytes);
        if let Some(own) = self.by.get_mut(who) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                self.by.remove(who);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.release(&self.who, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn who(name: &str) -> Subject {
        name.parse().unwrap()
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for_and_a_place_comes_back() {
        let room = AnswerRoom::new(800);
        let mut places: Vec<_> = ["a", "b", "c"].map(|name| room.take(&who(name), 100).unwrap()).into();
        places.push(room.take(&who("d"), 100).unwrap());
        assert!(room.take(&who("e"), 1).is_none());
        places[0].settle(99);
        places.push(room.take(&who("e"), 1).unwrap());
        assert!(room.take(&who("f"), 1).is_none());
        drop(places);
        assert!(room.answers.held.lock().by.is_empty(), "nobody is remembered who holds nothing");
        assert_eq!(room.answers.held.lock().all, 0);
    }

    #[test]
    fn one_caller_has_a_quarter_and_always_one_answer() {
        let room = AnswerRoom::new(800);
        let _first = room.take(&who("a"), 60).unwrap();
        assert!(room.take(&who("a"), 41).is_none());
        let _second = room.take(&who("a"), 40).unwrap();
        let _other = room.take(&who("b"), 200).unwrap();
        assert!(room.take(&who("c"), 101).is_none(), "there is no room for it beside the others");
    }

    #[test]
    fn an_answer_waits_for_room_and_only_so_much_waits() {
        let (room, mut context) = (AnswerRoom::new(800), Context::from_waker(Waker::noop()));
        let held = room.take(&who("a"), 100).unwrap();
        let (name, other) = (who("a"), who("b"));
        let mut waits = pin!(room.wait(&name, (60, 50)));
        assert!(waits.as_mut().poll(&mut context).is_pending());
        let mut no_seat = pin!(room.wait(&name, (41, 50)));
        assert!(matches!(no_seat.as_mut().poll(&mut context), Poll::Ready(None)));
        let mut at_once = pin!(room.wait(&other, (1_000, 100)));
        assert!(matches!(at_once.as_mut().poll(&mut context), Poll::Ready(Some(_))));
        drop(held);
        assert!(matches!(waits.as_mut().poll(&mut context), Poll::Ready(Some(_))));
        assert!(room.waiting.held.lock().by.is_empty(), "whoever waits no longer keeps nobody from it");
    }

    #[test]
    fn an_answer_that_came_to_more_than_was_thought_holds_that() {
        let room = AnswerRoom::new(800);
        let mut place = room.take(&who("a"), 50).unwrap();
        place.settle(100);
        assert!(room.take(&who("a"), 1).is_none());
        drop(place);
        assert_eq!(room.answers.held.lock().all, 0);
    }

    #[test]
    fn what_is_larger_than_the_room_has_it_alone() {
        let room = AnswerRoom::new(800);
        let large = room.take(&who("a"), 1_000).unwrap();
        assert!(room.take(&who("b"), 1).is_none());
        let _told = room.insist(&who("b"), 1);
        drop(large);
        assert!(room.take(&who("c"), 1_000).is_none());
        assert!(room.take(&who("c"), 399).is_some());
    }
}
