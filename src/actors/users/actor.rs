//! The one writer of the table of accounts.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};

use super::{
    Shared,
    accounts::account_of,
    messages::{Refresh, Replace},
};
use crate::{
    actors::kit::{self, Fault, Life},
    store::{StoreError, Users as UserStore},
    telemetry::StoreFailures,
};

/// Posts that may wait: a feed of ten batches a second, for a minute.
const MAILBOX: usize = 1_024;
/// What logs and metrics call the reading of one account.
const FIND: &str = "users.find";

/// Owns the accounts.
pub(super) struct UsersActor {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<dyn UserStore>,
    pub(super) failures: StoreFailures,
    pub(super) _life: Life,
}

impl Actor for UsersActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Refresh> for UsersActor {
    type Result = ();

    fn handle(&mut self, refresh: Refresh, ctx: &mut Self::Context) {
        let Refresh { names, upto } = refresh;
        if names.is_empty() {
            return self.shared.accounts.mark_fresh(upto);
        }
        // While the store is slow the feed brings the same rows again.
        if upto <= self.shared.accounts.applied() {
            return;
        }
        let store = Arc::clone(&self.store);
        let read = async move {
            let mut found = Vec::with_capacity(names.len());
            for name in names {
                let account = store.find(&name).await?.as_ref().map(account_of);
                found.push((name, account));
            }
            Ok(found)
        };
        // The next message waits: what was read later must not be overtaken by what was read before.
        ctx.wait(wrap_future(read).map(move |found: Result<_, StoreError>, this: &mut Self, _| {
            match this.failures.note(FIND, found) {
                Ok(found) => {
                    this.shared.accounts.put(found);
                    this.shared.accounts.mark_fresh(upto);
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
        self.shared.accounts.mark_fresh(replace.upto);
    }
}

impl Handler<Fault> for UsersActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("users");
    }
}
