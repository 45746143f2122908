//! `/mcp` on HTTP: open the record, delegate, close the record, wrap.

use std::{rc::Rc, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    http::Method,
    web::{self, ServiceConfig},
};

use super::{
    answer::Answer,
    exchange::{check_headers, guard, identify, post},
    record::Record,
    refusal::Refusal,
};
use crate::{
    actors::audit::AuditError,
    domain::RequestId,
    edge::{Busy, EdgeError},
    error::Code,
    house::Worker,
    protocol::MODERN,
};

/// Adds the endpoint. Each worker's [`Worker`] stands in the application's data.
pub(crate) fn routes(app: &mut ServiceConfig) {
    app.service(web::resource("/mcp").route(web::post().to(serve)).default_service(web::route().to(serve)));
}

/// One request on the endpoint, whatever its method.
async fn serve(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return HttpResponse::InternalServerError().finish();
    };
    let (id, started) = (RequestId::new(), Instant::now());
    let _busy = Busy::with(&request);
    let mut record = match Record::open(&worker.lane, id, started) {
        Ok(record) => record,
        Err(error) => return finish(&worker, unrecorded(error, id), ("none", started), id),
    };
    record.describe(&request, worker.house.proxies.client_of(&request));
    let (answer, method) = if request.method() == Method::POST {
        let mut payload = payload.into_inner();
        post(&worker, &request, &mut payload, (&mut record, id)).await
    } else {
        (other_method(&worker, &request, &mut record, id), "none")
    };
    let answer = settle(record, answer, id).await;
    finish(&worker, answer, (method, started), id)
}

/// Writes the record and, in durable mode, waits until it is on disk: only then may the answer leave.
async fn settle(record: Record, answer: Answer, id: RequestId) -> Answer {
    let Some(receipt) = record.close(answer.outcome, answer.code.map(Code::reason)) else { return answer };
    match receipt.committed().await {
        Ok(()) => answer,
        Err(error) => unrecorded(error, id),
    }
}

fn unrecorded(error: AuditError, id: RequestId) -> Answer {
    Answer::refused(&Refusal::from(error), None, id)
}

fn finish(
    worker: &Worker,
    answer: Answer,
    (method, started): (&'static str, Instant),
    id: RequestId,
) -> HttpResponse {
    worker.house.metrics.request(method, answer.outcome, started.elapsed());
    answer.into_response(&worker.house.challenges, id)
}

/// Not a POST. A client of an older era that may begin with GET must find the challenge first; a modern
/// one knows better (§6.3, ruling 7).
fn other_method(worker: &Worker, request: &HttpRequest, record: &mut Record, id: RequestId) -> Answer {
    let legacy = matches!(*request.method(), Method::GET | Method::DELETE)
        && request
            .headers()
            .get("mcp-protocol-version")
            .is_none_or(|version| version.as_bytes() < MODERN.as_bytes());
    let known = |record| {
        check_headers(request)?;
        identify(worker, request, record).map(drop)
    };
    let checked = guard(worker, request).map_err(Refusal::from);
    let checked = checked.and_then(|()| if legacy { known(record) } else { Ok(()) });
    let refusal = checked.err().unwrap_or_else(|| EdgeError::Method.into());
    Answer::refused(&refusal, None, id)
}
