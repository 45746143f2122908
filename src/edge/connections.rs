//! What is known of each connection, and the end of those on which nothing happens.
//!
//! actix bounds the head of a connection's first request and the pause between two; from the second
//! request on a head may take for ever, and so may a client that never reads its answers (both run
//! against actix-http 3.20). So each worker knows its connections, and ends those on which no handler has
//! run for a while, where to drip bytes gains nothing over staying idle, and those that do not take what
//! they were answered.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    task::{Context, Waker},
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest,
    dev::Extensions,
    http::header::{self, HeaderMap},
    rt,
};
use tokio::sync::watch;

use super::turn;

/// Most bytes that are read of a connection before something of it has been answered or carried out, bodies
/// aside: actix-http makes requests of all that it has read, however many these are, and the smallest weighs
/// thirty times its bytes then.
pub(super) const PIECE: usize = 2 * 1024;
/// What may be read while a handler runs, so that a client that hangs up meanwhile is noticed.
const SPARE: usize = 256;
/// Longest time without a running handler: a little over [`super::KEEP_ALIVE`], so that actix ends idle
/// connections itself and this ends only those that pretend to be busy.
const LONGEST_PAUSE: Duration = Duration::from_secs(super::KEEP_ALIVE.as_secs() + 5);
/// Longest time in which a client may take less than [`STEP`] of what waits for it.
const LONGEST_STALL: Duration = Duration::from_secs(10);
/// Bytes of an answer that begin the time anew.
const STEP: usize = 16 * 1024;
/// How often a worker looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

thread_local! {
    /// The connections of this worker thread.
    static CONNECTIONS: RefCell<Vec<Weak<Connection>>> = const { RefCell::new(Vec::new()) };
}

/// One connection: who may read of it, and since when nothing has happened on it.
#[derive(Debug)]
pub(super) struct Connection {
    /// How many handlers run.
    running: Cell<u32>,
    /// When the last one ended.
    since: Cell<Instant>,
    /// Bytes that may be read now.
    ahead: Cell<usize>,
    /// Whether a handler reads a body of unknown length.
    streams: Cell<bool>,
    /// Whether a read was put off.
    parked: Cell<bool>,
    /// Since when an answer waits for its client, and what has been taken of it.
    stall: Cell<Option<(Instant, usize)>>,
    /// Whether what is answered is told event by event.
    tells: Cell<bool>,
    /// Whether it was ended.
    over: Cell<bool>,
    /// Its task.
    task: RefCell<Option<Waker>>,
}

/// Learns of a new connection, on the worker that will serve it.
pub(super) fn greet(connection: &Rc<Connection>, data: &mut Extensions) {
    CONNECTIONS.with_borrow_mut(|all| all.push(Rc::downgrade(connection)));
    data.insert(Rc::clone(connection));
}

/// Looks after the connections of this worker thread for as long as the thread lives. Once `cut` says so, all of
/// them are ended, with whatever runs on them.
pub fn watch(mut cut: watch::Receiver<bool>) {
    turn::run();
    rt::spawn(async move {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                Ok(()) = cut.changed() => {}
            }
            let (now, cut) = (Instant::now(), *cut.borrow_and_update());
            let stays = |one: Rc<Connection>| if cut { one.end() } else { one.look(now) };
            CONNECTIONS.with_borrow_mut(|all| all.retain(|known| known.upgrade().is_some_and(stays)));
        }
    });
}

impl Connection {
    /// One that begins.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            running: Cell::new(0),
            since: Cell::new(now),
            ahead: Cell::new(PIECE),
            streams: Cell::new(false),
            parked: Cell::new(false),
            stall: Cell::new(None),
            tells: Cell::new(false),
            over: Cell::new(false),
            task: RefCell::new(None),
        }
    }

    /// Whether it is still worth watching; one that has paused or stalled too long is ended.
    fn look(&self, now: Instant) -> bool {
        let paused =
            self.running.get() == 0 && now.saturating_duration_since(self.since.get()) > LONGEST_PAUSE;
        let stalled =
            self.stall.get().is_some_and(|(since, _)| now.saturating_duration_since(since) > LONGEST_STALL);
        if paused || stalled { self.end() } else { true }
    }

    /// Ends it; nothing of it is worth watching then.
    pub(super) fn end(&self) -> bool {
        self.over.set(true);
        self.wake();
        false
    }

    pub(super) fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    /// Whether it was ended.
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Remembers who is to be woken.
    pub(super) fn waits(&self, context: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
    }

    /// How much may be read now; `None` if that must wait until something was answered.
    pub(super) fn may_read(&self) -> Option<usize> {
        let most = if self.stall.get().is_some() { 0 } else { self.ahead.get() };
        self.parked.set(most == 0);
        (most > 0).then_some(most)
    }

    /// So much was read.
    pub(super) fn has_read(&self, bytes: usize) {
        self.ahead.set(self.ahead.get().saturating_sub(bytes));
    }

    /// Whether what is answered is told event by event: each leaves at once, since its client waits for nothing else.
    pub(super) fn tells(&self) -> bool {
        self.tells.get()
    }

    /// Its client has taken so much, at `now`.
    pub(super) fn has_taken(&self, bytes: usize, now: impl FnOnce() -> Instant) {
        if let Some((since, before)) = self.stall.get() {
            let taken = before + bytes;
            self.stall.set(Some(if taken < STEP { (since, taken) } else { (now(), 0) }));
        }
    }

    /// Its client does not take what is written, at `now`.
    pub(super) fn stalls(&self, now: impl FnOnce() -> Instant) {
        if self.stall.get().is_none() {
            self.stall.set(Some((now(), 0)));
        }
    }

    /// All that was answered has been taken; with no request under way there may come more.
    pub(super) fn is_even(&self) {
        self.stall.set(None);
        if self.running.get() == 0 || self.streams.get() {
            self.ahead.set(self.ahead.get().max(PIECE));
        }
        if self.parked.get() && self.ahead.get() > 0 {
            self.parked.set(false);
            self.wake();
        }
    }

    /// A handler begins, of a request with these headers.
    fn begins(&self, headers: &HeaderMap) {
        let running = self.running.get();
        self.running.set(running + 1);
        if running > 0 {
            return;
        }
        if headers.contains_key(header::TRANSFER_ENCODING) {
            self.streams.set(true);
            return;
        }
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<usize>().ok()).unwrap_or_default();
        self.ahead.set(self.ahead.get().max(SPARE).saturating_add(length));
    }

    /// The body of unknown length has come to its end.
    pub(super) fn has_body(&self) {
        self.streams.set(false);
    }

    /// A handler has ended.
    fn ends(&self) {
        let running = self.running.get().saturating_sub(1);
        self.running.set(running);
        self.since.set(Instant::now());
        if running == 0 {
            self.streams.set(false);
            self.tells.set(false);
            // What was left for its body is not for the requests behind it.
            self.ahead.set(self.ahead.get().min(PIECE));
        }
    }
}

