//! A call that tells how far it is: as JSON if it is done before there is anything to tell, else as events, the
//! answer being the last of them.
//!
//! It runs in a task of its own, under its deadlines, whether or not its client reads; of what it tells only the
//! latest waits. In the modern era it ends with its connection (T14), in older ones it does not (G17).

use std::{cell::RefCell, convert::Infallible, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use actix_web::{
    body::{BodyStream, BoxBody},
    rt::{self, task::JoinHandle},
};
use bytes::Bytes;
use futures_util::stream::unfold;
use tokio::time::{Instant, sleep_until};

use super::{
    answer::{Answer, Events},
    detached::Detached,
    era,
    events::{self, Framing},
    exchange::Exchange,
    pace::{self, Pace},
    refusal::Refusal,
};
use crate::{
    domain::{Principal, RequestId},
    edge::Busy,
    error::Code,
    house::{OpenStream, Place},
    protocol::Envelope,
    tools::Progress,
};

/// Longest silence.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// The token of the notifications that the client wants of this message, if it can be sent any.
pub(super) fn wanted<'a>(exchange: &Exchange<'_>, envelope: &Envelope<'a>) -> Option<&'a str> {
    let token = envelope.params.meta.progress_token()?;
    let is_call = envelope.id.is_some() && envelope.method == "tools/call";
    let may = is_call
        && exchange.progress.is_none()
        && envelope.params.meta.first_bad_option().is_none()
        && exchange.headers.takes_events();
    may.then_some(token)
}

/// Whoever wants to hear how far its call is.
pub(super) struct Heard<'b> {
    /// Who is calling.
    pub(super) principal: Arc<Principal>,
    /// The token of the notifications, JSON text.
    pub(super) token: &'b str,
}

/// Answers the call in `body`, telling how far it is.
pub(super) async fn answer(exchange: Exchange<'_>, body: &[u8], heard: Heard<'_>) -> Answer {
    let Heard { principal, token } = heard;
    let is_modern = era::says_modern(&exchange.headers);
    let errand = if is_modern { None } else { exchange.house().detached.begin() };
    let (id, rotated, house) = (exchange.record.id(), exchange.rotated, exchange.house());
    // Without a place for an errand it ends with its connection, which bounds it too.
    let is_cancelled = errand.is_none();
    let (progress, stays) = (Rc::new(Progress::default()), Rc::new(Stays::default()));
    let detached = Detached::of(exchange, (principal, Bytes::copy_from_slice(body)), errand);
    let detached = detached.telling(Rc::clone(&progress));
    let ends = Rc::clone(&stays);
    // On the heap: it holds what answers a message, which may be this function.
    let carried: Pin<Box<dyn Future<Output = Answer>>> = Box::pin(async move {
        let answer = detached.carry_out().await;
        ends.end();
        answer
    });
    let mut running = Running { task: rt::spawn(carried), is_cancelled, id };
    tokio::select! {
        biased;
        answer = running.ended() => return answer,
        () = progress.untold() => {}
    }
    let open = house.streams.count(&house.metrics);
    let telling = Telling {
        running,
        progress,
        token: token.to_owned(),
        told: Pace::new(),
        beat: Instant::now() + HEARTBEAT,
        last: None,
        is_over: false,
        places: Vec::new(),
        _open: open,
    };
    let told = unfold(telling, |mut telling| async {
        let event = telling.next().await?;
        Some((Ok::<_, Infallible>(event), telling))
    });
    let body = BoxBody::new(BodyStream::new(Box::pin(told)));
    let hold = move |busy| stays.hold(busy);
    let mut answer = Answer::events(Events { body, hold: Box::new(hold) });
    answer.rotated = rotated;
    answer
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

/// The task that answers.
struct Running {
    task: JoinHandle<Answer>,
    /// Whether it ends with whoever waits for it.
    is_cancelled: bool,
    id: RequestId,
}

impl Running {
    async fn ended(&mut self) -> Answer {
        let ended = (&mut self.task).await;
        // A panic has left its record when the task was dropped.
        ended.unwrap_or_else(|_panic| {
            Answer::refused(&Refusal::new(Code::Internal, "internal error"), None, self.id)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_cancelled {
            self.task.abort();
        }
    }
}

/// What is told of a call that runs.
struct Telling {
    running: Running,
    progress: Rc<Progress>,
    /// JSON text.
    token: String,
    /// When the last notifications were sent.
    told: Pace,
    /// When something must be sent again.
    beat: Instant,
    /// The answer, once there is one.
    last: Option<Bytes>,
    is_over: bool,
    /// The places of what is large in it.
    places: Vec<Place>,
    _open: OpenStream,
}

impl Telling {
    /// The next event; `None` after the answer.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        if self.last.is_none() {
            let free_at = self.told.free_at();
            tokio::select! {
                biased;
                mut answer = self.running.ended() => self.last = Some(events::event(&answer.take_body(&mut self.places))),
                () = pace::due(free_at, &self.progress) => {}
                () = sleep_until(self.beat) => {
                    self.beat = Instant::now() + HEARTBEAT;
                    return Some(events::KEEP_ALIVE);
                }
            }
        }
        // What was reached stands before the answer: none of it may come after.
        if let Some(step) = self.progress.take() {
            self.note();
            return Some(Framing::Events.progress(&self.token, &step));
        }
        self.is_over = self.last.is_some();
        self.last.take()
    }

    fn note(&mut self) {
        let now = Instant::now();
        self.told.note(now);
        self.beat = now + HEARTBEAT;
    }
}
