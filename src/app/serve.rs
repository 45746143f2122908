//! Start, listen, serve, stop.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::Arbiter;
use actix_web::{
    App, HttpServer,
    dev::{Server as ActixServer, ServerHandle},
    http::header,
    middleware::{Condition, DefaultHeaders, from_fn},
    web::{self, Data},
};
use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use super::{AppError, keys, lock::DataLock, parts, run_file::RunFile, stop::Signals, stores, tls};
use crate::{
    actors::{
        audit::{self, Audit, AuditConfig},
        feed::{self, FeedReader, Listeners},
        tokens::{OnStale, Tokens},
    },
    admin,
    auth::Challenges,
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
    edge::{self, Guard, HostRule, Proxies, STRICT_TRANSPORT},
    house::{House, Limits, Services, Sights, Views, WhenDenied, Worker},
    mcp,
    oauth::{self, ResourceMetadata},
    policy::Roles,
    settings::{self, Settings},
    store::Stores,
    telemetry::Metrics,
    tools::{AnyTool, Registry},
};

/// Longest wait for the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Longest TLS handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// The ring of the store that keys argument digests.
const DIGEST_RING: &str = "audit.arguments";

/// A server that listens, and serves once it [runs](Server::run).
pub struct Server {
    house: Data<House>,
    listeners: [ActixServer; 2],
    mcp_url: String,
    admin_url: String,
    grace: Duration,
    arbiters: [Arbiter; 3],
    _run_file: RunFile,
    _lock: DataLock,
}

/// Puts everything together, from the store up, and binds both listeners. `more` are tools beside the
/// built-in ones. Must be called within an actix system.
///
/// # Errors
/// [`AppError`]: nothing is served.
pub async fn start(settings: &Settings, more: Vec<Box<dyn AnyTool>>) -> Result<Server, AppError> {
    let lock = DataLock::take(&settings.data_dir)?;
    let main = bind("server.port", settings.server.host, settings.server.port)?;
    let second = bind("admin.port", settings.admin.host, settings.admin.port)?;
    let scheme = if settings.server.tls.files().is_some() { "https" } else { "http" };
    let mcp_url = format!("{scheme}://{}/mcp", main.1);
    let admin_url = format!("http://{}", second.1);

    let stores = stores::open_store(settings).await?;
    let roles = parts::roles(settings)?;
    let registry = parts::registry(settings, &stores, &roles, more)?;
    let arbiters = [(); 3].map(|()| Arbiter::new());
    let tools: Vec<&'static str> = registry.iter().map(|entry| entry.spec().name).collect();
    let metrics = Arc::new(Metrics::new(&mcp::METHOD_LABELS, &tools, &stores.failures));
    let services = services(settings, &stores, &arbiters, &metrics).await?;
    let digest_key = stores.rings.secret(DIGEST_RING).await?;
    let house = house(settings, services, (roles, registry), (metrics, digest_key))?;
    let house = Data::new(house);
    let listeners = [main_server(settings, &house, main.0)?, admin_server(settings, &house, second.0)?];
    let run_file = RunFile::write(&settings.data_dir, &mcp_url, &admin_url)?;
    let mut started = AuditEvent::new(Timestamp::now(), EventCode::ServerStarted, Outcome::Ok);
    started.detail = Some(started_detail(settings).into());
    house.services.audit.record(started).await?;
    let grace = settings.server.shutdown_grace;
    Ok(Server { house, listeners, mcp_url, admin_url, grace, arbiters, _run_file: run_file, _lock: lock })
}

impl Server {
    /// Where MCP clients call.
    pub fn mcp_url(&self) -> &str {
        &self.mcp_url
    }

    /// Where operators look.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// The JWT manager, to mint and revoke tokens from the same process.
    pub fn tokens(&self) -> &Tokens {
        &self.house.services.tokens
    }

    /// Serves until SIGTERM or SIGINT: then takes nothing new, finishes what is in flight within
    /// `server.shutdown_grace`, writes and signs the end of the audit log. A second signal ends the
    /// process at once, with exit code 1.
    ///
    /// # Errors
    /// [`AppError::Serving`] if a listener fails, [`AppError::Audit`] if the log cannot be ended.
    pub async fn run(self) -> Result<(), AppError> {
        self.run_until(std::future::pending()).await
    }

