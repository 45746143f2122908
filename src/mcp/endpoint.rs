//! `/mcp` on HTTP: open the record, delegate, wrap.

use std::{rc::Rc, sync::Arc, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::Method,
    web::{self, ServiceConfig},
};
use bytes::Bytes;

use super::{
    answer::Answer, count::Count, detached, era, exchange::Exchange, settle::unrecorded, stream, via::Via,
};
use crate::{
    actors::{audit::AuditError, limiter::Visit},
    domain::{Principal, RequestId, Timestamp},
    edge::{self, Busy, Field, Headers, Hold, Record},
    house::Worker,
};

/// Adds the endpoint. Each worker's [`Worker`] stands in the application's data.
pub(crate) fn routes(app: &mut ServiceConfig) {
    app.service(web::resource("/mcp").to(serve));
}

/// One request on the endpoint, whatever its method: answers, then writes the record and, in durable mode, waits
/// until it is on disk: only then may the answer leave.
///
/// Its future is made anew, and moved, for each request, so what it keeps is kept once: whatever is rare is boxed,
/// and whatever is long is borrowed by those who read it.
async fn serve(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>() else {
        return HttpResponse::InternalServerError().finish();
    };
    let (time, started) = (Timestamp::now(), Instant::now());
    let id = RequestId::at(time);
    let busy = Busy::with(&request);
    let (hold, mut payload) = Hold::of(&busy, request.headers(), payload.into_inner());
    let mut exchange = match begin(worker, &request, id, (time, started)) {
        Ok(exchange) => exchange,
        Err(error) => {
            let answer = unrecorded(error, id);
            Count::begin(&worker.house.metrics, started).ended(answer.outcome);
            return hold.until_sent(answer.into_response(&worker.house, id, busy));
        }
    };
    let answer = match receive(&mut exchange, &request, &mut payload).await {
        Ok((principal, body)) if era::says_modern(&exchange.headers) => {
            match exchange.read(principal, &body).await {
                Ok(answer) => exchange.close(answer).committed().await,
                Err(heard) => Box::pin(stream::answer(exchange, &body, heard)).await,
            }
        }
        Ok(received) => Box::pin(detached::finish(exchange, received)).await,
        Err(answer) => exchange.close(answer).committed().await,
    };
    hold.until_sent(answer.into_response(&worker.house, id, busy))
}

/// A request that can be recorded.
///
/// # Errors
/// [`AuditError`]: it cannot, so nothing happens.
fn begin<'a>(
    worker: &'a Rc<Worker>,
    request: &'a HttpRequest,
    id: RequestId,
    (time, clock): (Timestamp, Instant),
) -> Result<Exchange<'a>, AuditError> {
    let record = Record::open(&worker.lane, id, (time, clock))?;
    let ip = worker.house.proxies.client_of(request);
    let epoch = worker.house.services.epoch.now();
    let visit = Visit { request: id, time, clock, ip, path: request.path(), epoch };
    Ok(Exchange::new(worker, Via::Http(request.uri(), request.headers()), visit, record))
}

/// Who is calling, and the body of a POST.
///
/// # Errors
/// The answer, if it needs no more than what stands in the head.
async fn receive<'a>(
    exchange: &mut Exchange<'a>,
    request: &'a HttpRequest,
    payload: &mut Payload,
) -> Result<(Arc<Principal>, Bytes), Answer> {
    let ip = exchange.visit.ip;
    if let Err(over) = exchange.worker.turnstile.address(&exchange.visit).await {
        // Neither its headers nor its credential are looked at.
        exchange.record.describe(request.path(), Field::Absent, ip);
        let whole = edge::discard(payload).await;
        let answer = exchange.refused(&over.into(), None);
        return Err(if whole { answer } else { answer.and_close() });
    }
    exchange.headers = Headers::of(request.headers());
    exchange.record.describe(request.path(), exchange.headers.user_agent, ip);
    if request.method() != Method::POST {
        return Err(Box::pin(exchange.other_method(request.method())).await);
    }
    exchange.receive(payload).await
}
