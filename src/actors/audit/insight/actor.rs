//! The shell: looks into the inbox four times a second, answers, and tells of what is unusual.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult};

use super::{
    book::Book,
    pattern::{Finding, Pattern},
    review::{Range, Review},
    share::Told,
    sign::Offender,
};
use crate::{
    actors::{
        audit::{Lane, shared::Shared},
        kit::{self, Fault, Life},
    },
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
};

/// How often it looks: an alert is this late at most, and a look that finds nothing costs a microsecond.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often it looks at what other processes wrote.
const LOOK_AT_OTHERS_EVERY: Duration = Duration::from_secs(60);
/// Questions that may wait.
const MAILBOX: usize = 64;
/// How long a question waits at most for what has to be read first. What was handed over by then is counted
/// before, so that it sees everything that was answered before it was asked.
const WAIT_OF_A_QUESTION: Duration = Duration::from_millis(100);

/// What happened in `range`?
#[derive(Debug, Message)]
#[rtype(result = "Review")]
pub(super) struct Show {
    pub(super) range: Range,
    /// What other nodes have told of it.
    pub(super) others: Vec<Told>,
}

/// Tell others what is counted here.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(String, String)>")]
pub(super) struct Tell {
    /// All of it, not only what changes all the time.
    pub(super) all: bool,
}

/// Go on reading.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Next;

/// Owns the counts. They are only a reading of the log: a successor reads it again.
#[derive(Debug)]
pub(super) struct InsightActor {
    book: Book,
    lane: Lane,
    /// Whether another step is on its way already.
    goes_on: bool,
    /// Whether the log could be read the last time.
    reads: bool,
    _life: Life,
}

impl InsightActor {
    pub(super) fn new(shared: Arc<Shared>, lane: Lane, life: Life) -> Self {
        Self { book: Book::new(shared), lane, goes_on: false, reads: true, _life: life }
    }

    /// One step; another one follows as long as one is due.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if !self.goes_on && self.step() {
            self.goes_on = true;
            ctx.notify(Next);
        }
    }

    /// One step; says whether another one is due at once.
    fn step(&mut self) -> bool {
        let now = Timestamp::now();
        let stepped = self.book.step(now);
        if self.book.is_current() {
            self.tell(now);
        }
        if let Err(error) = &stepped
            && self.reads
        {
            tracing::warn!(%error, "the audit log cannot be read back, get_security_audit is incomplete");
        }
        self.reads = stepped.is_ok();
        stepped.unwrap_or(false)
    }

    /// Raises an alert about each pattern that is new.
    fn tell(&mut self, now: Timestamp) {
        for finding in self.book.watch.due(now) {
            // Where nothing can be recorded it is told as soon as it goes on and that is possible again.
            let Ok(slot) = self.lane.reserve() else { return };
            drop(slot.write(alert(&finding, now)));
            self.book.watch.told(&finding, now);
            let (pattern, subject, count) = (finding.pattern.name(), &finding.subject, finding.count);
            tracing::warn!(pattern, %subject, count, "unusual: {pattern} by {subject}");
        }
    }
}

fn alert(finding: &Finding, now: Timestamp) -> AuditEvent {
    let outcome = match finding.pattern {
        Pattern::RepeatedAuthFailures | Pattern::DeniedToolsProbed => Outcome::Denied,
        Pattern::RepeatedLimitRefusals => Outcome::Limited,
    };
    let ip = match finding.subject {
        Offender::Address(ip) => Some(ip),
        Offender::Principal(_) => None,
    };
    AuditEvent {
        reason: Some(finding.pattern.name()),
        detail: serde_json::to_string(finding).ok().map(Into::into),
        ip,
        ..AuditEvent::new(now, EventCode::AlertRaised, outcome)
    }
}

impl Actor for InsightActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(LOOK_EVERY, Self::look);
        ctx.run_interval(LOOK_AT_OTHERS_EVERY, |this, _| this.book.forget_others());
        ctx.notify(Next);
        self.goes_on = true;
    }
}

impl Handler<Next> for InsightActor {
    type Result = ();

    fn handle(&mut self, _: Next, ctx: &mut Self::Context) {
        self.goes_on = false;
        self.look(ctx);
    }
}

impl Handler<Show> for InsightActor {
    type Result = MessageResult<Show>;

    fn handle(&mut self, show: Show, ctx: &mut Self::Context) -> Self::Result {
        self.book.forget_others();
        let asked = Instant::now();
        while self.step() && asked.elapsed() < WAIT_OF_A_QUESTION {}
        self.look(ctx);
        MessageResult(self.book.review(show.range, Timestamp::now(), &show.others))
    }
}

impl Handler<Tell> for InsightActor {
    type Result = MessageResult<Tell>;

    fn handle(&mut self, tell: Tell, ctx: &mut Self::Context) -> Self::Result {
        self.look(ctx);
        MessageResult(self.book.tell(Timestamp::now(), tell.all))
    }
}

impl Handler<Fault> for InsightActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("insight");
    }
}
