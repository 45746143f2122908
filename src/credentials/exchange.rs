//! One request's way through: record reserved, admitted, read, done, recorded, answered.

use std::{
    net::IpAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::{ConnectionType, StatusCode, header},
};
use bytes::Bytes;

use super::record::Record;
use crate::{
    actors::limiter::{Stake, Visit},
    domain::{EventCode, Outcome, RequestId, Rotated, Timestamp},
    edge::{self, EdgeError, Headers},
    error::{Code, Coded},
    house::{House, Worker},
};

/// Largest body: a password, or the longest token, with room to spare.
const MAX_BODY: usize = 16 * 1024;

/// Why a request is not done.
pub(super) type Refused = Box<dyn Coded>;

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

/// What a request came to.
#[derive(Debug)]
pub(super) enum Done {
    /// This JSON text.
    Json(String),
    /// Something new, told in this JSON text.
    Made(String),
    /// Nothing to say.
    Empty,
}

/// One request under way.
pub(super) struct Exchange<'a> {
    /// The worker that serves it.
    pub(super) worker: &'a Rc<Worker>,
    /// The request itself.
    pub(super) request: &'a HttpRequest,
    /// Its headers, as far as they decide anything.
    pub(super) headers: Headers<'a>,
    /// What will be written of it.
    pub(super) record: Record,
    /// From where it comes.
    pub(super) ip: Option<IpAddr>,
    /// The successor of the key that it shows.
    pub(super) rotated: Option<Rotated>,
    /// What limits know it by.
    pub(super) visit: Visit<'static>,
    payload: &'a mut Payload,
    is_read: bool,
}

/// Serves one request on `path`: `deed` does it, everything around it happens here.
pub(super) async fn serve(
    path: &'static str,
    request: &HttpRequest,
    mut payload: Payload,
    deed: impl AsyncFnOnce(&mut Exchange<'_>) -> Result<Done, Refused>,
) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>() else {
        return HttpResponse::InternalServerError().finish();
    };
    let (id, started) = (RequestId::new(), Instant::now());
    let _busy = edge::Busy::with(request);
    let mut record = match Record::open(&worker.lane, id) {
        Ok(record) => record,
        Err(error) => return edge::problem(&error, id),
    };
    let headers = Headers::of(request.headers());
    let ip = worker.house.proxies.client_of(request);
    record.describe(path, headers.user_agent, ip);
    let visit = Visit { request: id, time: Timestamp::now(), clock: started, ip, path, epoch: 0 };
    let mut exchange = Exchange {
        worker,
        request,
        headers,
        record,
        ip,
        rotated: None,
        visit,
        payload: &mut payload,
        is_read: false,
    };
    let (done, stake) = exchange.attempt(&visit, deed).await;
    count(&worker.house, path, (done.as_ref().err().map(|refused| refused.code()), started.elapsed()));
    let done = match done {
        Err(refused) => Err(exchange.failed(refused, &visit, stake).await),
        Ok(done) => {
            if let Some(stake) = stake {
                stake.give_back();
            }
            Ok(done)
        }
    };
    let whole = exchange.is_read || edge::discard(exchange.payload).await;
    let (outcome, code) = match &done {
        Ok(_) => (Outcome::Ok, None),
        Err(refused) => (outcome_of(refused.code()), Some(refused.code())),
    };
    let rotated = exchange.rotated;
    if done.as_ref().is_err_and(|refused| refused.quota().is_some()) {
        exchange.record.withdraw();
        return answer(&worker.house, done, (id, whole));
    }
    let receipt = exchange.record.close(outcome, code.map(Code::reason));
    if let Err(error) = receipt.committed().await {
        return edge::problem(&error, id);
    }
    let mut response = answer(&worker.house, done, (id, whole));
    for (name, value) in rotated.into_iter().flat_map(edge::deprecation) {
        response.headers_mut().insert(name, value);
    }
    response
}

