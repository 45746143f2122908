//! Room for large answers: what is made ready, or waits for a client that reads slowly, is bounded together.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::domain::Subject;

/// From how many bytes on an answer is large: smaller ones are bounded by the number of connections.
pub const LARGE: usize = 64 * 1024;
/// One caller has a quarter of the room at most, so that it keeps nobody else from theirs.
const SHARES: usize = 4;

/// Room for the bytes of large answers. Clones share it.
#[derive(Debug, Clone)]
pub struct AnswerRoom {
    held: Arc<Mutex<Held>>,
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
    room: AnswerRoom,
    who: Subject,
    bytes: usize,
}

impl AnswerRoom {
    /// Room for `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// A place for `bytes` of an answer to `who`; `None` if there is no room now, or not for `who`. Where nothing
    /// is held there is room for one, whatever its size.
    pub fn take(&self, who: &Subject, bytes: usize) -> Option<Place> {
        let held = self.held.lock();
        let own = held.by.get(who).copied().unwrap_or_default();
        let fits = |before: usize, most: usize| before == 0 || before.saturating_add(bytes) <= most;
        let has_room = fits(held.all, self.most) && fits(own, self.most / SHARES);
        drop(held);
        has_room.then(|| self.insist(who, bytes))
    }

    /// The same for an answer that must not be refused any more: what it tells of has been done.
    pub fn insist(&self, who: &Subject, bytes: usize) -> Place {
        let mut held = self.held.lock();
        held.all = held.all.saturating_add(bytes);
        let own = held.by.entry(who.clone()).or_default();
        *own = own.saturating_add(bytes);
        Place { room: self.clone(), who: who.clone(), bytes }
    }
}

impl Place {
    /// Gives back what is over once the answer is made.
    pub fn shrink(&mut self, bytes: usize) {
        let over = self.bytes.saturating_sub(bytes);
        self.bytes -= over;
        self.room.held.lock().release(&self.who, over);
    }
}

impl Held {
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
        self.room.held.lock().release(&self.who, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Subject {
        name.parse().unwrap()
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for_and_a_place_comes_back() {
        let room = AnswerRoom::new(400);
        let mut places: Vec<_> = ["a", "b", "c"].map(|name| room.take(&who(name), 100).unwrap()).into();
        places.push(room.take(&who("d"), 100).unwrap());
        assert!(room.take(&who("e"), 1).is_none());
        places[0].shrink(99);
        places.push(room.take(&who("e"), 1).unwrap());
        assert!(room.take(&who("f"), 1).is_none());
        drop(places);
        assert!(room.held.lock().by.is_empty(), "nobody is remembered who holds nothing");
        assert_eq!(room.held.lock().all, 0);
    }

    #[test]
    fn one_caller_has_a_quarter_and_always_one_answer() {
        let room = AnswerRoom::new(400);
        let _first = room.take(&who("a"), 60).unwrap();
        assert!(room.take(&who("a"), 41).is_none());
        let _second = room.take(&who("a"), 40).unwrap();
        let _other = room.take(&who("b"), 200).unwrap();
        assert!(room.take(&who("c"), 101).is_none(), "there is no room for it beside the others");
    }

    #[test]
    fn what_is_larger_than_the_room_has_it_alone() {
        let room = AnswerRoom::new(400);
        let large = room.take(&who("a"), 1_000).unwrap();
        assert!(room.take(&who("b"), 1).is_none());
        let _told = room.insist(&who("b"), 1);
        drop(large);
        assert!(room.take(&who("c"), 1_000).is_none());
        assert!(room.take(&who("c"), 399).is_some());
    }
}
