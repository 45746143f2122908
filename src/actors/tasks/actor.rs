//! The actor of tasks: on its thread they run, and it has those forgotten that are past their end of life.

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};

use super::{Shared, life, messages::Begin};
use crate::{
    actors::kit::{self, Fault, Life},
    domain::Timestamp,
};

/// Posts that may wait.
const MAILBOX: usize = 1_024;
/// How often tasks are forgotten that are past their end of life.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// What logs and metrics call that.
const SWEEP: &str = "tasks.forget_tasks";

/// Begins tasks. Each then runs in a task of the runtime of its own, so that the actor's end is not theirs.
pub(super) struct TasksActor {
    pub(super) shared: Arc<Shared>,
    pub(super) _life: Life,
}

impl Actor for TasksActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(SWEEP_EVERY, Self::sweep);
        self.sweep(ctx);
    }
}

impl TasksActor {
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let stores = self.shared.stores.clone();
        let sweep = async move { stores.tasks.forget_tasks(Timestamp::now()).await };
        ctx.spawn(wrap_future(sweep).map(|swept, this: &mut Self, _| {
            if let Err(error) = this.shared.stores.failures.note(SWEEP, swept) {
                tracing::warn!(%error, store.op = SWEEP, "old tasks stay for now");
            }
        }));
    }
}

impl Handler<Begin> for TasksActor {
    type Result = ();

    fn handle(&mut self, begin: Begin, _: &mut Self::Context) {
        actix::spawn(life::live(Arc::clone(&self.shared), begin));
    }
}

impl Handler<Fault> for TasksActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("tasks");
    }
}
