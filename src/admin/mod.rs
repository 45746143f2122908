//! What operators ask over HTTP: health on the main listener, metrics and fault injection on their own.

mod faults;
mod health;
mod metrics;

use actix_web::{
    Error, Route,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web::{self, Data, ServiceConfig},
};

use crate::edge::{self, Guard, Headers, HttpError};

/// Adds health, open to everybody, and metrics if the settings say so.
pub(crate) fn main_routes(app: &mut ServiceConfig, with_metrics: bool) {
    let open = |path: &str, route: Route| {
        web::resource(path).route(route).default_service(web::to(edge::other_method))
    };
    app.service(open("/health", web::get().to(health::alive)));
    app.service(open("/health/ready", web::get().to(health::ready)));
    if with_metrics {
        app.service(open("/metrics", web::get().to(metrics::show)));
    }
}

/// Adds everything of the second listener; fault injection only if the settings say so.
pub(crate) fn admin_routes(app: &mut ServiceConfig, with_faults: bool) {
    main_routes(app, true);
    if with_faults {
        app.route("/admin/faults/{actor}", web::post().to(faults::inject));
    }
}

/// Lets only requests through that name this listener as its own host: a page in an operator's browser
/// must not read metrics by rebinding its name. For `middleware::from_fn`; the [`Guard`] stands in the
/// application's data.
///
/// # Errors
/// `host_forbidden` or `origin_forbidden`; also if there is no guard.
pub(crate) async fn guarded<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let guard = request.app_data::<Data<Guard>>().ok_or(HttpError::from(edge::EdgeError::Host))?;
    guard.check(&Headers::of(request.headers()), request.uri()).map_err(HttpError::from)?;
    next.call(request).await
}
