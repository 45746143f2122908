//! What operators ask over HTTP: health on the main listener, metrics and fault injection on their own.

mod faults;
mod health;
mod metrics;

use actix_web::web::{self, ServiceConfig};

/// Adds health, open to everybody, and metrics if the settings say so.
pub(crate) fn main_routes(app: &mut ServiceConfig, with_metrics: bool) {
    app.route("/health", web::get().to(health::alive));
    app.route("/health/ready", web::get().to(health::ready));
    if with_metrics {
        app.route("/metrics", web::get().to(metrics::show));
    }
}

/// Adds everything of the second listener; fault injection only if the settings say so.
pub(crate) fn admin_routes(app: &mut ServiceConfig, with_faults: bool) {
    main_routes(app, true);
    if with_faults {
        app.route("/admin/faults/{actor}", web::post().to(faults::inject));
    }
}
