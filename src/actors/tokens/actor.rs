//! The JWT manager: the one writer of revocations, and the one that signs.

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler};

use super::{
    Minted, MintedPair, Shared, TokenError,
    messages::{Apply, Mint, MintPair},
};
use crate::{
    actors::kit::{self, Fault, Life},
    domain::Timestamp,
};

/// How often ended revocations are dropped from memory.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Posts that may wait: a feed of ten batches a second, for a minute.
const MAILBOX: usize = 1_024;

/// Owns the keyring and the revocations; every handler is a synchronous state transition.
pub(super) struct TokensActor {
    pub(super) shared: Arc<Shared>,
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

    fn handle(&mut self, apply: Apply, _: &mut Self::Context) {
        self.shared.revoked.apply(&apply.revocations);
        if let Some(upto) = apply.upto {
            self.shared.revoked.fresh.mark(upto);
        }
    }
}

impl Handler<Fault> for TokensActor {
    type Result = ();

    fn handle(&mut self, _: Fault, _: &mut Self::Context) {
        kit::fault("tokens");
    }
}
