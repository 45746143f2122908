//! Whether the server lives, and whether it can do its job.

use std::time::Instant;

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use serde_json::json;

use crate::{actors::audit::Status, domain::RequestId, edge, error::Code, house::House};

/// `GET /health`: the process answers.
pub(super) async fn alive() -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    edge::harden(&mut answer, RequestId::new());
    answer.json(json!({ "status": "ok" }))
}

/// `GET /health/ready`: 200 if every part that a call needs is there, else 503; the checks say which is not, and
/// `reason` that the server is about to stop.
pub(super) async fn ready(house: Data<House>) -> HttpResponse {
    let services = &house.services;
    let store = services.feed.is_reachable() && !house.metrics.is_store_shut();
    let audit = services.audit.status() == Status::Healthy;
    let now = Instant::now();
    let revocation = services.tokens.check_fresh(now, services.staleness(now)).is_ok();
    let actors = services.vitals().iter().all(|actor| actor.alive);
    let stopping = house.is_leaving() || house.is_closing();
    let ready = store && audit && revocation && actors && !stopping;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut answer = HttpResponse::build(status);
    edge::harden(&mut answer, RequestId::new());
    let mut body = json!({
        "ready": ready,
        "checks": { "store": store, "audit": audit, "revocation": revocation, "actors": actors },
    });
    if stopping && let Some(body) = body.as_object_mut() {
        body.insert("reason".into(), Code::ShuttingDown.reason().into());
    }
    answer.json(body)
}