/// Says that a handler runs on a connection, for as long as it lives.
#[derive(Debug)]
pub struct Busy(Option<Rc<Connection>>);

impl Busy {
    /// The answer will be told event by event.
    pub fn tells(&self) {
        if let Some(connection) = &self.0 {
            connection.tells.set(true);
        }
    }

    /// A handler runs for `request`.
    pub fn with(request: &HttpRequest) -> Self {
        let connection = request.conn_data::<Rc<Connection>>().map(Rc::clone);
        if let Some(connection) = &connection {
            connection.begins(request.headers());
        }
        Self(connection)
    }

    /// The connection.
    pub(super) fn connection(&self) -> Option<Rc<Connection>> {
        self.0.clone()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.ends();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_length(length: usize) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers
    }

    #[test]
    fn a_connection_that_pauses_too_long_is_ended_and_one_that_works_is_not() {
        let began = Instant::now();
        let late = began + LONGEST_PAUSE + Duration::from_millis(1);
        let idle = Connection::new(began);
        assert!(idle.look(began + LONGEST_PAUSE));
        assert!(!idle.is_over());
        assert!(!idle.look(late));
        assert!(idle.is_over());
        let busy = Connection::new(began);
        busy.begins(&HeaderMap::new());
        assert!(busy.look(late));
        busy.ends();
        assert!(busy.look(Instant::now() + LONGEST_PAUSE - Duration::from_secs(1)), "the pause begins anew");
    }

    #[test]
    fn an_answer_that_nobody_takes_ends_its_connection_even_while_a_handler_runs() {
        let began = Instant::now();
        let connection = Connection::new(began);
        connection.begins(&HeaderMap::new());
        connection.stalls(|| began);
        connection.stalls(|| began + LONGEST_STALL);
        assert!(connection.look(began + LONGEST_STALL));
        assert!(!connection.look(began + LONGEST_STALL + Duration::from_millis(1)));
    }

    #[test]
    fn a_slow_client_has_time_for_each_step_and_a_dripping_one_has_not() {
        let began = Instant::now();
        let later = began + LONGEST_STALL;
        let (slow, drips) = (Connection::new(began), Connection::new(began));
        for connection in [&slow, &drips] {
            connection.stalls(|| began);
            connection.has_taken(STEP - 1, || later);
        }
        slow.has_taken(1, || later);
        let look = later + Duration::from_secs(1);
        assert!(slow.look(look));
        assert!(!drips.look(look));
        slow.is_even();
        assert!(slow.look(later + LONGEST_STALL * 2), "all of it was taken");
    }

    #[test]
    fn no_more_is_read_ahead_than_a_piece_until_something_is_answered() {
        let connection = Connection::new(Instant::now());
        assert_eq!(connection.may_read(), Some(PIECE));
        connection.has_read(PIECE);
        assert_eq!(connection.may_read(), None);
        connection.is_even();
        assert_eq!(connection.may_read(), Some(PIECE));
        connection.stalls(Instant::now);
        assert_eq!(connection.may_read(), None, "its client does not read");
    }

    #[test]
    fn while_a_handler_runs_its_body_may_come_and_little_else() {
        let connection = Connection::new(Instant::now());
        connection.has_read(PIECE);
        connection.begins(&with_length(10_000));
        assert_eq!(connection.may_read(), Some(10_000 + SPARE));
        connection.has_read(10_000 + SPARE);
        connection.is_even();
        assert_eq!(connection.may_read(), None);
        connection.ends();
        connection.is_even();
        assert_eq!(connection.may_read(), Some(PIECE));
    }

    #[test]
    fn what_a_refused_body_leaves_is_not_for_the_requests_behind_it() {
        let connection = Connection::new(Instant::now());
        connection.begins(&with_length(usize::MAX));
        connection.ends();
        connection.is_even();
        assert_eq!(connection.may_read(), Some(PIECE));
    }

    #[test]
    fn a_body_without_a_length_comes_piece_by_piece_to_its_end() {
        let connection = Connection::new(Instant::now());
        let mut headers = HeaderMap::new();
        headers.insert(header::TRANSFER_ENCODING, header::HeaderValue::from_static("chunked"));
        connection.begins(&headers);
        for _ in 0..3 {
            connection.has_read(PIECE);
            connection.is_even();
            assert_eq!(connection.may_read(), Some(PIECE));
        }
        connection.has_body();
        connection.has_read(PIECE);
        connection.is_even();
        assert_eq!(connection.may_read(), None);
    }
}
