//! One session: whose it is, what its client can and wants, and what is under way in it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::oneshot, task::AbortHandle};

use super::{
    SessionRules,
    due::Due,
    id::SessionId,
    lines::{COMMON, Held, Lines, Read, Reader},
};
use crate::{
    domain::PermissionSet,
    domain::{Change, Subject},
    protocol::{LogLevel, Revision},
};

/// Most questions of one session that wait for an answer.
const MOST_ASKED: usize = 32;

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
    born: Instant,
    /// When it was used last, milliseconds after it was born.
    used: AtomicU64,
    /// The least grave log message that is told.
    level: AtomicU8,
    state: Mutex<State>,
}

struct State {
    is_over: bool,
    due: Due,
    lines: Lines,
    asked: HashMap<Box<str>, (PermissionSet, oneshot::Sender<Reply>)>,
    calls: HashMap<Box<str>, AbortHandle>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("owner", &self.opening.owner).finish_non_exhaustive()
    }
}

/// What a client has answered to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// This, JSON text.
    Result(Box<str>),
    /// That it cannot.
    Error,
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
        Self {
            id,
            opening,
            born: now,
            used: AtomicU64::new(0),
            level: AtomicU8::new(LogLevel::Info as u8),
            state: Mutex::new(State {
                is_over: false,
                due: Due::default(),
                lines: Lines::new(rules.buffer),
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

    /// It is used.
    pub(super) fn touch(&self, now: Instant) {
        let age = u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX);
        self.used.fetch_max(age, Ordering::Relaxed);
    }

    /// Whether it has ended, or nobody has used it for too long, or it is too old.
    pub(super) fn is_over(&self, rules: &SessionRules, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.born);
        let idle = age.saturating_sub(Duration::from_millis(self.used.load(Ordering::Relaxed)));
        let state = self.state.lock();
        state.is_over || age >= rules.absolute || (idle >= rules.idle && !state.lines.is_read())
    }

    /// Looks after its streams: one that is read keeps it alive, one that has ended long ago is forgotten.
    pub(super) fn tend(&self, now: Instant) {
        let mut state = self.state.lock();
        state.lines.sweep(now);
        if state.lines.is_read() {
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
        self.state.lock().lines.push(line, must, make)
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

    /// Begins to wait for the answer to a question on behalf of whoever `had` these permissions; gives the id that the
    /// question must have. `None` if there are too many, or it has ended.
    pub fn ask(self: &Arc<Self>, had: PermissionSet) -> Option<Question> {
        let id: Box<str> = format!("{:032x}", rand::random::<u128>()).into();
        let (answers, answer) = oneshot::channel();
        let mut state = self.state.lock();
        if state.is_over || state.asked.len() >= MOST_ASKED {
            return None;
        }
        state.asked.insert(id.clone(), (had, answers));
        drop(state);
        Some(Question { session: Arc::clone(self), id, answer })
    }

    /// Brings the answer to the question `id`; `false` if nobody waits for it, or not for one of somebody who `has` less
    /// than whoever asked. One is taken once.
    pub fn answer(&self, id: &str, reply: Reply, has: PermissionSet) -> bool {
        let mut state = self.state.lock();
        if state.asked.get(id).is_none_or(|(had, _)| had.intersection(has) != *had) {
            return false;
        }
        let waits = state.asked.remove(id);
        drop(state);
        waits.is_some_and(|(_, waits)| waits.send(reply).is_ok())
    }

    /// How many questions wait for an answer.
    pub fn asked(&self) -> usize {
        self.state.lock().asked.len()
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

/// A question that waits for its answer; dropped, nobody does.
#[derive(Debug)]
pub struct Question {
    session: Arc<Session>,
    id: Box<str>,
    answer: oneshot::Receiver<Reply>,
}

impl Question {
    /// The id that it must be asked under.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The answer; `None` once the session has ended.
    pub async fn answered(mut self) -> Option<Reply> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.session.state.lock().asked.remove(&self.id);
    }
}
