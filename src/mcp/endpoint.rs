//! `/mcp` on HTTP: open the record, delegate, close the record, wrap.

use std::{rc::Rc, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::Method,
    web::{self, ServiceConfig},
};

use super::{answer::Answer, count::Count, exchange::Exchange, refusal::Refusal};
use crate::{
    actors::{audit::AuditError, limiter::Visit},
    domain::{RequestId, Timestamp},
    edge::{self, Busy, Field, Headers, Hold, Record},
    error::Code,
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
    let _busy = Busy::with(&request);
    let (hold, payload) = Hold::of(request.headers(), payload.into_inner());
    let count = Count::begin(&worker.house.metrics, started);
    let answer = match Record::open(&worker.lane, id, (time, started)) {
        Ok(record) => exchange(&worker, &request, payload, (record, &count)).await,
        Err(error) => unrecorded(error, id),
    };
    if answer.code == Some(Code::Internal) {
        tracing::error!(request.id = %id, mcp.method = count.known_as(), "a request failed by our fault");
    }
    count.ended(answer.outcome);
    drop(count);
    hold.until_sent(answer.into_response(&worker.house, id))
}

/// Answers, then writes the record and, in durable mode, waits until it is on disk: only then may the
/// answer leave.
async fn exchange(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    mut payload: Payload,
    (mut record, count): (Record, &Count<'_>),
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
    if let Err(over) = worker.turnstile.address(&visit).await {
        // Neither its headers nor its credential are looked at.
        record.describe(request.path(), Field::Absent, ip);
        let whole = edge::discard(&mut payload).await;
        let answer = Answer::refused(&over.into(), None, record.id());
        return settle((record, count), if whole { answer } else { answer.and_close() }).await;
    }
    let headers = Headers::of(request.headers());
    record.describe(request.path(), headers.user_agent, ip);
    let mut exchange = Exchange { worker, request, headers, visit, record, count, rotated: None };
    let mut answer = if request.method() == Method::POST {
        exchange.post(&mut payload).await
    } else {
        exchange.other_method().await
    };
    answer.rotated = exchange.rotated;
    settle((exchange.record, count), answer).await
}

/// Closes the record of what was answered; an answer that cannot be recorded is none.
async fn settle((record, count): (Record, &Count<'_>), answer: Answer) -> Answer {
    // Whoever leaves from here on leaves a record that says the same.
    count.ended(answer.outcome);
    let id = record.id();
    if answer.is_over_a_limit() {
        record.withdraw();
        return answer;
    }
    let receipt = record.close(answer.outcome, answer.code.map(Code::reason));
    match receipt.committed().await {
        Ok(()) => answer,
        Err(error) => unrecorded(error, id),
    }
}

fn unrecorded(error: AuditError, id: RequestId) -> Answer {
    Answer::refused(&Refusal::from(error), None, id)
}
