//! What the client of a session reads: the events of one line of it.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    rt,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    actors::sessions::{COMMON, Held, Next, Reader, Session},
    domain::{Change, PermissionSet, Principal},
    edge::Busy,
    house::{House, OpenStream, StreamPlace, Worker},
    mcp::{
        answer::{Answer, Events},
        events,
        exchange::Exchange,
        listen::{self, Standing, Watched},
        refusal::Refusal,
        telling::{Telling, Told},
    },
    policy::{self, ReadResource},
    protocol::Revision,
};

/// Longest silence.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How long something may wait to be taken. Then nobody reads, and the stream is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A line of a session for one stream, and what the stream takes up.
pub(in crate::mcp) struct Place {
    line: Line,
    standing: Standing,
    counted: Counted,
}

/// A line; one that was opened and that nothing is told on is dropped with this.
struct Line {
    session: Arc<Session>,
    number: u32,
    is_used: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.is_used {
            self.session.drop_line(self.number);
        }
    }
}

/// What says that a stream is open.
enum Counted {
    /// It takes the place of a subscription.
    Place { _place: StreamPlace },
    /// It ends with its call.
    Call { _open: OpenStream },
}

impl Place {
    /// One for what is told of a call; `None` if it came in no session, or that has no more lines.
    pub(in crate::mcp) fn of(exchange: &Exchange<'_>, principal: &Arc<Principal>) -> Option<Self> {
        let session = exchange.session()?;
        let standing = Standing::of(exchange, principal).ok()?;
        let line = session.open_line(principal.permissions)?;
        let counted = Counted::Call { _open: exchange.house().streams.count(&exchange.house().metrics) };
        let line = Line { session: Arc::clone(session), number: line, is_used: false };
        Some(Self { line, standing, counted })
    }

    /// One on a line that is there.
    pub(super) fn on(
        exchange: &Exchange<'_>,
        principal: &Arc<Principal>,
        session: &Arc<Session>,
        line: u32,
    ) -> Result<Self, Refusal> {
        let standing = Standing::of(exchange, principal)?;
        let counted = Counted::Call { _open: exchange.house().streams.count(&exchange.house().metrics) };
        let line = Line { session: Arc::clone(session), number: line, is_used: true };
        Ok(Self { line, standing, counted })
    }

    /// The same in the place of a subscription.
    pub(super) fn counted(self, place: StreamPlace) -> Self {
        Self { counted: Counted::Place { _place: place }, ..self }
    }

    /// Whether its client knows how to come back before the answer.
    pub(in crate::mcp) fn can_be_left(&self) -> bool {
        knows_first_events(&self.line.session)
    }
}

/// Whether the revision knows an event without data; older clients would read it as a broken message (G16).
fn knows_first_events(session: &Session) -> bool {
    session.revision() >= Revision::November2025
}

/// The events of a call: what `telling` tells is kept in the session whether or not anybody reads it.
pub(in crate::mcp) fn told(worker: &Rc<Worker>, mut place: Place, telling: Telling) -> Answer {
    let (session, line) = (Arc::clone(&place.line.session), place.line.number);
    place.line.is_used = true;
    let has = place.standing.principal().permissions;
    let Some(reader) = session.attach(line, None, has) else { return Answer::silence() };
    let answer = read(worker, place, (reader, true));
    rt::spawn(keep(telling, session, line));
    answer
}

/// Keeps what is told, to its end.
async fn keep(mut telling: Telling, session: Arc<Session>, line: u32) {
    while let Some(told) = telling.next().await {
        match told {
            Told::Message(json, must) => _ = session.push(line, must, |name| events::named(name, &json)),
            Told::Pause => session.let_go(line),
            // Whoever reads is told by the stream that it lives.
            Told::Beat => {}
        }
    }
    let held = std::mem::take(&mut telling.places).into_iter().map(|place| Box::new(place) as Held);
    session.close_line(line, Instant::now(), held.collect());
}

