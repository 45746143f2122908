//! The JWT manager: the one writer of revocations, and the one that signs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};

use super::{
    Awaited, Minted, MintedPair, Shared, TokenError,
    messages::{Apply, Mint, MintPair},
};
use crate::{
    actors::kit::{self, Fault, Life},
    domain::Timestamp,
    store::{Revocation, Revocations},
};

/// How often ended revocations are dropped from memory.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Posts that may wait: a feed of ten batches a second, for a minute.
const MAILBOX: usize = 1_024;

/// Owns the keyring and the revocations; every handler is a synchronous state transition.
pub(super) struct TokensActor {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<dyn Revocations>,
    pub(super) awaited: Awaited,
    pub(super) _life: Life,
}

impl Actor for TokensActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(SWEEP_EVERY, |this, _| this.shared.revoked.forget_ended(super::surely_past()));
    }
}

impl TokensActor {
    /// Gives revocations to the store once more, which has lost them before its feed brought them.
    fn put_back(&self, lost: Vec<Revocation>, ctx: &mut Context<Self>) {
        let store = Arc::clone(&self.store);
        let restore = async move {
            let restored = store.restore(&lost).await;
            (lost, restored)
        };
        ctx.spawn(wrap_future(restore).map(|(lost, restored), this: &mut Self, _| match restored {
            Ok(0) => {}
            Ok(restored) => {
                tracing::warn!(revocations = restored, "the store had lost revocations: they were put back");
            }
            Err(error) => {
                tracing::warn!(%error, "lost revocations cannot be put back yet");
                this.awaited.add(lost, Instant::now());
            }
        }));
    }

    /// When the token is issued that is asked for now.
    fn issue_time(&self) -> Timestamp {
        let now = Timestamp::now();
        let behind = self.shared.steady.behind(now);
        if behind > self.shared.keyring.load().rules().leeway {
            tracing::warn!(behind_ms = behind.as_millis(), "the system's clock was put back; tokens are not");
        }
        self.shared.steady.issue(now)
    }
}

impl Handler<Mint> for TokensActor {
    type Result = Result<Minted, TokenError>;

    fn handle(&mut self, Mint(request): Mint, _: &mut Self::Context) -> Self::Result {
        self.shared.keyring.load().mint(&request, self.issue_time())
    }
}

impl Handler<MintPair> for TokensActor {
    type Result = Result<MintedPair, TokenError>;

    fn handle(&mut self, pair: MintPair, _: &mut Self::Context) -> Self::Result {
        let (keyring, now) = (self.shared.keyring.load(), self.issue_time());
        let refresh = keyring.mint_refresh(&pair.access.subject, &pair.family, pair.refresh_ttl, now)?;
        Ok(MintedPair { access: keyring.mint(&pair.access, now)?, refresh })
    }
}

impl Handler<Apply> for TokensActor {
    type Result = ();

    fn handle(&mut self, apply: Apply, ctx: &mut Self::Context) {
        let Some(upto) = apply.upto else {
            // What the feed has brought already need not be awaited.
            let new = apply.revocations.iter().filter(|one| !self.shared.revoked.covers(one));
            self.awaited.add(new.cloned(), Instant::now());
            return self.shared.revoked.apply(&apply.revocations);
        };
        self.shared.revoked.apply(&apply.revocations);
        self.shared.revoked.fresh.mark(upto);
        let lost = self.awaited.lost(&apply.revocations, upto.at);
        if !lost.is_empty() {
            self.put_back(lost, ctx);
        }
    }
}

impl Handler<Fault> for TokensActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("tokens");
    }
}
