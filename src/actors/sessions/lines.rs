//! The streams of one session, each a line of numbered events that a client can come back to. Pure.
//!
//! What was written to a client is kept for as long as there is room, the oldest goes first; what was not written yet
//! stays if it must be read, on top of what there is room for, and is dropped when it comes if it need not be and there
//! is no room.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::domain::PermissionSet;

/// Most lines of one session at once, the one that GET opens among them.
pub const MOST_LINES: usize = 32;
/// How long a line that has ended is kept for its client.
const KEPT: Duration = Duration::from_secs(60);
/// What an event takes beside its bytes.
const OVERHEAD: usize = 64;

/// The line of what belongs to no request.
pub const COMMON: u32 = 0;

/// Something that is held for as long as the events of a line are.
pub type Held = Box<dyn Any + Send>;

/// The lines of a session.
#[derive(Debug)]
pub(super) struct Lines {
    all: Vec<Line>,
    next: u32,
    kept: usize,
    most: usize,
}

struct Line {
    number: u32,
    /// What whoever began it might do: nobody who may less comes back to what it was told.
    had: PermissionSet,
    /// The number of the first event that it ever had.
    first: u64,
    /// The number of the next event.
    next: u64,
    events: VecDeque<Event>,
    /// The first event that was not written to anybody.
    unsent: u64,
    /// Who reads it now: whoever came last.
    reader: Option<u32>,
    readers: u32,
    /// Whether it goes once it has read everything.
    goes: bool,
    waker: Option<Waker>,
    over: Option<Instant>,
    held: Vec<Held>,
}

/// An event that is kept.
struct Event {
    number: u64,
    bytes: Bytes,
    /// What it takes to be told of it: whoever may less passes it over.
    needs: PermissionSet,
}

impl Event {
    fn weight(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }

