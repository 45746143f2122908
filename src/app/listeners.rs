//! The two listeners: the main one for clients, the second for the operator.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    rc::Rc,
    time::Duration,
};

use actix_web::{
    App,
    dev::Server as ActixServer,
    http::header,
    middleware::{Condition, DefaultHeaders, from_fn},
    web::{self, Data},
};

use super::{
    AppError,
    furnish::first_scopes,
    tls,
    wire::{self, Wire},
};
use crate::{
    admin, credentials,
    edge::{self, Guard, HostRule, STRICT_TRANSPORT},
    house::{House, Worker, toll},
    mcp,
    oauth::{self, ResourceMetadata},
    settings::Settings,
};

/// Most connections of the second listener.
const ADMIN_CONNECTIONS: usize = 1_000;

/// Listens on `host` and `port`, which the setting `key` names; gives the address that it came to.
///
/// # Errors
/// [`AppError::Bind`].
pub(super) fn bind(
    key: &'static str,
    host: IpAddr,
    port: u16,
) -> Result<(TcpListener, SocketAddr), AppError> {
    let address = SocketAddr::new(host, port);
    let failed = |cause| AppError::Bind { key, address: address.to_string(), cause };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Serves `/mcp`, its metadata and health.
///
/// # Errors
/// [`AppError::Setting`] for TLS, [`AppError::Serving`].
pub(super) fn main_server(
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
        edge::watch(shared.cut.subscribe());
        let strict = DefaultHeaders::new().add((header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT));
        // Middleware costs every request that passes it: the endpoint does the same by itself.
        let others = web::scope("")
            .wrap(from_fn(toll))
            .wrap_fn(edge::attend)
            .wrap(Condition::new(with_tls, strict))
            .configure(credentials::routes)
            .configure(oauth::routes)
            .configure(|app| admin::main_routes(app, with_metrics))
            .default_service(web::to(edge::nothing_here));
        App::new()
            .app_data(shared.clone())
            .app_data(metadata.clone())
            .app_data(Rc::new(Worker::new(shared.clone().into_inner())))
            .configure(mcp::routes)
            .service(others)
    };
    let tls = match settings.server.tls.files() {
        Some((certificate, key)) => Some(tls::configuration(certificate, key)?),
        None => None,
    };
    let workers = worker_count(settings);
    let wire = Wire {
        workers,
        // actix counts for each worker.
        connections: settings.server.max_connections.div_ceil(workers),
        grace: settings.server.shutdown_grace,
        tls,
    };
    wire::serve(app, listener, wire).map_err(AppError::Serving)
}

/// How many worker threads serve: as set, or one a core.
fn worker_count(settings: &Settings) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if settings.server.workers > 0 { settings.server.workers } else { cores }
}

/// Serves metrics, health and, where the settings allow it, faults.
///
/// # Errors
/// [`AppError::Serving`].
pub(super) fn admin_server(
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
        edge::watch(shared.cut.subscribe());
        App::new()
            .app_data(shared.clone())
            .app_data(guard.clone())
            .wrap(from_fn(admin::guarded))
            .wrap_fn(edge::attend)
            .configure(|app| admin::admin_routes(app, with_faults))
            .default_service(web::to(edge::nothing_here))
    };
    let wire = Wire { workers: 1, connections: ADMIN_CONNECTIONS, grace: Duration::from_secs(1), tls: None };
    wire::serve(app, listener, wire).map_err(AppError::Serving)
}
