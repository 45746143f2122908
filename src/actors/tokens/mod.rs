//! The JWT manager: who minted what, and what has been taken back.
//!
//! [`Keyring`] decides (pure); the actor signs and is the one writer of revocations; workers verify
//! first sights on the published keyring and afterwards only compare an epoch. [`Tokens`] is the only
//! thing the rest of the house sees.

mod actor;
mod awaited;
mod error;
mod keyring;
mod messages;
mod recent;
mod revoked;
mod steady;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::ArbiterHandle;
use arc_swap::ArcSwap;
pub use error::TokenError;
pub use keyring::{
    Keyring, MAX_REFRESH_TTL, MAX_TOKEN_BYTES, MintRequest, Minted, MintedPair, SigningKey, TokenRules,
    Verified, has_ended, is_id, issued_at,
};
use sha2::{Digest, Sha256};
pub use steady::Moment;

use self::{
    actor::TokensActor,
    awaited::Awaited,
    messages::{Apply, Mint, MintPair},
    recent::Recent,
    revoked::{Revoked, TokenIds},
    steady::Steady,
};
use crate::{
    actors::{
        epoch::Epoch,
        feed::{Listener, Reloaded, Upto},
        kit::{self, ActorError, Fault, Seat},
    },
    domain::{AccessClaims, RefreshClaims, Timestamp},
    settings::{OnStoreLoss, RevocationSettings},
    store::{Change, ChangeKind, Revocation, RevocationTarget, Revocations, Stores},
    telemetry::StoreFailures,
};

/// Longest time that a revocation may take to reach every worker; staleness beyond it is a failure.
pub const REVOCATION_BOUND: Duration = Duration::from_secs(1);

/// A moment that is past even if the clock has been put forward by mistake: what ended before it may be
/// forgotten, and does not come back when the clock is put right.
pub fn surely_past() -> Timestamp {
    Timestamp::now().minus(steady::MOST)
}

/// Whether one of `revocations` takes back the token with these claims: for a look without a server.
pub fn is_in_force(revocations: &[Revocation], claims: &AccessClaims) -> bool {
    let revoked = Revoked::new(0, Epoch::default());
    revoked.apply(revocations);
    revoked.contains(&TokenIds::of(claims))
}

/// What to do while revocations may be stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStale {
    /// Refuse everything once staleness exceeds [`REVOCATION_BOUND`].
    Deny,
    /// Serve on for this long, then refuse.
    Grace(Duration),
    /// Serve on; named `unsafe_allow` in the settings.
    Allow,
}

impl From<&RevocationSettings> for OnStale {
    fn from(set: &RevocationSettings) -> Self {
        match set.on_store_loss {
            OnStoreLoss::Deny => Self::Deny,
            OnStoreLoss::Grace => Self::Grace(set.grace),
            OnStoreLoss::UnsafeAllow => Self::Allow,
        }
    }
}

/// State that outlives the actor.
#[derive(Debug)]
struct Shared {
    keyring: ArcSwap<Keyring>,
    recent: Recent,
    steady: Steady,
    revoked: Revoked,
}

/// A handle to the JWT manager. Clones share everything.
#[derive(Clone)]
pub struct Tokens {
    shared: Arc<Shared>,
    seat: Arc<Seat<TokensActor>>,
    store: Arc<dyn Revocations>,
    failures: StoreFailures,
    on_stale: OnStale,
}

