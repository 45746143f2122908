//! A batch, as 2025-03-26 has them: each of its messages is a request of its own for limits, policy and the
//! audit log; one answer tells of all.

use std::{sync::Arc, time::Instant};

use super::{
    answer::Answer,
    dispatch::Method,
    era::{self, Beside},
    exchange::Exchange,
    large::no_room,
    refusal::Refusal,
    settle::unrecorded,
    via::Via,
};
use crate::{
    actors::{audit::AuditError, limiter::Visit},
    domain::{Principal, RequestId, Subject, Timestamp},
    edge::Record,
    error::Code,
    house::{AnswerRoom, LARGE, Place},
    protocol::{Batch, Envelope, Id, WireError, render},
};

/// Most bytes of answers that one batch begins another message with.
const MOST_TOGETHER: usize = 8 * 1024 * 1024;

/// Answers a body that is an array: what its requests come to, in their order, once all of it is recorded.
/// The messages run one after the other, and share the deadline of the request of HTTP.
pub(super) async fn answer(mut exchange: Exchange<'_>, mut principal: Arc<Principal>, body: &[u8]) -> Answer {
    let mut messages = match read(exchange.beside(), body) {
        Ok(batch) => batch.into_elements().peekable(),
        Err(refusal) => {
            let answer = exchange.nonsense(&principal, refusal, None).await;
            return exchange.settle(answer).await;
        }
    };
    let (id, rotated) = (exchange.record.id(), exchange.rotated);
    let (mut ended, mut load) = (Vec::new(), Load::default());
    while let Some(message) = messages.next() {
        let is_first = ended.is_empty();
        let answer = if is_first { Ok(()) } else { exchange.admit_next((&mut principal, &mut load)).await };
        let is_asked = !matches!(&message, Ok(Envelope { id: None, .. }));
        let answer = match answer {
            Ok(()) => exchange.element(&principal, message).await,
            Err(refusal) => exchange.refused(&refusal, id_of(&message)),
        };
        load.add(&answer);
        let next = messages.peek().is_some().then(|| exchange.another(id)).transpose();
        ended.push((is_asked, exchange.close(answer)));
        exchange = match next {
            Ok(Some(next)) => next,
            Ok(None) => break,
            Err(error) => return unrecorded(error, id),
        };
    }
    let (mut bodies, mut refused, mut is_refused, mut places) = (Vec::new(), None, true, load.places);
    for (is_asked, closed) in ended {
        let mut answer = closed.committed().await;
        if answer.code == Some(Code::AuditUnavailable) {
            return answer;
        }
        is_refused &= answer.turns_away();
        if is_asked {
            bodies.push(answer.take_body(&mut places));
        }
        refused.get_or_insert(answer);
    }
    let mut whole = match refused.filter(|_| is_refused) {
        // Nothing of it was done: status and headers say so, as for the first one alone.
        Some(first) if bodies.is_empty() => first,
        Some(first) => first.for_all(render::batch(&bodies), places),
        None if bodies.is_empty() => Answer::accepted(),
        None => Answer::ok(Vec::new()).for_all(render::batch(&bodies), places),
    };
    whole.rotated = rotated;
    whole
}

/// A message of a batch, or what is wrong with it.
type Message<'a> = Result<Envelope<'a>, (WireError, Option<Id<'a>>)>;

fn id_of<'a>(message: &Message<'a>) -> Option<Id<'a>> {
    match message {
        Ok(envelope) => envelope.id,
        Err((error, id)) => id.filter(|_| *error != WireError::Response),
    }
}

/// The messages of a body, if it may hold several.
fn read<'a>(beside: Beside<'_>, body: &'a [u8]) -> Result<Batch<'a>, Refusal> {
    let batch = Batch::parse(body)?;
    if era::legacy_revision(beside)?.has_batches() { Ok(batch) } else { Err(WireError::Batch.into()) }
}

/// How much the answers of a batch weigh so far: they are held until all of them are there.
#[derive(Default)]
struct Load {
    all: usize,
    /// What has no place yet.
    loose: usize,
    places: Vec<Place>,
}

impl Load {
    fn add(&mut self, answer: &Answer) {
        self.all = self.all.saturating_add(answer.size());
        self.loose = self.loose.saturating_add(answer.loose());
    }

    /// Whether there is room for another answer to `who`.
    ///
    /// # Errors
    /// [`Refusal`]: it is refused before anything is done, and can be asked for in a request of its own.
    fn has_room(&mut self, room: &AnswerRoom, who: &Subject) -> Result<(), Refusal> {
        if self.loose > LARGE {
            self.places.push(room.take(who, self.loose).ok_or_else(no_room)?);
            self.loose = 0;
        }
        if self.all < MOST_TOGETHER {
            return Ok(());
        }
        let text =
            "the answers of this batch are too large together: ask for the rest in requests of their own";
        Err(Refusal::new(Code::Overloaded, text))
    }
}

impl<'a> Exchange<'a> {
    /// The next message of the same batch: a record of its own, which names the request of HTTP that it came in,
    /// `within`; everything else as it was.
    ///
    /// # Errors
    /// [`AuditError`]: nothing can be recorded, so nothing further happens.
    fn another(&self, within: RequestId) -> Result<Self, AuditError> {
        let (time, clock) = (Timestamp::now(), Instant::now());
        let id = RequestId::at(time);
        let mut record = Record::open(&self.worker.lane, id, (time, clock))?;
        record.describe(self.visit.path, self.headers.user_agent, self.visit.ip);
        record.within(within);
        // What is over a limit has no record but the limiter's, which names the request of HTTP.
        let visit = Visit { request: within, time, clock, ..self.visit };
        let new = Self::new(self.worker, self.via, visit, record);
        Ok(Self { headers: self.headers.clone(), began: self.began, audience: self.audience, ..new })
    }

    /// The rungs that any other request passes before its body. A token that was revoked while the messages
    /// before ran must run no further tool.
    async fn admit_next(
        &mut self,
        (principal, load): (&mut Arc<Principal>, &mut Load),
    ) -> Result<(), Refusal> {
        if let Via::Http(..) = self.via {
            self.worker.turnstile.address(&self.visit).await?;
        }
        *principal = self.admit_next_use().await?;
        load.has_room(&self.house().answers, &principal.id)
    }

    async fn element(&mut self, principal: &Arc<Principal>, message: Message<'_>) -> Answer {
        let id = id_of(&message);
        match message {
            Ok(envelope) if envelope.method == Method::Initialize.name() => {
                let own = Method::Initialize.name();
                self.count.label(own);
                self.record.method(Some(own), own);
                let refusal = Refusal::new(Code::InvalidRequest, "initialize stands in no batch");
                self.nonsense(principal, refusal, id).await
            }
            Ok(mut envelope) => self.message(Arc::clone(principal), &mut envelope).await,
            Err((error, _)) => self.nonsense(principal, error.into(), id).await,
        }
    }
}
