//! What operators ask over HTTP: health on the main listener, metrics and fault injection on their own.

mod faults;
mod health;
mod metrics;

use actix_web::{
    Route,
    web::{self, ServiceConfig},
};

use crate::edge;

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
