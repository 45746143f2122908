//! `/auth/…` on HTTP: open the record, have the deed done whoever hangs up, close the record, wrap.

use std::{
    cell::Cell,
    panic::AssertUnwindSafe,
    rc::Rc,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::{ConnectionType, StatusCode, header},
    rt,
};
use futures_util::FutureExt;
use tokio::time::timeout;

use super::exchange::{Done, Exchange, Refused, boxed};
use crate::{
    actors::{audit::AuditError, limiter::Visit},
    domain::{Outcome, RequestId, Timestamp},
    edge::{self, Headers, Record},
    error::{Code, Coded},
    house::{Errand, House, Worker},
};

/// How much later than `server.request_timeout` the client is told so: a body that does not come has the same
/// time, and whoever sends it shall hear of the body.
const MARGIN: Duration = Duration::from_millis(50);

/// Whatever the request waits for does not come within `server.request_timeout`.
#[derive(Debug, thiserror::Error)]
#[error("the server is overloaded")]
struct Late;

impl Coded for Late {
    fn code(&self) -> Code {
        Code::Overloaded
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}

/// The deed panicked.
#[derive(Debug, thiserror::Error)]
#[error("a panic")]
struct Panicked;

impl Coded for Panicked {
    fn code(&self) -> Code {
        Code::Internal
    }
}

/// One request, with all that it takes to answer it.
struct Order {
    path: &'static str,
    id: RequestId,
    worker: Rc<Worker>,
    request: HttpRequest,
    payload: Payload,
    record: Record,
    errand: Option<Errand>,
    /// Whether the client has been told already that it took too long.
    told: Rc<Cell<bool>>,
}

/// Serves one request on `path`: `deed` does it, everything around it happens here.
///
/// What a deed has begun in the store is done, so it runs to its end in a task of its own, whether the client
/// hangs up or `server.request_timeout` passes: what it comes to is in the log, and a failed proof is paid for.
pub(super) async fn serve(
    path: &'static str,
    request: HttpRequest,
    payload: Payload,
    deed: impl AsyncFnOnce(&mut Exchange<'_>) -> Result<Done, Refused> + 'static,
) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return HttpResponse::InternalServerError().finish();
    };
    let now = (Timestamp::now(), Instant::now());
    let id = RequestId::at(now.0);
    let record = match open(path, &request, &worker, (id, now)) {
        Ok(record) => record,
        Err(error) => return edge::problem(&error, id),
    };
    let (errand, told) = (worker.house.errands.begin(), Rc::new(Cell::new(false)));
    let may_begin = errand.is_some();
    let order = Order {
        path,
        id,
        worker: Rc::clone(&worker),
        request: request.clone(),
        payload,
        record,
        errand,
        told: Rc::clone(&told),
    };
    let carried_out = carry_out(order, deed);
    if !may_begin {
        // It will be refused. Nothing of that must outlive the connection, which bounds it.
        return carried_out.await;
    }
    let within = worker.house.limits.request_timeout.saturating_add(MARGIN);
    match timeout(within, rt::spawn(carried_out)).await {
        Ok(Ok(answer)) => answer,
        // It has left its record when it was dropped.
        Ok(Err(_panicked)) => edge::problem(&Panicked, id),
        Err(_elapsed) => {
            told.set(true);
            too_late(path, &request, &worker, (id, now)).await
        }
    }
}

/// Which request it is, and when it came.
type Which = (RequestId, (Timestamp, Instant));

/// The record of a request, described.
fn open(
    path: &'static str,
    request: &HttpRequest,
    worker: &Worker,
    (id, now): Which,
) -> Result<Record, AuditError> {
    let mut record = Record::open(&worker.lane, id, now)?;
    let agent = Headers::of(request.headers()).user_agent;
    record.describe(path, agent, worker.house.proxies.client_of(request));
    Ok(record)
}

/// Does what is ordered. What comes of it is recorded, and only then answered.
async fn carry_out(
    order: Order,
    deed: impl AsyncFnOnce(&mut Exchange<'_>) -> Result<Done, Refused>,
) -> HttpResponse {
    let Order { path, id, worker, request, mut payload, record, errand, told } = order;
    let (time, clock, ip) = (record.time(), record.started(), record.address());
    let visit = Visit { request: id, time, clock, ip, path, epoch: 0 };
    let mut exchange = Exchange::new(&worker, &request, (record, &mut payload), visit);
    let done = AssertUnwindSafe(exchange.attempt(&visit, errand.as_ref(), deed)).catch_unwind().await;
    let done = done.unwrap_or_else(|_panic| Err(boxed(Panicked)));
    let done = exchange.judged(done, &visit).await;
    let whole = exchange.has_read() || edge::discard(exchange.payload).await;
    let (record, rotated) = (exchange.record, exchange.rotated);
    let refused = done.as_ref().err();
    // A limit that was reached is recorded by the limiter, a client that was told already by whoever told it.
    let is_recorded = refused.is_some_and(|refused| refused.quota().is_some());
    if is_recorded || told.get() && !record.is_told() {
        record.withdraw();
        return answer(&worker.house, done, (id, whole));
    }
    let code = refused.map(|refused| refused.code());
    let receipt = record.close(code.map_or(Outcome::Ok, Outcome::of), code.map(Code::reason));
    if let Err(error) = receipt.committed().await {
        return edge::problem(&error, id);
    }
    let mut response = answer(&worker.house, done, (id, whole));
    for (name, value) in rotated.into_iter().flat_map(edge::deprecation) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Tells that it takes too long, and records that; what the deed comes to has a record of its own.
async fn too_late(
    path: &'static str,
    request: &HttpRequest,
    worker: &Worker,
    (id, now): Which,
) -> HttpResponse {
    let record = match open(path, request, worker, (id, now)) {
        Ok(record) => record,
        Err(error) => return edge::problem(&error, id),
    };
    let code = Late.code();
    let receipt = record.close(Outcome::of(code), Some(code.reason()));
    if let Err(error) = receipt.committed().await {
        return edge::problem(&error, id);
    }
    closing(edge::problem(&Late, id))
}

fn answer(house: &House, done: Result<Done, Refused>, (id, whole): (RequestId, bool)) -> HttpResponse {
    let response = match done {
        Ok(done) => {
            let status = match done {
                Done::Json(_) => StatusCode::OK,
                Done::Made(_) => StatusCode::CREATED,
                Done::Empty => StatusCode::NO_CONTENT,
            };
            let mut builder = HttpResponse::build(status);
            edge::harden(&mut builder, id);
            match done {
                Done::Json(text) | Done::Made(text) => builder.content_type("application/json").body(text),
                Done::Empty => builder.finish(),
            }
        }
        Err(refused) => {
            let mut response = edge::problem(&*refused, id);
            if let Some(challenge) = house.challenges.for_code(refused.code()) {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.clone());
            }
            response
        }
    };
    if whole { response } else { closing(response) }
}

/// The same, as the last one on its connection.
fn closing(mut response: HttpResponse) -> HttpResponse {
    response.head_mut().set_connection_type(ConnectionType::Close);
    response
}
