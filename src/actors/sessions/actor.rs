//! The sessions' actor: the only one who opens and ends them, and tells them what has changed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext, Context, Handler};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use super::{
    Shared,
    error::SessionError,
    messages::{End, Open},
    session::Session,
};
use crate::{
    actors::kit::{self, Fault, Life},
    domain::Change,
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
    pub(super) _life: Life,
}

impl Actor for SessionsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        // What was told while there was no actor, nobody has heard.
        self.shared.table.read().hear(None);
        ctx.run_interval(TELL_EVERY, |this, _| this.tell());
        ctx.run_interval(SWEEP_EVERY, |this, _| this.sweep());
    }
}

impl SessionsActor {
    /// Ends sessions that are over. Looked for under the lock that all share, so that no request waits for it; a client
    /// that comes back in that very moment begins a new one.
    fn sweep(&self) {
        let over = self.shared.table.read().over(&self.shared.rules, Instant::now());
        if !over.is_empty() {
            let mut table = self.shared.table.write();
            over.iter().for_each(|id| table.end(id));
        }
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
