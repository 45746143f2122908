//! `/auth/…`: where callers get credentials, exchange them and give them back.

mod body;
mod endpoint;
mod exchange;
mod login;
mod logout;
mod refresh;
mod rotate;

use actix_web::web::{self, ServiceConfig};

use crate::edge;

/// Adds the endpoints. Each worker's [`Worker`](crate::house::Worker) stands in the application's data.
pub(crate) fn routes(app: &mut ServiceConfig) {
    let posted = |path: &str, route: actix_web::Route| {
        web::resource(path).route(route).default_service(web::to(edge::other_method))
    };
    app.service(posted("/auth/login", web::post().to(login::serve)));
    app.service(posted("/auth/refresh", web::post().to(refresh::serve)));
    app.service(posted("/auth/key/rotate", web::post().to(rotate::serve)));
    app.service(posted("/auth/logout", web::post().to(logout::serve)));
}
