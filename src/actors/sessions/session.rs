//! One session: whose it is, what its client can and wants, and what is under way in it.

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::{
    SessionRules,
    due::Due,
    id::SessionId,
    lines::{COMMON, Held, Lines, Read, Reader},
    questions::Asked,
};
use crate::{
    domain::{Change, PermissionSet, Subject},
    protocol::{LogLevel, Revision},
    store::SessionRow,
};

/// What a session is opened with.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Whose it will be.
    pub owner: Subject,
    /// What was agreed on.
    pub revision: Revision,
    /// What the client says that it can do, JSON text of an object.
    pub capabilities: Box<str>,
}

/// One session. It is found by its id and its owner, and gives no right to anything.
pub struct Session {
    id: SessionId,
    opening: Opening,
    /// Since when it is known here.
    since: Instant,
    /// How old it was then; `None` if servers do not share it.
    before: Option<Duration>,
    /// When it was used last, as its age in milliseconds.
    used: AtomicU64,
    /// The use that the other servers were told of last.
    told: AtomicU64,
    /// The least grave log message that is told.
    level: AtomicU8,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) is_over: bool,
    due: Due,
    lines: Lines,
    pub(super) asked: HashMap<Box<str>, Asked>,
    calls: HashMap<Box<str>, AbortHandle>,
}

impl State {
    /// Whether a stream is read, an answer is waited for, or a call runs.
    fn is_in_use(&self) -> bool {
        self.lines.is_read() || !self.asked.is_empty() || !self.calls.is_empty()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("owner", &self.opening.owner).finish_non_exhaustive()
    }
}

/// What a stream of a session is to write next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This event.
    Event(Bytes),
    /// That these have changed.
    Changes(Vec<Change>),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    Over,
}

impl Session {
    pub(super) fn new(id: SessionId, opening: Opening, rules: &SessionRules, now: Instant) -> Self {
        Self::of((id, opening), None, Lines::new(rules.buffer, 0), now)
    }

    /// One that servers share, so old by now.
    pub(super) fn shared(
        id: SessionId,
        (row, age): (SessionRow, Duration),
        rules: &SessionRules,
        now: Instant,
    ) -> Self {
        let SessionRow { owner, revision, capabilities, level, uris, .. } = row;
        let opening = Opening { owner, revision, capabilities };
        let session = Self::of((id, opening), Some(age), Lines::new(rules.buffer, rand::random()), now);
        session.touch(now);
        session.set_level(level);
        session.state.lock().due.follow(&uris);
        session
    }

    fn of((id, opening): (SessionId, Opening), before: Option<Duration>, lines: Lines, now: Instant) -> Self {
        Self {
            id,
            opening,
            since: now,
            before,
            used: AtomicU64::new(0),
            told: AtomicU64::new(0),
            level: AtomicU8::new(LogLevel::Info as u8),
            state: Mutex::new(State {
                is_over: false,
                due: Due::default(),
                lines,
                asked: HashMap::new(),
                calls: HashMap::new(),
            }),
        }
    }

    /// Its name.
    pub const fn id(&self) -> &SessionId {
        &self.id
    }

    /// Whose it is.
    pub const fn owner(&self) -> &Subject {
        &self.opening.owner
    }

    /// The revision that was agreed on.
    pub const fn revision(&self) -> Revision {
        self.opening.revision
    }

    /// What the client says that it can do, JSON text.
    pub fn capabilities(&self) -> &str {
        &self.opening.capabilities
    }

    /// The least grave log message that its client wants to see.
    pub fn level(&self) -> LogLevel {
        let level = self.level.load(Ordering::Relaxed);
        LogLevel::ALL.into_iter().find(|known| *known as u8 == level).unwrap_or(LogLevel::Info)
    }

    /// Has its client see what is at least as grave as `level`.
    pub fn set_level(&self, level: LogLevel) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// Whether other servers know it too.
    pub(super) const fn is_shared(&self) -> bool {
        self.before.is_some()
    }

    /// What its client wants and when it was used, as other servers have told it.
    pub(super) fn follow(&self, row: &SessionRow, rules: &SessionRules, now: Instant) {
        let idle = rules.lives().saturating_sub(row.lives);
        let used = u64::try_from(self.age(now).saturating_sub(idle).as_millis()).unwrap_or(u64::MAX);
        self.used.fetch_max(used, Ordering::Relaxed);
        self.told_used(used);
        self.set_level(row.level);
        self.state.lock().due.follow(&row.uris);
    }

    fn age(&self, now: Instant) -> Duration {
        self.before.unwrap_or_default() + now.saturating_duration_since(self.since)
    }

