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
    App, HttpResponse, HttpServer,
    dev::{Server as ActixServer, ServerHandle},
    http::header,
    middleware::{Condition, DefaultHeaders},
    web::{self, Data},
};
use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use super::{AppError, keys, lock::DataLock, parts, run_file::RunFile, stop::Signals, tls};
use crate::{
    actors::{
        audit::{self, Audit, AuditConfig},
        feed::{self, FeedReader, Listeners},
        tokens::{OnStale, Tokens},
    },
    admin,
    auth::Challenges,
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
    edge::{EdgeError, Guard, HostRule, HttpError, Proxies, STRICT_TRANSPORT, hold_chunked},
    house::{House, Limits, Services, Sights, Views, WhenDenied, Worker},
    mcp,
    oauth::{self, ResourceMetadata},
    policy::Roles,
    settings::{self, Settings, StoreUrl},
    store::{self, Stores},
    telemetry::Metrics,
    tools::{AnyTool, Registry},
};

/// Longest wait for the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
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
    arbiters: Vec<Arbiter>,
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

    let stores = store::open(&store_url(settings))?;
    let roles = parts::roles(settings)?;
    let registry = parts::registry(settings, &stores, &roles, more)?;
    let arbiters: Vec<Arbiter> = (0..3).map(|_| Arbiter::new()).collect();
    let tools: Vec<&'static str> = registry.iter().map(|entry| entry.spec().name).collect();
    let metrics = Arc::new(Metrics::new(&mcp::METHOD_LABELS, &tools));
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

/// The URL that the store room understands.
pub fn store_url(settings: &Settings) -> String {
    match &settings.store.url {
        StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
        StoreUrl::Memory => "memory:".to_owned(),
    }
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
    arbiters: &[Arbiter],
    metrics: &Arc<Metrics>,
) -> Result<Services, AppError> {
    let [first, second, third] = arbiters else {
        return Err(AppError::Setting("three arbiters are needed".into()));
    };
    let audit = Audit::start(&first.handle(), audit_config(settings)).await?;
    let counted = Arc::clone(metrics);
    audit.on_commit(Box::new(move |took, records| counted.audit_commit(records as u64, took)));
    let position = feed::position(stores).await?;
    let on_stale = match settings.revocation.on_store_loss {
        settings::OnStoreLoss::Deny => OnStale::Deny,
        settings::OnStoreLoss::Grace => OnStale::Grace(settings.revocation.grace),
        settings::OnStoreLoss::UnsafeAllow => OnStale::Allow,
    };
    let revocations = Arc::clone(&stores.revocations);
    let tokens = Tokens::start(&second.handle(), keys::keyring(settings)?, revocations, on_stale).await?;
    let listeners = Listeners { tokens: tokens.clone(), lane: audit.lane(), metrics: Arc::clone(metrics) };
    let feed = FeedReader::start(&third.handle(), stores.clone(), listeners, position).await?;
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
        HostRule::parse(host)
            .ok_or_else(|| AppError::Setting(format!("server.allowed_hosts: `{host}` is no host")))
    });
    let scopes = first_scopes(&roles);
    let metadata = format!("{}{}", settings.server.public_url, oauth::PATHS[1]);
    let challenges = Challenges::new(&metadata, &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(House {
        services,
        views: Views::new(&settings.server.name, &registry),
        guard: Guard::new(hosts.collect::<Result<_, _>>()?, settings.server.allowed_origins.clone()),
        proxies: Proxies::new(settings.server.trusted_proxies.clone()),
        challenges: challenges
            .ok_or_else(|| AppError::Setting("server.public_url: cannot stand in a header".into()))?,
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

/// The HMAC state that already holds the key.
fn digest_state(key: &[u8; 32]) -> Result<Hmac<Sha256>, AppError> {
    Hmac::new_from_slice(key)
        .map_err(|_| AppError::Setting("the ring of argument digests does not key an HMAC".into()))
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
        let strict = DefaultHeaders::new().add((header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT));
        App::new()
            .wrap_fn(hold_chunked)
            .wrap(Condition::new(with_tls, strict))
            .app_data(shared.clone())
            .app_data(metadata.clone())
            .app_data(Rc::new(Worker::new(shared.clone().into_inner())))
            .configure(mcp::routes)
            .configure(oauth::routes)
            .configure(|app| admin::main_routes(app, with_metrics))
            .default_service(web::to(nothing_here))
    };
    let mut server = HttpServer::new(app)
        .client_request_timeout(HEAD_DEADLINE)
        .keep_alive(KEEP_ALIVE)
        .max_connections(settings.server.max_connections)
        .tls_handshake_timeout(HANDSHAKE_DEADLINE)
        .shutdown_timeout(settings.server.shutdown_grace.as_secs().max(1))
        // With the default a client that goes away cancels its call only by a reset (actix-web#3462).
        .h1_allow_half_closed(false)
        .disable_signals();
    if settings.server.workers > 0 {
        server = server.workers(settings.server.workers);
    }
    let server = match settings.server.tls.files() {
        Some((certificate, key)) => {
            server.listen_rustls_0_23(listener, tls::configuration(certificate, key)?)
        }
        None => server.listen(listener),
    };
    Ok(server.map_err(AppError::Serving)?.run())
}

fn admin_server(
    settings: &Settings,
    house: &Data<House>,
    listener: TcpListener,
) -> Result<ActixServer, AppError> {
    let (shared, with_faults) = (house.clone(), settings.admin.unsafe_faults);
    let app = move || {
        App::new()
            .wrap_fn(hold_chunked)
            .app_data(shared.clone())
            .configure(|app| admin::admin_routes(app, with_faults))
            .default_service(web::to(nothing_here))
    };
    let server = HttpServer::new(app).workers(1).client_request_timeout(HEAD_DEADLINE).disable_signals();
    let server = server.shutdown_timeout(1).listen(listener);
    Ok(server.map_err(AppError::Serving)?.run())
}

async fn nothing_here() -> Result<HttpResponse, HttpError> {
    Err(EdgeError::Path.into())
}