impl Tokens {
    /// Loads the revocations in force and starts the actor on `arbiter`. `from` is the row of the feed that
    /// was the last one before the store is read here; `epoch` moves with every revocation.
    ///
    /// # Errors
    /// [`TokenError::Store`] if they cannot be loaded: without them nothing may be let in.
    pub async fn start(
        arbiter: &ArbiterHandle,
        keyring: Keyring,
        (stores, from): (&Stores, u64),
        (on_stale, epoch): (OnStale, &Epoch),
    ) -> Result<Self, TokenError> {
        let shared = Arc::new(Shared {
            keyring: ArcSwap::from_pointee(keyring),
            recent: Recent::default(),
            steady: Steady::default(),
            revoked: Revoked::new(from, epoch.clone()),
        });
        shared.revoked.apply(&stores.revocations.live(Timestamp::now()).await?);
        let table = Arc::clone(&shared);
        let kept = Arc::clone(&stores.revocations);
        let build = move |life| {
            let (shared, store) = (Arc::clone(&table), Arc::clone(&kept));
            Ok::<_, TokenError>(TokensActor { shared, store, awaited: Awaited::default(), _life: life })
        };
        let seat = kit::keep("tokens", arbiter, build).await?;
        let (store, failures) = (Arc::clone(&stores.revocations), stores.failures.clone());
        Ok(Self { shared, seat, store, failures, on_stale })
    }

    /// Verifies a token that this worker has not seen, on the worker. Where that is costly, the first sights
    /// of all workers share one look.
    ///
    /// # Errors
    /// [`TokenError`]; [`TokenError::Revoked`] if it was taken back.
    pub fn first_sight(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let keyring = self.shared.keyring.load();
        let verify = || keyring.verify_until(token, self.shared.steady.at(now));
        let verified = if keyring.is_costly() {
            let moment = (keyring.rules().leeway, now);
            Arc::unwrap_or_clone(self.shared.recent.find_or(Sha256::digest(token).into(), moment, verify)?)
        } else {
            verify()?
        };
        if self.is_revoked(&verified.claims) { Err(TokenError::Revoked) } else { Ok(verified) }
    }

    /// The public halves of the keys that count at `now`, as JSON Web Keys.
    pub fn public_keys(&self, now: Timestamp) -> Vec<serde_json::Value> {
        self.shared.keyring.load().public_keys(now)
    }

    /// Verifies a refresh token: that it holds, and that neither it nor its subject nor, by the family's id,
    /// its family was taken back. Whether it was used before is for the families to say.
    ///
    /// # Errors
    /// [`TokenError`]; [`TokenError::Revoked`] if it was taken back.
    pub fn verify_refresh(&self, token: &str, now: Timestamp) -> Result<RefreshClaims, TokenError> {
        let claims = self.shared.keyring.load().verify_refresh(token, self.shared.steady.at(now))?;
        let ids = TokenIds::of_refresh(&claims);
        let family = TokenIds { jti: &claims.family, ..ids };
        let revoked = &self.shared.revoked;
        if revoked.contains(&ids) || revoked.contains(&family) {
            Err(TokenError::Revoked)
        } else {
            Ok(claims)
        }
    }

    /// Whether the token with these claims was taken back.
    pub fn is_revoked(&self, claims: &AccessClaims) -> bool {
        self.shared.revoked.contains(&TokenIds::of(claims))
    }

    /// Refuses to go on where revocations, or whatever else is `others` old, may be stale beyond what the
    /// settings allow.
    ///
    /// # Errors
    /// [`TokenError::Stale`].
    pub fn check_fresh(&self, now: Instant, others: Duration) -> Result<(), TokenError> {
        let bound = match self.on_stale {
            OnStale::Deny => REVOCATION_BOUND,
            OnStale::Grace(grace) => REVOCATION_BOUND + grace,
            OnStale::Allow => return Ok(()),
        };
        if self.staleness(now).max(others) > bound { Err(TokenError::Stale) } else { Ok(()) }
    }

    /// How old our knowledge of revocations is.
    pub fn staleness(&self, now: Instant) -> Duration {
        self.shared.revoked.fresh.staleness(now)
    }

    /// How far the system's clock was put back and tokens are issued ahead of it.
    pub fn clock_behind(&self, now: Timestamp) -> Duration {
        self.shared.steady.behind(now)
    }

    /// How far clocks may differ.
    pub fn leeway(&self) -> Duration {
        self.shared.keyring.load().rules().leeway
    }