    /// It is used.
    pub(super) fn touch(&self, now: Instant) {
        let age = u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX);
        self.used.fetch_max(age, Ordering::Relaxed);
    }

    /// Its last use, if the other servers are to be told of that, and how long it then lives from now on.
    pub(super) fn untold_use(&self, rules: &SessionRules, now: Instant) -> Option<(u64, Duration)> {
        let (used, told) = (self.used.load(Ordering::Relaxed), self.told.load(Ordering::Relaxed));
        let untold = Duration::from_millis(used.saturating_sub(told));
        if !self.is_shared() || untold.is_zero() || untold < rules.told_every() {
            return None;
        }
        let age = self.age(now);
        let idle = age.saturating_sub(Duration::from_millis(used));
        let lives = rules.lives().saturating_sub(idle).min(rules.absolute.saturating_sub(age));
        Some((used, lives))
    }

    /// The other servers know of that use.
    pub(super) fn told_used(&self, used: u64) {
        self.told.fetch_max(used, Ordering::Relaxed);
    }

    /// Whether it has ended, or nobody has used it for too long, or it is too old.
    pub(super) fn is_over(&self, rules: &SessionRules, now: Instant) -> bool {
        let idle = self.age(now).saturating_sub(Duration::from_millis(self.used.load(Ordering::Relaxed)));
        self.has_ended(rules, now) || (idle >= rules.idle && !self.state.lock().is_in_use())
    }

    /// Whether it has ended or is too old, whoever uses it.
    pub(super) fn has_ended(&self, rules: &SessionRules, now: Instant) -> bool {
        self.age(now) >= rules.absolute || self.state.lock().is_over
    }

    /// Looks after what is under way in it, which keeps it alive; a stream that has ended long ago is forgotten.
    pub(super) fn tend(&self, now: Instant) {
        let mut state = self.state.lock();
        state.lines.sweep(now);
        if state.is_in_use() {
            drop(state);
            self.touch(now);
        }
    }

    /// Ends it: its streams end, nobody waits for an answer any more.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        state.asked.clear();
        state.calls.clear();
        state.lines.clear();
    }

    /// Keeps that `changes` are to be told; `None` says that nobody knows what has changed.
    pub fn hear(&self, changes: Option<&[Change]>) {
        let mut state = self.state.lock();
        if state.due.hear(changes) {
            state.lines.wake(COMMON);
        }
    }

    /// Wants to be told of the resource `uri`; `false` if it wants to be told of too many.
    pub fn subscribe(&self, uri: &str) -> bool {
        self.state.lock().due.subscribe(uri)
    }

    /// Does not want to be told of it any more.
    pub fn unsubscribe(&self, uri: &str) {
        self.state.lock().due.unsubscribe(uri);
    }

    /// A line of events of its own for a request of whoever `had` these permissions; `None` if there are too many, or
    /// it has ended.
    pub fn open_line(&self, had: PermissionSet) -> Option<u32> {
        let mut state = self.state.lock();
        if state.is_over { None } else { state.lines.open(had) }
    }

    /// Drops a line that nobody needs.
    pub fn drop_line(&self, line: u32) {
        self.state.lock().lines.remove(line);
    }

    /// Adds the event that `make` writes under the name that it is given. One that need not be read is dropped where
    /// there is no room.
    pub fn push(&self, line: u32, must: bool, make: impl FnOnce(&str) -> Bytes) -> bool {
        self.state.lock().lines.push(line, (must, PermissionSet::EMPTY), make)
    }

    /// Adds one that must be read to the common line; whoever lacks what it `needs` is not told of it, also if it comes
    /// back.
    pub fn tell(&self, needs: PermissionSet, make: impl FnOnce(&str) -> Bytes) -> bool {
        self.state.lock().lines.push(COMMON, (true, needs), make)
    }

    /// Ends a line, whose events `held` belongs to.
    pub fn close_line(&self, line: u32, now: Instant, held: Vec<Held>) {
        self.state.lock().lines.close(line, now, held);
    }

    /// Has whoever reads the line go, to come back for the rest.
    pub fn let_go(&self, line: u32) {
        self.state.lock().lines.let_go(line);
    }

    /// Reads a line, all of it or what stands behind the event `after`; whoever has read it so far is over. `None` if
    /// this session has no such line or event, or it was begun by somebody who might do more than `has`.
    pub fn attach(&self, line: u32, after: Option<u64>, has: PermissionSet) -> Option<Reader> {
        self.state.lock().lines.attach(line, after, has)
    }

    /// A name for an event that says nothing, for whoever begins to read; `None` if there is something to be read
    /// already.
    pub fn first(&self, reader: &Reader) -> Option<String> {
        self.state.lock().lines.first(reader)
    }

    /// A line is not read any more.
    pub fn detach(&self, reader: &Reader) {
        self.state.lock().lines.detach(reader);
    }

    /// What is to be written next; it counts as written then.
    pub fn read(&self, reader: &mut Reader, waker: &Waker) -> Next {
        let mut state = self.state.lock();
        if state.is_over {
            return Next::Over;
        }
        match state.lines.read(reader, waker) {
            Read::Event(bytes) => Next::Event(bytes),
            Read::Over => Next::Over,
            Read::Nothing if reader.line() == COMMON && !state.due.is_empty() => {
                Next::Changes(state.due.take())
            }
            Read::Nothing => Next::Nothing,
        }
    }

    /// Whether there is something that this reader has not read.
    pub fn has_more(&self, reader: &Reader) -> bool {
        let state = self.state.lock();
        let is_due = reader.line() == COMMON && !state.due.is_empty();
        state.is_over || is_due || state.lines.has_more(reader)
    }

    /// Keeps that the request `id`, JSON text, is under way, and how it is ended.
    pub fn begin(&self, id: &str, abort: AbortHandle) {
        let mut state = self.state.lock();
        if !state.is_over {
            state.calls.insert(id.into(), abort);
        }
    }

    /// The request is done.
    pub fn done(&self, id: &str, abort: &AbortHandle) {
        let mut state = self.state.lock();
        // Another one may have come under the same id.
        if state.calls.get(id).is_some_and(|known| known.id() == abort.id()) {
            state.calls.remove(id);
        }
    }

    /// Cancels the request `id`, JSON text; `false` if there is none under way.
    pub fn cancel(&self, id: &str) -> bool {
        let call = self.state.lock().calls.remove(id);
        call.is_some_and(|call| {
            call.abort();
            true
        })
    }
}
