//! One line's way: to the same exchange as a request of HTTP, and its answer back.

use std::{
    convert::Infallible, future::poll_fn, panic::AssertUnwindSafe, pin::Pin, rc::Rc, sync::Arc, time::Instant,
};

use actix_web::body::{BoxBody, MessageBody};
use futures_util::FutureExt;

use super::{PATH, Shared};
use crate::{
    actors::{audit::AuditError, limiter::Visit},
    domain::{Principal, RequestId, Timestamp},
    edge::{Field, Record},
    error::Code,
    mcp::{
        answer::Answer,
        audience::Audience,
        batch,
        count::Count,
        dispatch::Method,
        events::{self, Framing},
        exchange::Exchange,
        pace::{self, Pace},
        refusal::Refusal,
        via::Via,
    },
    protocol::{self, Batch, Envelope, Id, WireError, render},
    tools::{Note, Progress, Wanted},
};

/// What a line is.
enum Parsed<'b> {
    /// A request or a notification.
    One(Envelope<'b>),
    /// Several.
    Batch,
    /// An answer, for which nobody has asked.
    Response,
    /// No message.
    Nonsense(Refusal, Option<Id<'b>>),
}

impl<'b> Parsed<'b> {
    fn of(text: &'b [u8]) -> Self {
        if protocol::begins_batch(text) {
            return Self::Batch;
        }
        match Envelope::parse(text) {
            Ok(envelope) => Self::One(envelope),
            Err((WireError::Response, _)) => Self::Response,
            Err((error, id)) => Self::Nonsense(error.into(), id),
        }
    }

    fn id(&self) -> Option<Id<'b>> {
        match self {
            Self::One(envelope) => envelope.id,
            Self::Nonsense(_, id) => *id,
            Self::Batch | Self::Response => None,
        }
    }

    /// Whoever hears of it before its answer, if it is a call whose client wants to.
    fn audience(&self) -> Option<Audience> {
        let Self::One(envelope) = self else { return None };
        let meta = &envelope.params.meta;
        let level = meta.log_level().filter(|_| meta.claims_version());
        let wanted = Wanted { steps: meta.progress_token().is_some(), level, pauses: false };
        let is_call = envelope.id.is_some() && envelope.method == Method::CallTool.name();
        let hears = is_call && meta.first_bad_option().is_none() && (wanted.steps || level.is_some());
        hears.then(|| Audience { progress: Some(Rc::new(Progress::new(wanted))), ..Audience::default() })
    }

    /// Whether it is answered, whatever becomes of it: notifications and answers are not.
    fn is_answered(&self) -> bool {
        !matches!(self, Self::Response | Self::One(Envelope { id: None, .. }))
    }
}

impl Shared {
    /// Answers `text`, or refuses it with `refusal`, and tells the client. Gives what else there is to tell it, as
    /// long as that goes on.
    pub(super) async fn serve(&self, text: &[u8], refusal: Option<Refusal>) -> Option<BoxBody> {
        let parsed = refusal.map_or_else(|| Parsed::of(text), |refusal| Parsed::Nonsense(refusal, None));
        let (id, is_answered) = (parsed.id(), parsed.is_answered());
        let request = RequestId::at(Timestamp::now());
        let answering = AssertUnwindSafe(self.answer(request, (text, parsed))).catch_unwind();
        // A panic has left its record.
        let answer = answering.await.unwrap_or_else(|_panic| {
            Answer::refused(&Refusal::new(Code::Internal, "internal error"), id, request)
        });
        if let Some(rotated) = answer.rotated {
            self.warn_of(rotated);
        }
        let (body, places, events) = answer.into_parts();
        if is_answered && !body.is_empty() {
            self.out.say(events::line(&body), places).await;
        }
        events
    }