    fn is_for(&self, reader: &Reader) -> bool {
        self.number >= reader.at && self.needs.intersection(reader.has) == self.needs
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Whoever reads a line, and where in it.
#[derive(Debug)]
pub struct Reader {
    line: u32,
    turn: u32,
    at: u64,
    /// What it may be told of.
    has: PermissionSet,
}

impl Reader {
    /// The line that it reads.
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// From now on it is told of what whoever `has` these permissions may know.
    pub const fn may(&mut self, has: PermissionSet) {
        self.has = has;
    }
}

/// What is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// This event.
    Event(Bytes),
    /// Nothing yet.
    Nothing,
    /// Nothing any more: the line has ended, or somebody else reads it.
    Over,
}

impl Line {
    fn new(number: u32, had: PermissionSet, first: u64) -> Self {
        Self {
            number,
            had,
            first,
            next: first,
            events: VecDeque::new(),
            unsent: first,
            reader: None,
            readers: 0,
            goes: false,
            waker: None,
            over: None,
            held: Vec::new(),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn weight(&self) -> usize {
        self.events.iter().map(Event::weight).sum()
    }
}

impl Lines {
    /// The common line alone, and room for `most` bytes of events. Its events and the other lines are numbered from
    /// `seed` on: of servers that share a session none has a name of another's, so nobody comes back to what is not
    /// kept there.
    pub(super) fn new(most: usize, seed: u32) -> Self {
        let common = Line::new(COMMON, PermissionSet::default(), seed.into());
        // Half of all numbers are left for new lines.
        Self { all: vec![common], next: COMMON + 1 + seed / 2, kept: 0, most }
    }

    fn line(&mut self, number: u32) -> Option<&mut Line> {
        self.all.iter_mut().find(|line| line.number == number)
    }

    /// A new line for whoever `had` these permissions; `None` if all are in use. One that has ended makes room.
    pub(super) fn open(&mut self, had: PermissionSet) -> Option<u32> {
        if self.all.len() >= MOST_LINES {
            let ended = self.all.iter().find(|line| line.over.is_some() && line.reader.is_none())?.number;
            self.remove(ended);
        }
        let number = self.next;
        self.next = self.next.checked_add(1)?;
        self.all.push(Line::new(number, had, 0));
        Some(number)
    }

    /// Drops a line with all that it holds.
    pub(super) fn remove(&mut self, number: u32) {
        if let Some(at) = self.all.iter().position(|line| line.number == number) {
            let mut line = self.all.remove(at);
            self.kept = self.kept.saturating_sub(line.weight());
            line.wake();
        }
    }

    /// Adds the event that `make` writes under the name that it is given, for whoever has what it `needs`; `false` if
    /// there is no such line, or no room for what need not be read.
    pub(super) fn push(
        &mut self,
        number: u32,
        (must, needs): (bool, PermissionSet),
        make: impl FnOnce(&str) -> Bytes,
    ) -> bool {
        let Some(line) = self.line(number).filter(|line| line.over.is_none()) else { return false };
        let bytes = make(&format!("{number}-{}", line.next));
        let weight = bytes.len() + OVERHEAD;
        self.trim(weight);
        if !must && self.kept + weight > self.most {
            return false;
        }
        self.kept += weight;
        if let Some(line) = self.line(number) {
            line.events.push_back(Event { number: line.next, bytes, needs });
            line.next += 1;
            line.wake();
        }
        true
    }

    /// Ends a line: what is in it can still be read for a while.
    pub(super) fn close(&mut self, number: u32, now: Instant, held: Vec<Held>) {
        if let Some(line) = self.line(number) {
            line.over = Some(now);
            // What was written and is not kept takes up nothing.
            line.held = if line.events.is_empty() { Vec::new() } else { held };
            line.wake();
        }
    }

    /// Has whoever reads the line go, once it has read what is there; it can be come back to.
    pub(super) fn let_go(&mut self, number: u32) {
        if let Some(line) = self.line(number) {
            line.goes = line.reader.is_some();
            line.wake();
        }
    }

    /// Reads a line from what was not written yet, or from behind the event `after`. Whoever has read it so far is
    /// over. `None` if there is no such line or event for whoever `has` these permissions.
    pub(super) fn attach(&mut self, number: u32, after: Option<u64>, has: PermissionSet) -> Option<Reader> {
        let line = self.line(number).filter(|line| line.had.intersection(has) == line.had)?;
        if after.is_some_and(|after| !(line.first..line.next).contains(&after)) {
            return None;
        }
        line.goes = false;
        line.readers += 1;
        line.reader = Some(line.readers);
        line.wake();
        let at = after.map_or(line.unsent, |after| after + 1);
        Some(Reader { line: number, turn: line.readers, at, has })
    }

    /// A name for an event that says nothing, for whoever begins to read: it is not kept. `None` if there is something
    /// to be read already.
    pub(super) fn first(&mut self, reader: &Reader) -> Option<String> {
        let line = self.line(reader.line).filter(|line| line.reader == Some(reader.turn))?;
        if line.events.iter().any(|event| event.is_for(reader)) {
            return None;
        }
        let name = format!("{}-{}", line.number, line.next);
        line.next += 1;
        Some(name)
    }

    /// It is not read any more.
    pub(super) fn detach(&mut self, reader: &Reader) {
        if let Some(line) = self.line(reader.line).filter(|line| line.reader == Some(reader.turn)) {
            line.reader = None;
            line.waker = None;
        }
    }

    /// What is to be written next; it counts as written then.
    pub(super) fn read(&mut self, reader: &mut Reader, waker: &Waker) -> Read {
        let Some(line) = self.line(reader.line).filter(|line| line.reader == Some(reader.turn)) else {
            return Read::Over;
        };
        if let Some(event) = line.events.iter().find(|event| event.is_for(reader)) {
            let bytes = event.bytes.clone();
            reader.at = event.number + 1;
            line.unsent = line.unsent.max(reader.at);
            self.trim(0);
            return Read::Event(bytes);
        }
        if line.goes {
            line.reader = None;
        }
        if line.over.is_some() || line.goes {
            return Read::Over;
        }
        line.waker = Some(waker.clone());
        Read::Nothing
    }

    /// Whether there is something that this reader has not read.
    pub(super) fn has_more(&self, reader: &Reader) -> bool {
        let line = self.all.iter().find(|line| line.number == reader.line);
        let unread = |event: &&Event| event.number >= reader.at;
        let has_event =
            |line: &Line| line.events.iter().rev().take_while(unread).any(|event| event.is_for(reader));
        line.is_none_or(|line| line.reader != Some(reader.turn) || line.over.is_some() || has_event(line))
    }

    /// Whether anybody reads anything.
    pub(super) fn is_read(&self) -> bool {
        self.all.iter().any(|line| line.reader.is_some())
    }

    /// Forgets lines that have ended long ago.
    pub(super) fn sweep(&mut self, now: Instant) {
        let is_old = |line: &Line| {
            line.reader.is_none() && line.over.is_some_and(|over| now.saturating_duration_since(over) >= KEPT)
        };
        while let Some(old) = self.all.iter().find(|line| is_old(line)).map(|line| line.number) {
            self.remove(old);
        }
    }

    /// Wakes whoever reads `number`.
    pub(super) fn wake(&mut self, number: u32) {
        if let Some(line) = self.line(number) {
            line.wake();
        }
    }

    /// Drops all lines; whoever reads one is over.
    pub(super) fn clear(&mut self) {
        self.all.iter_mut().for_each(Line::wake);
        self.all.clear();
        self.kept = 0;
    }

    /// Makes room for `more` bytes among what was written, of the oldest line first.
    fn trim(&mut self, more: usize) {
        while self.kept + more > self.most {
            let written =
                |line: &&mut Line| line.events.front().is_some_and(|event| event.number < line.unsent);
            let Some(line) = self.all.iter_mut().find(written) else { return };
            if let Some(event) = line.events.pop_front() {
                self.kept = self.kept.saturating_sub(event.weight());
            }
            if line.over.is_some() && line.events.is_empty() {
                line.held.clear();
            }
        }
    }
}

/// The line and the number that the name of an event says.
pub fn event_of(name: &str) -> Option<(u32, u64)> {
    let (line, number) = name.split_once('-')?;
    let plain = |text: &str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    (plain(line) && plain(number)).then(|| Some((line.parse().ok()?, number.parse().ok()?)))?
}
