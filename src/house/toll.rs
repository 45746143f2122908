//! What every path of the main listener takes from its address, save `/mcp`, which refuses in words of its own,
//! and those that watch over us, which are free.

use std::{rc::Rc, time::Instant};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use super::Worker;
use crate::{
    actors::limiter::Visit,
    domain::{RequestId, Timestamp},
    edge::{self, Busy, HttpError},
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
    let id = RequestId::new();
    let taken = {
        let ip = worker.house.proxies.client_of(request.request());
        let (time, clock) = (Timestamp::now(), Instant::now());
        worker
            .turnstile
            .address(&Visit { request: id, time, clock, ip, path: request.path(), epoch: 0 })
            .await
    };
    let Err(error) = taken else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let _busy = Busy::with(request.request());
    let mut payload = request.take_payload();
    let whole = edge::discard(&mut payload).await;
    let mut answer = HttpError::with_id(error, id).error_response();
    if !whole {
        answer.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    Ok(request.into_response(answer))
}