impl<'a> Exchange<'a> {
    /// The house that serves it.
    pub(super) fn house(&self) -> &'a House {
        &self.worker.house
    }

    /// Does `deed` within `server.request_timeout`, if the request is admitted. What its address has staked on
    /// it comes along, and is kept if it was not judged in time.
    async fn attempt(
        &mut self,
        visit: &Visit<'_>,
        deed: impl AsyncFnOnce(&mut Self) -> Result<Done, Refused>,
    ) -> (Result<Done, Refused>, Option<Stake>) {
        if let Err(refused) = self.admit(visit) {
            return (Err(refused), None);
        }
        // To look at a password takes so long that hanging up first would be the way around every limit.
        let stake = match visit.path == "/auth/login" {
            true => match self.worker.turnstile.stake(visit).await {
                Ok(stake) => Some(stake),
                Err(over) => return (Err(boxed(over)), None),
            },
            false => None,
        };
        match tokio::time::timeout(self.house().limits.request_timeout, deed(self)).await {
            Ok(done) => (done, stake),
            Err(_elapsed) => (Err(boxed(Late)), None),
        }
    }

    /// The rungs before anything is looked at; the address has paid for the request already.
    fn admit(&self, visit: &Visit<'_>) -> Result<(), Refused> {
        let house = self.house();
        if house.is_closing() {
            return Err(Box::new(EdgeError::Closing));
        }
        house.guard.check(&self.headers, self.request.uri()).map_err(boxed)?;
        if self.headers.bytes > edge::MAX_HEADER_BYTES {
            return Err(Box::new(EdgeError::Headers));
        }
        self.worker.turnstile.may_try(visit).map_err(boxed)
    }

    /// Takes note of a refusal, and takes a failed proof from the address; gives what is to be answered.
    async fn failed(&mut self, refused: Refused, visit: &Visit<'_>, stake: Option<Stake>) -> Refused {
        let code = refused.code();
        if code == Code::Internal {
            tracing::error!(request.ip = ?self.ip, "a request for credentials failed by our fault");
        }
        let charged = match stake {
            // Paid for already.
            Some(stake) => {
                if !costs(code) {
                    stake.give_back();
                }
                Ok(())
            }
            None if costs(code) => self.worker.turnstile.failed(visit).await,
            None => Ok(()),
        };
        match charged {
            // What was found out must be recorded, whoever floods.
            Err(over) if !self.record.is_told() => boxed(over),
            _ => {
                if is_failed_proof(code) {
                    self.record.event_unless_told(EventCode::AuthFailed);
                }
                refused
            }
        }
    }

    /// The whole body of a request that must be JSON.
    ///
    /// # Errors
    /// [`EdgeError`].
    pub(super) async fn json(&mut self) -> Result<Bytes, EdgeError> {
        edge::refuse_encoding(&self.headers)?;
        if self.headers.announced_length().is_some_and(|length| length > MAX_BODY) {
            return Err(EdgeError::Body(MAX_BODY));
        }
        let deadline = edge::BODY_DEADLINE.min(self.house().limits.request_timeout);
        let body = edge::read_body(self.payload, MAX_BODY, deadline).await?;
        self.is_read = true;
        Ok(body.bytes)
    }
}

/// For `map_err`: the same, without its type.
pub(super) fn boxed(cause: impl Coded) -> Refused {
    Box::new(cause)
}

/// Whether somebody showed a credential that does not hold, as opposed to a request that we could not read or
/// serve.
pub(super) const fn is_failed_proof(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidLogin
            | Code::MissingCredential
            | Code::MalformedCredential
            | Code::InvalidToken
            | Code::ExpiredToken
            | Code::RevokedToken
            | Code::WrongTokenType
            | Code::WrongAudience
            | Code::UnknownIssuer
            | Code::InvalidApiKey
            | Code::RateLimited
    )
}

/// Whether the address pays for it: something was shown that we had to look at. A wait has been paid for.
const fn costs(code: Code) -> bool {
    is_failed_proof(code)
        && !matches!(code, Code::MissingCredential | Code::MalformedCredential | Code::RateLimited)
}

/// Counts a password or a refresh token that was looked at; other failures say nothing of credentials.
fn count(house: &House, path: &str, (code, took): (Option<Code>, Duration)) {
    let kind = match path {
        "/auth/login" => "password",
        "/auth/refresh" => "refresh",
        _ => return,
    };
    if code.is_none_or(is_failed_proof) {
        house.metrics.auth(kind, code.map(Code::reason), took);
    }
}

fn answer(house: &House, done: Result<Done, Refused>, (id, whole): (RequestId, bool)) -> HttpResponse {
    let mut response = match done {
        Ok(done) => {
            let status = match done {
                Done::Json(_) => StatusCode::OK,
                Done::Made(_) => StatusCode::CREATED,
                Done::Empty => StatusCode::NO_CONTENT,
            };
            let mut builder = HttpResponse::build(status);
            edge::harden(&mut builder);
            builder.insert_header(("x-request-id", id.to_string()));
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
    if !whole {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

/// How the record says that a refusal of this class ended.
fn outcome_of(code: Code) -> Outcome {
    match code {
        Code::RateLimited => Outcome::Limited,
        _ if is_failed_proof(code) => Outcome::Denied,
        Code::OriginForbidden | Code::HostForbidden | Code::Forbidden => Outcome::Denied,
        Code::RequestTimeout => Outcome::Timeout,
        Code::Overloaded
        | Code::StoreUnavailable
        | Code::AuditUnavailable
        | Code::ShuttingDown
        | Code::Internal => Outcome::Failed,
        _ => Outcome::Error,
    }
}
