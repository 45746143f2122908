//! What a request can reach: finished parts, made once by `app` or by a test.

mod answers;
mod errands;
mod sights;
mod spent;
mod streams;
mod toll;
mod views;

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub use answers::{AnswerRoom, LARGE, Place};
pub use errands::{Errand, Errands};
use hmac::Hmac;
use sha2::Sha256;
pub use sights::Sights;
pub use spent::{Spend, Spent};
pub use streams::{
    MOST as MOST_STREAMS, MOST_OF_ONE as MOST_STREAMS_OF_ONE, NoPlace, OpenStream, StreamPlace, Streams,
};
use tokio::sync::watch;
pub use toll::toll;
pub use views::{About, Views};

use crate::{
    actors::{
        api_keys::ApiKeys,
        audit::{Audit, Lane, fleet::Shipper, insight::Insight},
        changes::Changes,
        epoch::Epoch,
        feed::FeedReader,
        kit::Vitals,
        limiter::{Limiter, Turnstile},
        sessions::Sessions,
        tasks::Tasks,
        tokens::Tokens,
        users::Users,
    },
    auth::{Against, Caches, Challenges, Grants},
    domain::Seal,
    edge::{Guard, Proxies},
    policy::Roles,
    prompts::Prompts,
    resources::Resources,
    settings,
    telemetry::Metrics,
    tools::Registry,
};

/// What a caller without the permission for a tool is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDenied {
    /// Which permission is missing, so that a person knows what to ask for.
    Explain,
    /// What it would be told of a tool that does not exist.
    Hide,
}

impl From<settings::Denied> for WhenDenied {
    fn from(set: settings::Denied) -> Self {
        match set {
            settings::Denied::Explain => Self::Explain,
            settings::Denied::Hide => Self::Hide,
        }
    }
}

/// How much of one request is taken, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body, bytes.
    pub max_body: usize,
    /// Longest run of a tool, whatever it asks for itself.
    pub request_timeout: Duration,
}

/// How tasks are shown.
#[derive(Debug, Clone, Copy)]
pub struct TaskRules {
    /// How often clients shall ask for one.
    pub poll_interval: Duration,
    /// Largest result, bytes.
    pub max_result: usize,
    /// Longest life until the end.
    pub max_run: Duration,
}

/// Handles to the actors.
#[derive(Clone)]
pub struct Services {
    /// The JWT manager.
    pub tokens: Tokens,
    /// The accounts.
    pub users: Users,
    /// The API keys.
    pub keys: ApiKeys,
    /// The audit log.
    pub audit: Audit,
    /// What the audit log says about attacks.
    pub insight: Insight,
    /// Sends what is recorded to the fleet's log, where there is one.
    pub shipper: Option<Shipper>,
    /// Who has had how much.
    pub limiter: Limiter,
    /// Calls that go on after their answer.
    pub tasks: Tasks,
    /// The store's change feed.
    pub feed: FeedReader,
    /// Moves whenever a credential may have become worth less.
    pub epoch: Epoch,
    /// Tells of what changes under clients.
    pub changes: Changes,
    /// The sessions of older revisions, where there are any.
    pub sessions: Option<Sessions>,
}

impl Services {
    /// How old the oldest of our copies of what decides about credentials is, revocations aside.
    pub fn staleness(&self, now: Instant) -> Duration {
        self.users.staleness(now).max(self.keys.staleness(now))
    }

    /// What health and metrics read of each actor.
    pub fn vitals(&self) -> Vec<Vitals> {
        let audit = Vitals {
            name: "audit",
            alive: self.audit.is_alive(),
            restarts: self.audit.restarts(),
            depth: i64::try_from(self.audit.depth()).unwrap_or(i64::MAX),
        };
        let sessions = self.sessions.as_ref().map(Sessions::vitals);
        let shipper = self.shipper.as_ref().map(Shipper::vitals);
        let always = [
            self.tokens.vitals(),
            self.users.vitals(),
            self.keys.vitals(),
            audit,
            self.feed.vitals(),
            self.limiter.vitals(),
            self.insight.vitals(),
            self.tasks.vitals(),
        ];
        always.into_iter().chain(sessions).chain(shipper).collect()
    }
}

/// Everything that is shared between workers.
pub struct House {
    /// Handles to the actors.
    pub services: Services,
    /// Gives, exchanges and ends token pairs.
    pub grants: Grants,
    /// Who may do what.
    pub roles: Roles,
    /// The tools.
    pub registry: Registry,
    /// What can be read.
    pub resources: Resources,
    /// What can be begun with.
    pub prompts: Prompts,
    /// Seals where lists go on.
    pub cursors: Seal,
    /// Answers that do not depend on arguments.
    pub views: Views,
    /// Which hosts and origins may be named.
    pub guard: Guard,
    /// Whose word about addresses counts.
    pub proxies: Proxies,
    /// `WWW-Authenticate`.
    pub challenges: Challenges,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is taken of one request.
    pub limits: Limits,
    /// How tasks are shown, if a tool may answer with one.
    pub tasks: Option<TaskRules>,
    /// What a caller without the permission is told.
    pub when_denied: WhenDenied,
    /// The HMAC state, key included, of argument digests.
    pub digest_key: Hmac<Sha256>,
    /// Seals what calls that ask give to the client.
    pub state_seal: Seal,
    /// What of that counts once, and has counted.
    pub spent: Spent,
    /// The event streams that are open.
    pub streams: Arc<Streams>,
    /// Credentials that this process has seen.
    pub sights: Sights,
    /// Requests on `/auth/…` that are done to their end, whoever hangs up.
    pub errands: Errands,
    /// The same of clients of older revisions on `/mcp`: places of their own, so that neither keeps the other out.
    pub detached: Errands,
    /// Room for large answers.
    pub answers: AnswerRoom,
    /// Whether clients come over TLS, and shall keep to it.
    pub over_tls: bool,
    /// Whether the server is about to stop.
    pub leaving: AtomicBool,
    /// Whether the server is stopping.
    pub closing: AtomicBool,
    /// Whether whatever is still under way is cut off.
    pub cut: watch::Sender<bool>,
}

impl House {
    /// What credentials are held against.
    pub fn against(&self) -> Against<'_> {
        let Services { tokens, users, keys, epoch, .. } = &self.services;
        Against { tokens, users, keys, roles: &self.roles, epoch }
    }

    /// Whether the server is about to stop: it serves on, and whoever sends it requests shall look for another.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Whether the server is stopping: nothing new is begun.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

/// What one worker thread has for itself; nothing in it is shared, nothing in it waits.
pub struct Worker {
    /// The house.
    pub house: Arc<House>,
    /// Credentials that this worker has verified.
    pub cache: RefCell<Caches>,
    /// This worker's way through the limits.
    pub turnstile: Turnstile,
    /// This worker's way into the audit log.
    pub lane: Lane,
}

impl Worker {
    /// A worker of `house`, with nothing in its cache.
    pub fn new(house: Arc<House>) -> Self {
        let lane = house.services.audit.lane();
        let turnstile = house.services.limiter.turnstile();
        Self { house, cache: RefCell::default(), turnstile, lane }
    }
}
