//! The one writer of the table of accounts, and who counts the tries of passwords.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};

use super::{
    Shared,
    accounts::{account_of, disabled},
    backoff::Try,
    messages::{Attempt, Refresh, Replace, Succeed, TakeBack},
};
use crate::{
    actors::kit::{self, Fault, Life},
    domain::Timestamp,
    store::{AN_ACCOUNT, Families, StoreError, Users as UserStore},
    telemetry::StoreFailures,
};

/// Posts that may wait: a feed of ten batches a second, for a minute.
const MAILBOX: usize = 1_024;
/// How often refresh families that have ended leave the store, and names that are forgiven the memory.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// What logs and metrics call the reading of one account.
const FIND: &str = "users.find";
/// What they call the sweeping of families.
const SWEEP: &str = "families.forget_ended";

/// Owns the accounts and what is counted of tries; both outlive it.
pub(super) struct UsersActor {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<dyn UserStore>,
    pub(super) families: Arc<dyn Families>,
    pub(super) failures: StoreFailures,
    pub(super) _life: Life,
}

impl Actor for UsersActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(SWEEP_EVERY, |this, ctx| {
            this.shared.backoff.lock().forget(Instant::now());
            this.sweep(ctx);
        });
        self.sweep(ctx);
    }
}

impl UsersActor {
    /// Drops refresh families that have ended by themselves.
    fn sweep(&self, ctx: &mut Context<Self>) {
        let families = Arc::clone(&self.families);
        let sweep = async move { families.forget_ended_families(Timestamp::now()).await };
        ctx.spawn(wrap_future(sweep).map(|swept, this: &mut Self, _| {
            if let Err(error) = this.failures.note(SWEEP, swept) {
                tracing::warn!(%error, store.op = SWEEP, "ended refresh families stay for now");
            }
        }));
    }
}

impl Handler<Attempt> for UsersActor {
    type Result = Result<Try, Duration>;

    fn handle(&mut self, Attempt(who): Attempt, _: &mut Self::Context) -> Self::Result {
        self.shared.backoff.lock().attempt(who, Instant::now())
    }
}

impl Handler<Succeed> for UsersActor {
    type Result = ();

    fn handle(&mut self, Succeed(tried): Succeed, _: &mut Self::Context) {
        self.shared.backoff.lock().succeed(tried, Instant::now());
    }
}

impl Handler<TakeBack> for UsersActor {
    type Result = ();

    fn handle(&mut self, TakeBack(tried): TakeBack, _: &mut Self::Context) {
        self.shared.backoff.lock().take_back(tried);
    }
}

impl Handler<Refresh> for UsersActor {
    type Result = ();

    fn handle(&mut self, refresh: Refresh, ctx: &mut Self::Context) {
        let Refresh { names, upto } = refresh;
        if names.is_empty() {
            return self.shared.accounts.fresh.mark(upto);
        }
        // While the store is slow the feed brings the same rows again.
        if upto.row <= self.shared.accounts.fresh.applied() {
            return;
        }
        let (store, failures) = (Arc::clone(&self.store), self.failures.clone());
        let read = async move {
            let mut found = Vec::with_capacity(names.len());
            for name in names {
                let account = match store.find(&name).await {
                    // It must not keep everybody else out.
                    Err(StoreError::Corrupt(AN_ACCOUNT)) => {
                        tracing::warn!("an account in the store does not read: it opens nothing");
                        failures.unreadable(AN_ACCOUNT);
                        Some(disabled())
                    }
                    found => found?.as_ref().map(account_of),
                };
                found.push((name, account));
            }
            Ok(found)
        };
        // The next message waits: what was read later must not be overtaken by what was read before.
        ctx.wait(wrap_future(read).map(move |found: Result<_, StoreError>, this: &mut Self, _| {
            match this.failures.note(FIND, found) {
                Ok(found) => {
                    this.shared.accounts.put(found);
                    this.shared.accounts.fresh.mark(upto);
                }
                // The feed brings the rows again until they are applied.
                Err(error) => tracing::error!(%error, store.op = FIND, "changed accounts cannot be read yet"),
            }
        }));
    }
}

impl Handler<Replace> for UsersActor {
    type Result = ();

    fn handle(&mut self, replace: Replace, _: &mut Self::Context) {
        self.shared.accounts.replace(replace.table);
        self.shared.accounts.fresh.mark(replace.upto);
    }
}

impl Handler<Fault> for UsersActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("users");
    }
}
