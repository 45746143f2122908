//! What every path of the main listener takes from its address, save `/mcp`, which refuses in words of its own,
//! and those that watch over us, which are free.

use std::{net::IpAddr, rc::Rc, time::Instant};

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::ConnectionType,
    middleware::Next,
};

use super::Worker;
use crate::{
    actors::{
        audit::AuditError,
        limiter::{LimitError, Visit},
    },
    domain::{Outcome, RequestId, Timestamp},
    edge::{self, Field, HttpError, Record},
    error::Coded,
};

/// Paths by which others see whether we live.
const FREE: [&str; 3] = ["/health", "/health/ready", "/metrics"];

/// Takes one request from the address, for `middleware::from_fn`. The [`Worker`] stands in the application's
/// data.
///
/// # Errors
/// `rate_limited`, or 503 for a new address while the limiter is down.
pub async fn toll<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if FREE.contains(&request.path()) {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return Err(HttpError::from(edge::EdgeError::Closing).into());
    };
    let (time, clock) = (Timestamp::now(), Instant::now());
    let (id, ip) = (RequestId::at(time), worker.house.proxies.client_of(request.request()));
    let taken = {
        let visit = Visit { request: id, time, clock, ip, path: request.path(), epoch: 0 };
        worker.turnstile.address(&visit).await
    };
    let Err(error) = taken else {
        let mut answer = next.call(request).await?.map_into_boxed_body();
        if worker.house.is_leaving() {
            answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        return Ok(answer);
    };
    let mut payload = request.take_payload();
    let whole = edge::discard(&mut payload).await;
    let recorded = match error.quota() {
        // By the limiter.
        Some(_) => Ok(()),
        None => record(&worker, request.path(), (id, time, clock, ip), &error).await,
    };
    let mut answer = match recorded {
        Ok(()) => edge::problem(&error, id),
        Err(unrecorded) => edge::problem(&unrecorded, id),
    };
    if !whole {
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(request.into_response(answer))
}

/// Records a refusal that reached no limit: a new address, while nobody can say what it has had.
async fn record(
    worker: &Worker,
    path: &str,
    (id, time, clock, ip): (RequestId, Timestamp, Instant, Option<IpAddr>),
    refused: &LimitError,
) -> Result<(), AuditError> {
    let mut record = Record::open(&worker.lane, id, (time, clock))?;
    // Its headers are not looked at.
    record.describe(path, Field::Absent, ip);
    let code = refused.code();
    record.close(Outcome::of(code), Some(code.reason())).committed().await
}
