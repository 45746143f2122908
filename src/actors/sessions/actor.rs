//! The sessions' actor: the only one who opens and ends them, and tells them what has changed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use super::{
    Shared,
    error::SessionError,
    messages::{Adopt, End, LookAgain, Open, Withdraw},
    session::Session,
};
use crate::{
    actors::kit::{self, Fault, Life},
    domain::Change,
    store::{SessionDigest, StoreError},
};

/// How often changes are told, and how far apart two of one kind are at least.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// How often it is looked for sessions that are over.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Asks that may wait.
const MAILBOX: usize = 1_024;

/// Owns the sessions; every handler is a synchronous state transition.
pub(super) struct SessionsActor {
    pub(super) shared: Arc<Shared>,
    pub(super) changes: Receiver<Change>,
    /// Whether what is in doubt is being looked at.
    pub(super) is_looking: bool,
    /// Whether the store is being told what was used.
    pub(super) is_telling: bool,
    pub(super) _life: Life,
}

impl Actor for SessionsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        // What was told while there was no actor, nobody has heard.
        self.shared.table.read().hear(None);
        // Nor does anybody know what it was about to look at.
        self.shared.fleet.iter().for_each(|fleet| fleet.doubt_all());
        ctx.run_interval(TELL_EVERY, |this, ctx| {
            this.tell();
            this.look(ctx);
        });
        ctx.run_interval(SWEEP_EVERY, |this, ctx| {
            this.sweep();
            this.tell_used(ctx);
        });
    }
}

impl SessionsActor {
    /// Ends sessions that are over. Looked for under the lock that all share, so that no request waits for it; a client
    /// that comes back in that very moment begins a new one. One that is only idle here may be in use at another server:
    /// that is looked at first.
    fn sweep(&self) {
        let (rules, now) = (&self.shared.rules, Instant::now());
        let over = self.shared.table.read().over(rules, now);
        let is_over = |session: &Arc<Session>| !session.is_shared() || session.has_ended(rules, now);
        let (over, idle): (Vec<_>, Vec<_>) = over.into_iter().partition(is_over);
        if let Some(fleet) = &self.shared.fleet {
            idle.iter().for_each(|session| fleet.doubt(session.id().digest()));
        }
        if !over.is_empty() {
            let mut table = self.shared.table.write();
            over.iter().for_each(|session| table.end(session.id()));
        }
    }

    /// Looks at what is in doubt of sessions that servers share.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let Some(fleet) = self.shared.fleet.clone().filter(|_| !self.is_looking) else { return };
        let doubts = fleet.take_doubts();
        if doubts.is_empty() {
            return;
        }
        self.is_looking = true;
        let shared = Arc::clone(&self.shared);
        let look = async move { shared.clear_up(&fleet, doubts).await };
        ctx.spawn(wrap_future(look).map(|gone, this: &mut Self, ctx| {
            this.is_looking = false;
            if this.are_gone(gone) {
                // Something else may have come meanwhile; what could not be read waits for its turn.
                this.look(ctx);
            }
        }));
    }

    /// Tells the other servers which sessions are used.
    fn tell_used(&mut self, ctx: &mut Context<Self>) {
        let Some(fleet) = self.shared.fleet.clone().filter(|_| !self.is_telling) else { return };
        let used = self.shared.table.read().used(&self.shared.rules, Instant::now());
        if used.is_empty() {
            return;
        }
        self.is_telling = true;
        let shared = Arc::clone(&self.shared);
        let tell = async move { shared.tell_used(&fleet, used).await };
        ctx.spawn(wrap_future(tell).map(|gone, this: &mut Self, _| {
            this.is_telling = false;
            this.are_gone(gone);
        }));
    }

    /// Ends those that no server has any more; `false` if nobody knows which.
    fn are_gone(&self, gone: Result<Vec<SessionDigest>, StoreError>) -> bool {
        let Ok(gone) = gone.inspect_err(|error| tracing::debug!(%error, "shared sessions wait")) else {
            return false;
        };
        if !gone.is_empty() {
            let mut table = self.shared.table.write();
            let ids: Vec<_> = gone.iter().filter_map(|digest| Some(*table.of_digest(digest)?.id())).collect();
            ids.iter().for_each(|id| table.end(id));
        }
        true
    }

    /// Tells every session what has changed since the last time.
    fn tell(&mut self) {
        let mut told = Vec::new();
        loop {
            match self.changes.try_recv() {
                Ok(change) if told.contains(&change) => {}
                Ok(change) => told.push(change),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                Err(TryRecvError::Lagged(_)) => {
                    self.changes = self.changes.resubscribe();
                    return self.shared.table.read().hear(None);
                }
            }
        }
        if !told.is_empty() {
            self.shared.table.read().hear(Some(&told));
        }
    }
}

impl Handler<Open> for SessionsActor {
    type Result = Result<Arc<Session>, SessionError>;

    fn handle(&mut self, Open(opening): Open, _: &mut Self::Context) -> Self::Result {
        self.shared.table.write().open(opening, &self.shared.rules, Instant::now())
    }
}

impl Handler<Adopt> for SessionsActor {
    type Result = Result<Arc<Session>, SessionError>;

    fn handle(&mut self, Adopt(id, row): Adopt, _: &mut Self::Context) -> Self::Result {
        // What was told of it since it was read, nobody here has heard.
        self.shared.fleet.iter().for_each(|fleet| fleet.doubt(row.digest));
        self.shared.table.write().adopt((id, row), &self.shared.rules, Instant::now())
    }
}

impl Handler<LookAgain> for SessionsActor {
    type Result = ();

    fn handle(&mut self, _: LookAgain, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

impl Handler<Withdraw> for SessionsActor {
    type Result = ();

    fn handle(&mut self, Withdraw(session, ids): Withdraw, ctx: &mut Self::Context) {
        let Some(fleet) = self.shared.fleet.clone() else { return };
        let withdraw = async move {
            // Else they are gone with their time.
            let gone = fleet.store.withdraw_questions(session, ids).await;
            _ = fleet.failures.note("sessions.withdraw_questions", gone);
        };
        ctx.spawn(wrap_future(withdraw));
    }
}

impl Handler<End> for SessionsActor {
    type Result = ();

    fn handle(&mut self, End(id): End, _: &mut Self::Context) {
        self.shared.table.write().end(&id);
    }
}

impl Handler<Fault> for SessionsActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("sessions");
    }
}
