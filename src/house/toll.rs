//! What every path of the main listener takes from its address, save `/mcp`, which refuses in words of its own,
//! and health, which is free.

use std::{rc::Rc, time::Instant};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

use super::Worker;
use crate::{
    actors::limiter::Visit,
    domain::{RequestId, Timestamp},
    edge::{self, Busy, HttpError},
};

/// Takes one request from the address, for `middleware::from_fn`. The [`Worker`] stands in the application's
/// data.
///
/// # Errors
/// `rate_limited`, or 503 for a new address while the limiter is down.
pub async fn toll<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return Err(HttpError::from(edge::EdgeError::Closing).into());
    };
    let id = RequestId::new();
    let taken = {
        let ip = worker.house.proxies.client_of(request.request());
        let (time, clock) = (Timestamp::now(), Instant::now());
        worker.turnstile.address(&Visit { request: id, time, clock, ip, path: request.path() }).await
    };
    let Err(error) = taken else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let _busy = Busy::with(request.request());
    let mut payload = request.take_payload();
    let whole = edge::discard(&mut payload).await;
    let mut answer = HttpError::with_id(error, id).error_response();
    if !whole {
        answer.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    }
    Ok(request.into_response(answer).map_into_right_body())
}