    /// Tells what `body` says, to its end.
    pub(super) async fn tell(&self, mut body: BoxBody) {
        while let Some(Ok(lines)) = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
            if !lines.is_empty() {
                self.out.say(lines, Vec::new()).await;
            }
        }
    }

    async fn answer(&self, request: RequestId, (text, parsed): (&[u8], Parsed<'_>)) -> Answer {
        let (time, started, id) = (Timestamp::now(), Instant::now(), parsed.id());
        let record = match Record::open(&self.worker.lane, request, (time, started)) {
            Ok(record) => record,
            Err(error) => {
                let answer = Answer::refused(&error.into(), id, request);
                Count::begin(&self.worker.house.metrics, started).ended(answer.outcome);
                return answer;
            }
        };
        // Older than the exchange, which tells it.
        let audience = parsed.audience();
        let mut exchange = self.exchange(record);
        let answer = match (exchange.admit_line().await, parsed) {
            (Err(refusal), Parsed::Batch) => refused_all(&exchange, &refusal, text),
            (Err(refusal), _) => exchange.refused(&refusal, id),
            // It settles each of its messages itself.
            (Ok(principal), Parsed::Batch) => {
                return Box::pin(batch::answer(exchange, principal, text)).await;
            }
            (Ok(principal), Parsed::Response) => {
                exchange.nonsense(&principal, WireError::Response.into(), None).await
            }
            (Ok(principal), Parsed::Nonsense(refusal, id)) => {
                exchange.nonsense(&principal, refusal, id).await
            }
            (Ok(principal), Parsed::One(mut envelope)) => {
                self.message(&mut exchange, audience.as_ref(), (principal, &mut envelope)).await
            }
        };
        let answer = exchange.settle(answer).await;
        // There is no connection that tells which request was not recorded.
        match answer.code {
            Some(Code::AuditUnavailable) => Answer::refused(&AuditError::Unavailable.into(), id, request),
            _ => answer,
        }
    }

    /// An exchange that has just begun, of which nothing has been looked at.
    pub(super) fn exchange(&self, record: Record) -> Exchange<'_> {
        let epoch = self.worker.house.services.epoch.now();
        let (time, clock) = (record.time(), record.started());
        let visit = Visit { request: record.id(), time, clock, ip: None, path: PATH, epoch };
        let mut exchange = Exchange::new(&self.worker, Via::Line(&self.line), visit, record);
        exchange.record.describe(PATH, Field::Absent, None);
        exchange
    }

    /// Answers one message, and tells what its client wants to hear before.
    async fn message<'a>(
        &'a self,
        exchange: &mut Exchange<'a>,
        audience: Option<&'a Audience>,
        (principal, envelope): (Arc<Principal>, &mut Envelope<'_>),
    ) -> Answer {
        let (meta, offered) = (&envelope.params.meta, envelope.params.offered());
        let shakes_hands = envelope.method == Method::Initialize.name() && !meta.claims_version();
        let token = meta.progress_token();
        let Some(progress) = audience.and_then(|audience| audience.progress.as_deref()) else {
            let answer = exchange.message(principal, envelope).await;
            if let (true, None, Some(revision)) = (shakes_hands, answer.code, offered) {
                self.line.agree(revision);
            }
            return answer;
        };
        exchange.audience = audience;
        let answer = tokio::select! {
            biased;
            answer = exchange.message(principal, envelope) => answer,
            never = self.tell_notes(token, progress) => match never {},
        };
        // What was reached stands before the answer: none of it may come after.
        while let Some(note) = progress.next() {
            self.tell_note(token, &note).await;
        }
        answer
    }

    async fn tell_notes(&self, token: Option<&str>, progress: &Progress) -> Infallible {
        let mut pace = Pace::new();
        loop {
            pace::due(pace.free_at(), progress).await;
            if let Some(note) = progress.next() {
                pace.note(tokio::time::Instant::now());
                self.tell_note(token, &note).await;
            }
        }
    }

    async fn tell_note(&self, token: Option<&str>, note: &Note) {
        let told = match note {
            Note::Step(step) => events::progress(token.unwrap_or("0"), step),
            Note::Log(line) => events::log(line),
            // Without a session nothing is asked, and nobody goes.
            Note::Request(_) | Note::Pause => return,
        };
        self.out.say(Framing::Lines.frame(&told), Vec::new()).await;
    }
}

impl Exchange<'_> {
    /// Who is calling. There is no address that could have had too much.
    async fn admit_line(&mut self) -> Result<Arc<Principal>, Refusal> {
        self.guard()?;
        self.identify().await
    }
}

/// The same refusal for each request of a batch: of which one it is, only its id says.
fn refused_all(exchange: &Exchange<'_>, refusal: &Refusal, text: &[u8]) -> Answer {
    let all = exchange.refused(refusal, None);
    let Ok(batch) = Batch::parse(text) else { return all };
    let ids = batch.into_elements().filter_map(|message| match message {
        Ok(envelope) => envelope.id,
        Err((error, id)) => id.filter(|_| error != WireError::Response),
    });
    let bodies: Vec<_> = ids.map(|id| refusal.render(Some(id), exchange.record.id())).collect();
    if bodies.is_empty() { all } else { all.for_all(render::batch(&bodies), Vec::new()) }
}