    /// As [`run`](Self::run), and stops in the same way once `stop` is ready: for a server that is part of
    /// a larger program.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        let mut signals = Signals::install().map_err(AppError::Serving)?;
        let [main, second] = self.listeners;
        let handles = [main.handle(), second.handle()];
        let mut serving = actix::spawn(async move { tokio::try_join!(main, second) });
        tokio::select! {
            signal = signals.next() => tracing::info!(signal, "stopping"),
            () = stop => tracing::info!("stopping"),
            ended = &mut serving => {
                ended.map_err(std::io::Error::other).flatten().map_err(AppError::Serving)?;
            }
        }
        let impatient = actix::spawn(async move {
            let signal = signals.next().await;
            tracing::warn!(signal, "stopping at once");
            std::process::exit(1);
        });
        self.house.closing.store(true, Ordering::Release);
        drain(&handles, self.grace).await;
        let stopped = AuditEvent::new(Timestamp::now(), EventCode::ServerStopped, Outcome::Ok);
        let audit = &self.house.services.audit;
        audit.record(stopped).await?;
        audit.close().await?;
        self.arbiters.iter().for_each(|arbiter| _ = arbiter.stop());
        // A program that goes on without us handles its own signals.
        impatient.abort();
        Ok(())
    }
}

/// Stops both listeners gracefully; what is not done within `grace` is dropped, and recorded as cancelled.
async fn drain(handles: &[ServerHandle; 2], grace: Duration) {
    let [main, second] = handles;
    let graceful = async { tokio::join!(main.stop(true), second.stop(true)) };
    // actix has the same grace; the margin is for its own last steps.
    if tokio::time::timeout(grace + Duration::from_secs(1), graceful).await.is_err() {
        tracing::warn!("some requests did not end within server.shutdown_grace");
        tokio::join!(main.stop(false), second.stop(false));
    }
}

fn bind(key: &'static str, host: IpAddr, port: u16) -> Result<(TcpListener, SocketAddr), AppError> {
    let address = SocketAddr::new(host, port);
    let failed = |cause| AppError::Bind { key, address: address.to_string(), cause };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn started_detail(settings: &Settings) -> String {
    serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "profile": settings.profile.name(),
        "weakened": settings.weakenings(),
    })
    .to_string()
}

/// Starts the actors, each on a thread of its own. The feed's position is taken before anything is
/// loaded, so nothing falls between.
async fn services(
    settings: &Settings,
    stores: &Stores,
    arbiters: &[Arbiter; 3],
    metrics: &Arc<Metrics>,
) -> Result<Services, AppError> {
    let [first, second, third] = arbiters;
    let audit = Audit::start(&first.handle(), audit_config(settings)).await?;
    let counted = Arc::clone(metrics);
    audit.on_commit(Box::new(move |took, records| counted.audit_commit(records as u64, took)));
    let position = feed::position(stores).await?;
    let on_stale = match settings.revocation.on_store_loss {
        settings::OnStoreLoss::Deny => OnStale::Deny,
        settings::OnStoreLoss::Grace => OnStale::Grace(settings.revocation.grace),
        settings::OnStoreLoss::UnsafeAllow => OnStale::Allow,
    };
    let tokens =
        Tokens::start(&second.handle(), keys::keyring(settings)?, (stores, position), on_stale).await?;
    let listeners = Listeners { tokens: tokens.clone(), lane: audit.lane() };
    let feed = FeedReader::start(&third.handle(), stores.clone(), listeners).await?;
    Ok(Services { tokens, audit, feed })
}

/// How the audit log of these settings is kept.
pub fn audit_config(settings: &Settings) -> AuditConfig {
    let mut config = AuditConfig::new(&settings.data_dir);
    config.durability = match settings.audit.durability {
        settings::Durability::Durable => audit::Durability::Durable,
        settings::Durability::Buffered => audit::Durability::Buffered,
    };
    config.checkpoint_every = settings.audit.checkpoint_every;
    config
}

