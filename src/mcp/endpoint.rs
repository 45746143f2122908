//! `/mcp` on HTTP: open the record, delegate, wrap.

use std::{rc::Rc, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::Method,
    web::{self, ServiceConfig},
};

use super::{
    answer::Answer, count::Count, detached, era, exchange::Exchange, settle::unrecorded, stream, via::Via,
};
use crate::{
    actors::limiter::Visit,
    domain::{RequestId, Timestamp},
    edge::{self, Busy, Field, Headers, Hold, Record},
    house::Worker,
};

/// Adds the endpoint. Each worker's [`Worker`] stands in the application's data.
pub(crate) fn routes(app: &mut ServiceConfig) {
    app.service(web::resource("/mcp").to(serve));
}

/// One request on the endpoint, whatever its method.
async fn serve(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return HttpResponse::InternalServerError().finish();
    };
    let (time, started) = (Timestamp::now(), Instant::now());
    let id = RequestId::at(time);
    let busy = Busy::with(&request);
    let (hold, payload) = Hold::of(&busy, request.headers(), payload.into_inner());
    let answer = match Record::open(&worker.lane, id, (time, started)) {
        Ok(record) => exchange(&worker, &request, payload, record).await,
        Err(error) => {
            let answer = unrecorded(error, id);
            Count::begin(&worker.house.metrics, started).ended(answer.outcome);
            answer
        }
    };
    hold.until_sent(answer.into_response(&worker.house, id, busy))
}

/// Answers, then writes the record and, in durable mode, waits until it is on disk: only then may the
/// answer leave.
async fn exchange(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    mut payload: Payload,
    record: Record,
) -> Answer {
    let ip = worker.house.proxies.client_of(request);
    let visit = Visit {
        request: record.id(),
        time: record.time(),
        clock: record.started(),
        ip,
        path: request.path(),
        epoch: worker.house.services.epoch.now(),
    };
    let mut exchange = Exchange::new(worker, Via::Http(request.uri(), request.headers()), visit, record);
    let answer = if let Err(over) = worker.turnstile.address(&visit).await {
        // Neither its headers nor its credential are looked at.
        exchange.record.describe(request.path(), Field::Absent, ip);
        let whole = edge::discard(&mut payload).await;
        let answer = exchange.refused(&over.into(), None);
        if whole { answer } else { answer.and_close() }
    } else {
        exchange.headers = Headers::of(request.headers());
        exchange.record.describe(request.path(), exchange.headers.user_agent, ip);
        // What is rare is boxed: the future of every request is as large as the largest of what it may become.
        if request.method() != Method::POST {
            Box::pin(exchange.other_method(request.method())).await
        } else {
            match exchange.receive(&mut payload).await {
                Ok((principal, body)) if era::says_modern(&exchange.headers) => {
                    match exchange.read(principal, &body).await {
                        Ok(answer) => answer,
                        Err(heard) => return Box::pin(stream::answer(exchange, &body, heard)).await,
                    }
                }
                Ok(received) => return Box::pin(detached::finish(exchange, received)).await,
                Err(answer) => answer,
            }
        }
    };
    exchange.settle(answer).await
}
