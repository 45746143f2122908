//! Furnishes the house: everything a request can reach, from the settings and the running actors.

use std::sync::{Arc, atomic::AtomicBool};

use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use tokio::sync::watch;

use super::AppError;
use crate::{
    auth::{Challenges, Grants, grants::Lives},
    domain::Seal,
    edge::{Guard, HostRule, Proxies},
    house::{About, AnswerRoom, Errands, House, Limits, Services, Sights, Spent, TaskRules, Views},
    oauth,
    policy::Roles,
    prompts::{Icon, Prompts},
    resources::Resources,
    settings::Settings,
    store::{StoreError, Stores},
    telemetry::Metrics,
    tools::Registry,
};

/// The ring of the store that keys argument digests.
const DIGEST_RING: &str = "audit.arguments";
/// The ring of the store that seals cursors.
const CURSOR_RING: &str = "mcp.cursors";
/// The ring of the store that keys what calls that ask give to their clients.
const STATE_RING: &str = "mcp.state";

/// What there is on this server, and who may have it.
pub(super) struct Known {
    /// Who may do what.
    pub(super) roles: Roles,
    /// What can be called.
    pub(super) registry: Registry,
    /// What can be read.
    pub(super) resources: Resources,
    /// What can be begun with.
    pub(super) prompts: Prompts,
}

/// What the store's rings hold.
pub(super) struct Secrets {
    /// Keys the digests of arguments.
    digests: [u8; 32],
    /// Seals cursors.
    cursors: [u8; 32],
    /// Seals what calls that ask give to their clients.
    states: [u8; 32],
}

impl Secrets {
    /// The same for every process on this store.
    ///
    /// # Errors
    /// [`StoreError`]: none is made up instead.
    pub(super) async fn of(stores: &Stores) -> Result<Self, StoreError> {
        let digests = stores.rings.secret(DIGEST_RING).await?;
        let cursors = stores.rings.secret(CURSOR_RING).await?;
        Ok(Self { digests, cursors, states: stores.rings.secret(STATE_RING).await? })
    }
}

/// The house of these settings.
///
/// # Errors
/// [`AppError::Setting`].
pub(super) fn house(
    settings: &Settings,
    services: Services,
    Known { roles, registry, resources, prompts }: Known,
    (metrics, secrets): (Arc<Metrics>, Secrets),
    stores: &Stores,
) -> Result<House, AppError> {
    let hosts = settings.server.allowed_hosts.iter().map(|host| {
        HostRule::parse(host).ok_or_else(|| wrong("server.allowed_hosts", &format!("`{host}` is no host")))
    });
    let scopes = first_scopes(&roles);
    let metadata = format!("{}{}", settings.server.public_url, oauth::PATHS[1]);
    let challenges = Challenges::new(&metadata, &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    let lives = Lives {
        access: settings.jwt.access_ttl,
        refresh: settings.jwt.refresh_ttl,
        grace: settings.jwt.refresh_grace,
    };
    let actors = (services.tokens.clone(), services.users.clone());
    let connections = u32::try_from(settings.server.max_connections).unwrap_or(u32::MAX);
    Ok(House {
        grants: Grants::new(actors, roles.clone(), stores, lives),
        services,
        views: Views::new(&settings.server.name, &registry)
            .introducing(&about(settings))
            .offering_tasks(settings.tasks.enabled),
        guard: Guard::new(hosts.collect::<Result<_, _>>()?, settings.server.allowed_origins.clone()),
        proxies: Proxies::new(settings.server.trusted_proxies.clone()),
        challenges: challenges.ok_or_else(|| wrong("server.public_url", "cannot stand in a header"))?,
        metrics,
        limits: Limits {
            max_body: settings.server.max_body,
            request_timeout: settings.server.request_timeout,
        },
        tasks: settings.tasks.enabled.then_some(TaskRules {
            poll_interval: settings.tasks.poll_interval,
            max_result: settings.tasks.max_result,
            max_run: settings.tasks.max_run,
        }),
        when_denied: settings.policy.denied.into(),
        digest_key: digest_state(&secrets.digests)?,
        cursors: Seal::new(&secrets.cursors, "cursors")
            .ok_or_else(|| wrong("store.url", "the ring of cursors makes no key"))?,
        state_seal: Seal::new(&secrets.states, "tools/call requestState")
            .ok_or_else(|| wrong("store.url", "the ring of states keys no seal"))?,
        spent: Spent::default(),
        streams: Arc::default(),
        sights: Sights::default(),
        // As many as there may be connections, so that whoever holds connections keeps nobody else from it.
        errands: Errands::new(connections),
        detached: Errands::new(connections),
        answers: AnswerRoom::new(settings.server.max_answers),
        over_tls: settings.server.tls.files().is_some(),
        leaving: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        cut: watch::Sender::new(false),
        roles,
        registry,
        resources,
        prompts,
    })
}

/// What this server says of itself beside its name.
fn about(settings: &Settings) -> About {
    let server = &settings.server;
    let set = |text: &String| (!text.is_empty()).then(|| text.clone());
    About {
        title: set(&server.title),
        website: set(&server.website_url),
        icons: server.icons.iter().map(Icon::at).collect(),
    }
}

fn wrong(key: &'static str, problem: &str) -> AppError {
    AppError::Setting { key, problem: problem.to_owned() }
}

/// The HMAC state that already holds the key.
fn digest_state(key: &[u8; 32]) -> Result<Hmac<Sha256>, AppError> {
    Hmac::new_from_slice(key)
        .map_err(|_| wrong("store.url", "the ring of argument digests does not key an HMAC"))
}

/// What a client asks for to begin with: what a guest may, if there are guests (A2, A23).
pub(super) fn first_scopes(roles: &Roles) -> Vec<String> {
    let guest = roles.permissions_of("guest").unwrap_or_default();
    roles.catalogue().names(guest).into_iter().map(str::to_owned).collect()
}