    /// Mints an access token.
    ///
    /// # Errors
    /// [`TokenError::Lifetime`], or [`TokenError::Actor`] while the actor is down.
    pub async fn mint(&self, request: MintRequest) -> Result<Minted, TokenError> {
        self.seat.ask(Mint(request)).await?
    }

    /// Mints an access token and the refresh token of `family` that goes with it, both issued at one moment.
    ///
    /// # Errors
    /// [`TokenError::Lifetime`], [`TokenError::Unfit`], or [`TokenError::Actor`] while the actor is down.
    pub async fn mint_pair(
        &self,
        access: MintRequest,
        family: String,
        refresh_ttl: Duration,
    ) -> Result<MintedPair, TokenError> {
        self.seat.ask(MintPair { access, family, refresh_ttl }).await?
    }

    /// Takes back what `target` names, everywhere: kept in the store first, then in force here; other
    /// processes follow by their feeds.
    ///
    /// # Errors
    /// [`TokenError::Store`]: nothing was revoked.
    pub async fn revoke(&self, target: RevocationTarget, life: Duration) -> Result<(), TokenError> {
        let now = self.shared.steady.at(Timestamp::now()).reached;
        let revocation = Revocation { target, at: now, until: now.plus(life) };
        self.failures.note("revocations.revoke", self.store.revoke(&revocation).await)?;
        self.enforce(vec![revocation]).await;
        Ok(())
    }

    /// Puts revocations in force here that the store has taken already, without waiting for the feed.
    pub async fn enforce(&self, revocations: Vec<Revocation>) {
        // Once it is stored it holds: the feed brings it too, so a dead actor delays it by one look at most.
        if let Err(error) = self.seat.ask(Apply { revocations, upto: None }).await {
            tracing::warn!(%error, "a stored revocation comes into force by the feed");
        }
    }

    /// What is revoked as far as it is known here, and matters still.
    pub fn known_revocations(&self) -> Vec<Revocation> {
        self.shared.revoked.live(Timestamp::now())
    }

    /// Makes the actor panic.
    ///
    /// # Errors
    /// [`ActorError`] if it is down already.
    pub fn fault(&self) -> Result<(), ActorError> {
        self.seat.post(Fault)
    }

    /// What health and metrics read.
    pub fn vitals(&self) -> kit::Vitals {
        self.seat.vitals()
    }
}

impl Listener for Tokens {
    fn applied(&self) -> u64 {
        self.shared.revoked.fresh.applied()
    }

    fn deliver(&self, changes: &[Change], upto: Upto) -> Result<(), ActorError> {
        let moment = self.shared.steady.at(Timestamp::now());
        let revoked = |change: &Change| match &change.what {
            // Where the clock was put back, whoever revoked knew less of the time than we do.
            ChangeKind::Revoked(revocation) if moment.reached > moment.now => {
                Some(Revocation { at: revocation.at.max(moment.reached), ..revocation.clone() })
            }
            ChangeKind::Revoked(revocation) => Some(revocation.clone()),
            _ => None,
        };
        let revocations = changes.iter().filter_map(revoked).collect();
        self.seat.post(Apply { revocations, upto: Some(upto) })
    }

    fn reload(&self, upto: Upto) -> Reloaded<'_> {
        Box::pin(async move {
            let now = Timestamp::now();
            let revocations = self.store.live(now).await?;
            // A node of the store that took over, or an older copy of it, may lack some; whoever starts next would let
            // them in. Until it has them, this copy counts as old.
            let missing = self.shared.revoked.missing_in(&revocations, now);
            if !missing.is_empty() {
                let restored = self.store.restore(&missing).await?;
                tracing::warn!(revocations = restored, "the store lacked revocations: they were put back");
            }
            if let Err(error) = self.seat.post(Apply { revocations, upto: Some(upto) }) {
                tracing::debug!(%error, "revocations wait for their actor");
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
