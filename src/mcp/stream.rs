//! A call that tells how far it is: as JSON if it is done before there is anything to tell, else as events, the
//! answer being the last of them.
//!
//! It runs in a task of its own, under its deadlines, whether or not its client reads; of what it tells only the
//! latest waits. In the modern era it ends with its connection (T14), in older ones it does not (G17). In a session
//! what it tells is kept there, and can be come back to.

use std::{cell::RefCell, convert::Infallible, pin::Pin, rc::Rc, sync::Arc};

use actix_web::{
    body::{BodyStream, BoxBody},
    rt,
};
use bytes::Bytes;
use futures_util::stream::unfold;

use super::{
    answer::{Answer, Events},
    audience::Audience,
    detached::Detached,
    era, events,
    exchange::Exchange,
    sessions::{self, Place},
    telling::{Running, Telling, Told},
};
use crate::{
    domain::Principal,
    edge::Busy,
    house::OpenStream,
    protocol::{Envelope, LogLevel},
    tools::{Progress, Wanted},
};

/// What the client of a call wants to be told before its answer.
pub(super) struct Wants<'b> {
    /// The request's id, JSON text.
    id: &'b str,
    /// The token of notifications of how far it is, JSON text.
    token: Option<&'b str>,
    /// From which level on it wants to see the log.
    level: Option<LogLevel>,
}

/// What the client wants to be told of this message before its answer, if it can be told anything.
pub(super) fn wanted<'a>(exchange: &Exchange<'_>, envelope: &Envelope<'a>) -> Option<Wants<'a>> {
    let meta = &envelope.params.meta;
    let token = meta.progress_token();
    let level = match exchange.session() {
        Some(session) => Some(session.level()),
        // Older revisions know no level of a request.
        None => meta.log_level().filter(|_| meta.claims_version()),
    };
    if token.is_none() && level.is_none() {
        return None;
    }
    let id = envelope.id?.as_json();
    let may = envelope.method == "tools/call"
        && exchange.progress().is_none()
        && meta.first_bad_option().is_none()
        && exchange.headers.takes_events();
    may.then_some(Wants { id, token, level })
}

/// Whoever wants to hear of its call.
pub(super) struct Heard<'b> {
    /// Who is calling.
    pub(super) principal: Arc<Principal>,
    /// What it wants to hear.
    pub(super) wants: Wants<'b>,
}

/// Answers the call in `body`, telling of it what is wanted.
pub(super) async fn answer(exchange: Exchange<'_>, body: &[u8], heard: Heard<'_>) -> Answer {
    let Heard { principal, wants } = heard;
    let is_modern = era::says_modern(&exchange.headers);
    let errand = if is_modern { None } else { exchange.house().detached.begin() };
    let (id, rotated, worker) = (exchange.record.id(), exchange.rotated, Rc::clone(exchange.worker));
    // Without a place for an errand it ends with its connection, which bounds it too.
    let is_cancelled = errand.is_none();
    let session = exchange.session().map(Arc::clone);
    let place = if is_cancelled { None } else { Place::of(&exchange, &principal) };
    let pauses = place.as_ref().is_some_and(Place::can_be_left);
    let wanted = Wanted { steps: wants.token.is_some(), level: wants.level, pauses };
    let (progress, stays) = (Rc::new(Progress::new(wanted)), Rc::new(Stays::default()));
    let audience = Audience {
        progress: Some(Rc::clone(&progress)),
        session: session.clone(),
        may_ask: place.is_some(),
        said: Box::default(),
    };
    let detached = Detached::of(exchange, (principal, Bytes::copy_from_slice(body)), errand);
    let detached = detached.before(audience);
    let ends = Rc::clone(&stays);
    // On the heap: it holds what answers a message, which may be this function.
    let carried: Pin<Box<dyn Future<Output = Answer>>> = Box::pin(async move {
        let answer = detached.carry_out().await;
        ends.end();
        answer
    });
    let task = rt::spawn(carried);
    let within = session.map(|session| {
        session.begin(wants.id, task.abort_handle());
        (session, wants.id.into())
    });
    let lane = worker.lane.clone();
    let mut running = Running { task, is_cancelled, id, within, lane, is_silent: false };
    tokio::select! {
        biased;
        // A step that nobody heard of is of no use once there is an answer; a line of the log is.
        () = progress.untold(), if wants.level.is_some() => {}
        // Whoever has cancelled it is told nothing.
        answer = running.ended() => return answer.unwrap_or_else(Answer::silence),
        () = progress.untold() => {}
    }
    let telling = Telling::new(running, progress, wants.token.map(Into::into));
    let mut answer = match place {
        Some(place) => sessions::told(&worker, place, telling),
        None => told(worker.house.streams.count(&worker.house.metrics), telling, stays),
    };
    answer.rotated = rotated;
    answer
}

/// The events of a call, for whoever has asked and nobody else.
fn told(open: OpenStream, telling: Telling, stays: Rc<Stays>) -> Answer {
    let told = unfold((telling, open), |(mut telling, open)| async move {
        let event = loop {
            match telling.next().await? {
                Told::Message(json, _) => break events::event(&json),
                Told::Beat => break events::KEEP_ALIVE,
                Told::Pause => {}
            }
        };
        Some((Ok::<_, Infallible>(event), (telling, open)))
    });
    let body = BoxBody::new(BodyStream::new(Box::pin(told)));
    let hold = move |busy| stays.hold(busy);
    Answer::events(Events { body, hold: Box::new(hold) })
}

/// Says that a handler runs on the connection for as long as the task does: whoever then does not read the answer
/// is as idle as with any other.
#[derive(Default)]
struct Stays(RefCell<(Option<Busy>, bool)>);

impl Stays {
    fn hold(&self, busy: Busy) {
        let (held, has_ended) = &mut *self.0.borrow_mut();
        if !*has_ended {
            *held = Some(busy);
        }
    }

    fn end(&self) {
        *self.0.borrow_mut() = (None, true);
    }
}
