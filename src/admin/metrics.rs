//! `GET /metrics`.

use std::time::Instant;

use actix_web::{HttpResponse, web::Data};

use crate::{
    actors::{audit::fleet::Shipped, sessions::Sessions},
    domain::{RequestId, Timestamp},
    edge,
    house::House,
};

/// Everything that is counted; what actors know of themselves is read at this moment.
pub(super) async fn show(house: Data<House>) -> HttpResponse {
    for actor in house.services.vitals() {
        house.metrics.actor(actor.name, actor.restarts, actor.depth);
    }
    if let Some(shipper) = &house.services.shipper {
        let Shipped { lag, sent, gone, too_old, too_many } = shipper.status();
        house.metrics.audit_fleet((lag, sent), (gone, too_old, too_many));
    }
    house.metrics.sessions(house.services.sessions.as_ref().map_or(0, Sessions::count));
    let now = Instant::now();
    house.metrics.staleness(house.services.tokens.staleness(now).max(house.services.staleness(now)));
    house.metrics.clock_behind(house.services.tokens.clock_behind(Timestamp::now()));
    let mut answer = HttpResponse::Ok();
    edge::harden(&mut answer, RequestId::new());
    answer
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(house.metrics.render())
}
