//! The one writer of the log: takes what the lanes hold, commits it as one batch, tells the lanes.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use tokio::sync::oneshot;

use super::{
    error::AuditError,
    journal::Journal,
    shared::{Shared, Work},
    takeover::{alert, slot_lost},
};
use crate::{
    actors::kit::{Fault, Life, fault},
    domain::Timestamp,
};

/// First and longest pause before a disk that refused is tried again.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How often the writer looks after its file; in buffered mode also the longest time until fdatasync.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Pause between two batches in buffered mode, so that a wake-up is paid per batch and not per event.
const BUFFERED_PAUSE: Duration = Duration::from_millis(2);
/// Most records that buffered mode keeps in memory until the next fdatasync.
const MAX_UNSYNCED: usize = 8_192;
/// Longest wait for company, whatever the settings say.
const MAX_LINGER: Duration = Duration::from_millis(1);
/// Commits faster than this are not worth waiting for company.
const MIN_LINGER: Duration = Duration::from_micros(50);

/// Write down what is in the lanes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Drain;

/// Write down what came while the last batch was written.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Next;

/// Write down everything, vouch for it, let go of the slot, end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Close {
    /// Who wants to know how it went.
    pub(super) done: oneshot::Sender<Result<(), AuditError>>,
}

/// Owns the journal; all that must survive it is in [`Shared`].
#[derive(Debug)]
pub(super) struct AuditActor {
    shared: Arc<Shared>,
    journal: Journal,
    /// How many events the next batch will probably have: the last one and what came meanwhile.
    expected: u64,
    /// How long the last commit took.
    took: Duration,
    /// Until the next attempt, while the disk refuses.
    pause: Duration,
    /// Whether the next batch is on its way already.
    goes_on: bool,
    _life: Life,
}

impl AuditActor {
    /// Takes the log over at start, or goes on behind the last commit after a panic.
    ///
    /// # Errors
    /// [`AuditError::File`] at start only.
    pub(super) fn build(shared: &Arc<Shared>, life: Life) -> Result<Self, AuditError> {
        let mut work = shared.work.lock();
        work.written = 0;
        let desk = Arc::clone(&shared.desk);
        let journal = match work.committed.clone() {
            Some(position) => Journal::resume(desk, position),
            None => Journal::open(desk, Timestamp::now())?,
        };
        shared.stands(&mut work, journal.end());
        let shared = Arc::clone(shared);
        Ok(Self {
            shared,
            journal,
            expected: 0,
            took: Duration::ZERO,
            pause: RETRY_PAUSE.0,
            goes_on: false,
            _life: life,
        })
    }

    /// One batch, if the disk is well.
    fn drain(&mut self, ctx: &mut Context<Self>) {
        if self.shared.is_failing() {
            return;
        }
        self.linger();
        let shared = Arc::clone(&self.shared);
        let mut work = shared.work.lock();
        shared.take(&mut work);
        if !work.has_news() {
            return if !shared.rest() {
                self.go_on(ctx)
            };
        }
        let commit = shared.is_durable() || work.events.len() >= MAX_UNSYNCED;
        if let Err(error) = self.write(&mut work, commit) {
            return self.fail(&mut work, &error, ctx);
        }
        // Buffered mode never rests right after a batch: the next event would pay for a wake-up.
        if !shared.is_durable() || shared.waiting().load(Ordering::SeqCst) > 0 || !shared.rest() {
            self.go_on(ctx);
        }
    }