fn house(
    settings: &Settings,
    services: Services,
    (roles, registry): (Roles, Registry),
    (metrics, digest_key): (Arc<Metrics>, [u8; 32]),
) -> Result<House, AppError> {
    let hosts = settings.server.allowed_hosts.iter().map(|host| {
        HostRule::parse(host).ok_or_else(|| wrong("server.allowed_hosts", &format!("`{host}` is no host")))
    });
    let scopes = first_scopes(&roles);
    let metadata = format!("{}{}", settings.server.public_url, oauth::PATHS[1]);
    let challenges = Challenges::new(&metadata, &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(House {
        services,
        views: Views::new(&settings.server.name, &registry),
        guard: Guard::new(hosts.collect::<Result<_, _>>()?, settings.server.allowed_origins.clone()),
        proxies: Proxies::new(settings.server.trusted_proxies.clone()),
        challenges: challenges.ok_or_else(|| wrong("server.public_url", "cannot stand in a header"))?,
        metrics,
        limits: Limits {
            max_body: settings.server.max_body,
            request_timeout: settings.server.request_timeout,
        },
        when_denied: match settings.policy.denied {
            settings::Denied::Explain => WhenDenied::Explain,
            settings::Denied::Hide => WhenDenied::Hide,
        },
        digest_key: digest_state(&digest_key)?,
        sights: Sights::default(),
        closing: AtomicBool::new(false),
        roles,
        registry,
    })
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
fn first_scopes(roles: &Roles) -> Vec<String> {
    let guest = roles.permissions_of("guest").unwrap_or_default();
    roles.catalogue().names(guest).into_iter().map(str::to_owned).collect()
}

fn main_server(
    settings: &Settings,
    house: &Data<House>,
    listener: TcpListener,
) -> Result<ActixServer, AppError> {
    let (shared, with_metrics) = (house.clone(), settings.admin.unsafe_metrics_on_main);
    let scopes = first_scopes(&house.roles);
    let metadata = Data::new(ResourceMetadata::new(
        &format!("{}/mcp", settings.server.public_url),
        &settings.server.name,
        &settings.jwt.issuer,
        &scopes.iter().map(String::as_str).collect::<Vec<_>>(),
    ));
    let with_tls = settings.server.tls.files().is_some();
    let app = move || {
        edge::watch();
        let strict = DefaultHeaders::new().add((header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT));
        App::new()
            .wrap(Condition::new(with_tls, strict))
            .app_data(shared.clone())
            .app_data(metadata.clone())
            .app_data(Rc::new(Worker::new(shared.clone().into_inner())))
            .configure(mcp::routes)
            .configure(oauth::routes)
            .configure(|app| admin::main_routes(app, with_metrics))
            .default_service(web::to(edge::nothing_here))
    };
    let workers = worker_count(settings);
    let server = HttpServer::new(app)
        .workers(workers)
        .client_request_timeout(HEAD_DEADLINE)
        .keep_alive(edge::KEEP_ALIVE)
        .on_connect(edge::greet)
        // actix counts for each worker.
        .max_connections(settings.server.max_connections.div_ceil(workers))
        .tls_handshake_timeout(HANDSHAKE_DEADLINE)
        .shutdown_timeout(settings.server.shutdown_grace.as_secs().max(1))
        // With the default a client that goes away cancels its call only by a reset (actix-web#3462).
        .h1_allow_half_closed(false)
        .disable_signals();
    let server = match settings.server.tls.files() {
        Some((certificate, key)) => {
            server.listen_rustls_0_23(listener, tls::configuration(certificate, key)?)
        }
        None => server.listen(listener),
    };
    Ok(server.map_err(AppError::Serving)?.run())
}

/// How many worker threads serve: as set, or one a core.
fn worker_count(settings: &Settings) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if settings.server.workers > 0 { settings.server.workers } else { cores }
}

fn admin_server(
    settings: &Settings,
    house: &Data<House>,
    listener: TcpListener,
) -> Result<ActixServer, AppError> {
    let (shared, with_faults) = (house.clone(), settings.admin.unsafe_faults);
    let own = match settings.admin.host {
        IpAddr::V4(host) => host.to_string(),
        IpAddr::V6(host) => format!("[{host}]"),
    };
    let hosts = ["localhost", "127.0.0.1", "[::1]", &own].into_iter().filter_map(HostRule::parse);
    let guard = Data::new(Guard::new(hosts.collect(), Vec::new()));
    let app = move || {
        edge::watch();
        App::new()
            .app_data(shared.clone())
            .app_data(guard.clone())
            .wrap(from_fn(admin::guarded))
            .configure(|app| admin::admin_routes(app, with_faults))
            .default_service(web::to(edge::nothing_here))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .client_request_timeout(HEAD_DEADLINE)
        .keep_alive(edge::KEEP_ALIVE)
        .on_connect(edge::greet)
        .disable_signals();
    let server = server.shutdown_timeout(1).listen(listener);
    Ok(server.map_err(AppError::Serving)?.run())
}