/// The events of a line, for a reader that begins with it or comes back to it.
pub(super) fn read(worker: &Rc<Worker>, place: Place, (reader, begins): (Reader, bool)) -> Answer {
    let Place { line, standing, counted } = place;
    let session = Arc::clone(&line.session);
    let first = if begins && knows_first_events(&session) { session.first(&reader) } else { None };
    let stream = Rc::new(Attached {
        session,
        first: Cell::new(first.map(|name| events::first(&name))),
        reader: RefCell::new(reader),
        standing,
        beats: Cell::default(),
        taken: Cell::new(Instant::now()),
        waits: Cell::default(),
        waker: RefCell::default(),
        held: RefCell::new((Some(counted), None)),
    });
    listen::watch(worker, &stream);
    let held = Rc::clone(&stream);
    let body = BoxBody::new(Body { stream, house: Arc::clone(&worker.house) });
    Answer::events(Events { body, hold: Box::new(move |busy| held.held.borrow_mut().1 = Some(busy)) })
}

/// One stream of a session that is open.
struct Attached {
    session: Arc<Session>,
    /// What is written before anything else.
    first: Cell<Option<Bytes>>,
    reader: RefCell<Reader>,
    standing: Standing,
    beats: Cell<bool>,
    /// When something was taken last, and since when something waits to be.
    taken: Cell<Instant>,
    waits: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
    /// What it takes up for as long as it is served.
    held: RefCell<(Option<Counted>, Option<Busy>)>,
}

impl Attached {
    /// What is written next.
    fn next(&self, house: &House, waker: &Waker) -> Poll<Option<Bytes>> {
        loop {
            if self.standing.has_ended() {
                return Poll::Ready(None);
            }
            if let Some(first) = self.first.take() {
                return Poll::Ready(Some(first));
            }
            let mut reader = self.reader.borrow_mut();
            // It may be able to know more by now than when it began, or less.
            reader.may(self.standing.principal().permissions);
            let next = self.session.read(&mut reader, waker);
            drop(reader);
            let bytes = match next {
                Next::Over => return Poll::Ready(None),
                Next::Event(bytes) => bytes,
                Next::Changes(changes) => {
                    self.tell(house, &changes);
                    continue;
                }
                Next::Nothing if self.beats.take() => events::KEEP_ALIVE,
                Next::Nothing => {
                    self.waits.set(None);
                    *self.waker.borrow_mut() = Some(waker.clone());
                    return Poll::Pending;
                }
            };
            self.taken.set(Instant::now());
            return Poll::Ready(Some(bytes));
        }
    }

    /// Adds what `changes` are to whoever reads.
    fn tell(&self, house: &House, changes: &[Change]) {
        let principal = self.standing.principal();
        for change in changes {
            let (message, needs) = match change {
                Change::Tools => (notification("tools/list_changed"), PermissionSet::EMPTY),
                Change::Prompts => (notification("prompts/list_changed"), PermissionSet::EMPTY),
                Change::Resources => (notification("resources/list_changed"), PermissionSet::EMPTY),
                Change::Resource(uri) => {
                    let Some(needs) = may_read(house, &principal, uri) else { continue };
                    let method = "notifications/resources/updated";
                    (json!({ "jsonrpc": "2.0", "method": method, "params": { "uri": &**uri } }), needs)
                }
            };
            let text = message.to_string();
            self.session.tell(needs, |name| events::named(name, text.as_bytes()));
        }
    }
}

fn notification(name: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": format!("notifications/{name}") })
}

/// What it takes to read the resource, if whoever reads may: a subscription is of whoever has the session, who is the
/// same principal, and may have shown another credential.
fn may_read(house: &House, principal: &Arc<Principal>, uri: &str) -> Option<PermissionSet> {
    let needs = house.resources.of(uri)?.needs();
    let may = policy::decide::<ReadResource>(principal, needs).is_ok();
    may.then(|| PermissionSet::EMPTY.with(needs))
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.session.detach(&self.reader.borrow());
    }
}

impl Watched for Attached {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn close(&self) {
        // What is told of a call ends with its answer, for which there is the grace.
        if self.reader.borrow().line() == COMMON {
            self.standing.end();
        }
    }

    fn sees_other_tools(&self) {
        self.session.hear(Some(&[Change::Tools]));
    }

    fn wake(&self, clock: Instant) -> bool {
        let has_news = self.standing.has_ended() || self.session.has_more(&self.reader.borrow());
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
            self.session.detach(&self.reader.borrow());
        }
        is_read
    }
}

/// The body of the answer.
struct Body {
    stream: Rc<Attached>,
    house: Arc<House>,
}

impl MessageBody for Body {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.stream.next(&self.house, context.waker()).map(|next| next.map(Ok))
    }
}