    /// Has the next batch follow, once.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.goes_on {
            return;
        }
        self.goes_on = true;
        if self.shared.is_durable() {
            ctx.notify(Next);
        } else {
            ctx.run_later(BUFFERED_PAUSE, Self::next);
        }
    }

    fn next(&mut self, ctx: &mut Context<Self>) {
        self.goes_on = false;
        self.drain(ctx);
    }

    /// Gives the journal what it has not got yet; with `commit`, all of it is on disk afterwards.
    fn write(&mut self, work: &mut Work, commit: bool) -> io::Result<()> {
        let (begun, now) = (Instant::now(), Timestamp::now());
        self.journal.begin(now)?;
        for event in work.events.iter().skip(work.written) {
            self.journal.append(event, now)?;
        }
        work.written = work.events.len();
        self.journal.flush()?;
        if commit { self.commit(work, begun) } else { Ok(()) }
    }

    fn commit(&mut self, work: &mut Work, begun: Instant) -> io::Result<()> {
        self.journal.commit()?;
        self.took = begun.elapsed();
        let count = self.shared.settle(work, self.journal.end());
        self.expected = count as u64 + self.shared.waiting().load(Ordering::SeqCst);
        if let Some(hook) = self.shared.hook.get() {
            hook(self.took, count);
        }
        Ok(())
    }

    /// Waits for as many events as are likely to come at once, but never longer than it saves.
    fn linger(&self) {
        let longest = self.shared.desk.config.linger.min(MAX_LINGER).min(self.took / 2);
        if self.shared.is_durable() && self.expected > 1 && longest >= MIN_LINGER {
            let enough = self.expected - self.expected / 8;
            self.shared.bell.wait(self.shared.waiting(), enough, longest);
        }
    }

    /// The disk refused: nobody is left waiting, nothing is let in, and it is tried again.
    fn fail(&mut self, work: &mut Work, error: &io::Error, ctx: &mut Context<Self>) {
        self.journal.rewind();
        work.written = 0;
        if !self.shared.is_failing() {
            self.pause = RETRY_PAUSE.0;
            tracing::error!(%error, "the audit log cannot be written, refusing whatever would be recorded");
            // A slot that was taken away has an alert of its own, in the next one.
            if !self.journal.is_lost() {
                let cause = serde_json::json!({ "cause": error.to_string() });
                work.events.push(alert("audit_write_failed", &cause, Timestamp::now()));
            }
        }
        self.shared.fail();
        self.retry_later(ctx);
    }

    /// Takes another slot if ours was taken away, and says so in it.
    fn move_if_lost(&mut self, work: &mut Work) -> io::Result<()> {
        if !self.journal.is_lost() {
            return Ok(());
        }
        let now = Timestamp::now();
        // Nothing is committed in the new slot yet: a successor after a panic has to look, not to go on.
        if let Some(lost) = work.committed.take() {
            work.events.insert(0, slot_lost(&lost.head, now));
        }
        self.journal = self.journal.move_out(now).map_err(io::Error::other)?;
        // What the lost one had been given, this one has not.
        work.written = 0;
        self.shared.stands(work, self.journal.end());
        tracing::error!("the audit log's slot was removed while it was written, going on in a new one");
        Ok(())
    }

    fn retry_later(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(self.pause, Self::retry);
        self.pause = (self.pause * 2).min(RETRY_PAUSE.1);
    }

    fn retry(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let mut work = shared.work.lock();
        match self.move_if_lost(&mut work).and_then(|()| self.write(&mut work, true)) {
            Ok(()) => {
                self.shared.heal();
                tracing::info!("the audit log can be written again");
                self.go_on(ctx);
            }
            Err(error) => self.fail(&mut work, &error, ctx),
        }
    }

    /// Looks after the file even when there is nothing to write.
    fn beat(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        shared.forget_abandoned();
        if shared.is_failing() {
            return;
        }
        let mut work = shared.work.lock();
        let checked = match self.journal.is_dirty() {
            true => self.commit(&mut work, Instant::now()),
            false => self.journal.check(),
        };
        if let Err(error) = checked {
            return self.fail(&mut work, &error, ctx);
        }
        drop(work);
        // A `Drain` that a full mailbox refused is made up for here.
        self.drain(ctx);
    }

    /// The last batch, and a checkpoint behind it.
    fn finish(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let mut work = shared.work.lock();
        shared.take(&mut work);
        let (begun, now) = (Instant::now(), Timestamp::now());
        self.move_if_lost(&mut work)?;
        self.write(&mut work, false)?;
        if self.journal.is_unsigned() {
            self.journal.checkpoint(now);
        }
        self.commit(&mut work, begun)
    }
}

impl Actor for AuditActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(HEARTBEAT, Self::beat);
        if self.shared.is_failing() {
            self.retry_later(ctx);
        } else {
            self.go_on(ctx);
        }
    }
}

impl Handler<Drain> for AuditActor {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.drain(ctx);
    }
}

impl Handler<Next> for AuditActor {
    type Result = ();

    fn handle(&mut self, _: Next, ctx: &mut Self::Context) {
        self.next(ctx);
    }
}

impl Handler<Close> for AuditActor {
    type Result = ();

    fn handle(&mut self, close: Close, ctx: &mut Self::Context) {
        let finished = self.finish().map_err(|error| {
            tracing::error!(%error, "the audit log could not be closed in order");
            AuditError::Unavailable
        });
        self.shared.end();
        // Nobody waits for the answer any more: then nobody needs it.
        let _ = close.done.send(finished);
        ctx.stop();
    }
}

impl Handler<Fault> for AuditActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        fault("audit");
    }
}
