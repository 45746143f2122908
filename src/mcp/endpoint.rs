//! `/mcp` on HTTP: open the record, delegate, close the record, wrap.

use std::{rc::Rc, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::Method,
    web::{self, ServiceConfig},
};

use super::{answer::Answer, exchange::Exchange, record::Record, refusal::Refusal};
use crate::{
    actors::audit::AuditError,
    domain::{RequestId, Timestamp},
    edge::{Busy, Headers, Hold},
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
    let (answer, label) = match Record::open(&worker.lane, id, (time, started)) {
        Ok(record) => exchange(&worker, &request, payload, record).await,
        Err(error) => (unrecorded(error, id), "none"),
    };
    if answer.code == Some(Code::Internal) {
        tracing::error!(request.id = %id, mcp.method = label, "a request failed by our fault");
    }
    worker.house.metrics.request(label, answer.outcome, started.elapsed());
    hold.until_sent(answer.into_response(&worker.house, id))
}

/// Answers, then writes the record and, in durable mode, waits until it is on disk: only then may the
/// answer leave.
async fn exchange(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    mut payload: Payload,
    mut record: Record,
) -> (Answer, &'static str) {
    let headers = Headers::of(request.headers());
    record.describe(request.path(), headers.user_agent, worker.house.proxies.client_of(request));
    let mut exchange = Exchange { worker, request, headers, record, label: "none" };
    let answer = if request.method() == Method::POST {
        exchange.post(&mut payload).await
    } else {
        exchange.other_method()
    };
    let (id, label) = (exchange.record.id(), exchange.label);
    let receipt = exchange.record.close(answer.outcome, answer.code.map(Code::reason));
    match receipt.committed().await {
        Ok(()) => (answer, label),
        Err(error) => (unrecorded(error, id), label),
    }
}

fn unrecorded(error: AuditError, id: RequestId) -> Answer {
    Answer::refused(&Refusal::from(error), None, id)
}
