//! One request's way down the ladder (specification; our `docs` name the rungs), in order, cheap first.

use std::{rc::Rc, sync::Arc, time::Instant};

use actix_web::{HttpRequest, dev::Payload, http::header};

use super::{
    answer::{Answer, closes},
    dispatch::{self, Method},
    era,
    record::Record,
    refusal::Refusal,
};
use crate::{
    auth::{Credential, authenticate},
    domain::{EventCode, Principal, RequestId, Timestamp},
    edge::{self, EdgeError},
    error::{Code, Coded},
    house::{House, Worker},
    protocol::{Envelope, Id, check_text},
};

/// One request whose caller is known.
pub(super) struct Exchange<'a> {
    /// The worker that serves it.
    pub(super) worker: &'a Rc<Worker>,
    /// Who is calling.
    pub(super) principal: Arc<Principal>,
    /// What will be written of it.
    pub(super) record: &'a mut Record,
}

impl<'a> Exchange<'a> {
    /// The house that serves it.
    pub(super) fn house(&self) -> &'a House {
        &self.worker.house
    }
}

/// Answers one POST. Whatever happens, there is an answer; the record says the same as it.
pub(super) async fn post(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    payload: &mut Payload,
    (record, id): (&mut Record, RequestId),
) -> (Answer, &'static str) {
    let principal = match admit(worker, request, record) {
        Ok(principal) => principal,
        Err(refusal) => {
            let whole = !closes(refusal.code) && edge::discard(payload).await;
            let answer = Answer::refused(&refusal, None, id);
            return (if whole { answer } else { answer.and_close() }, "none");
        }
    };
    let limits = worker.house.limits;
    let deadline = edge::BODY_DEADLINE.min(limits.request_timeout);
    let body = match edge::read_body(payload, limits.max_body, deadline).await {
        Ok(body) => body,
        Err(error) => return (Answer::refused(&error.into(), None, id).and_close(), "none"),
    };
    let principal = match if body.waited { still_holds(worker, request, record) } else { Ok(principal) } {
        Ok(principal) => principal,
        Err(refusal) => return (Answer::refused(&refusal, None, id), "none"),
    };
    let mut exchange = Exchange { worker, principal, record };
    let parsed = check_text(&body.bytes).map_err(|e| (e, None)).and_then(Envelope::parse);
    match parsed {
        Ok(envelope) => {
            let method = dispatch::known_name(&envelope.method).unwrap_or("other");
            (message(&mut exchange, &envelope, request, id).await, method)
        }
        Err((error, at)) => (Answer::refused(&error.into(), at, id), "none"),
    }
}

/// The rungs before the body: host, origin, sizes, media types, credential.
pub(super) fn admit(
    worker: &Worker,
    request: &HttpRequest,
    record: &mut Record,
) -> Result<Arc<Principal>, Refusal> {
    guard(worker, request)?;
    check_headers(request)?;
    edge::refuse_encoding(request)?;
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > worker.house.limits.max_body) {
        return Err(EdgeError::Body(worker.house.limits.max_body).into());
    }
    identify(worker, request, record)
}

/// The rungs that every method of HTTP must pass.
pub(super) fn guard(worker: &Worker, request: &HttpRequest) -> Result<(), EdgeError> {
    if worker.house.is_closing() {
        return Err(EdgeError::Closing);
    }
    worker.house.guard.check(request)
}

/// The rung of the headers' size: behind the method, before anything is made of them.
pub(super) fn check_headers(request: &HttpRequest) -> Result<(), EdgeError> {
    if edge::header_bytes(request.headers()) > edge::MAX_HEADER_BYTES {
        Err(EdgeError::Headers)
    } else {
        Ok(())
    }
}

/// Finds out who is calling, from headers alone; failures and first sights are recorded as what they are.
pub(super) fn identify(
    worker: &Worker,
    request: &HttpRequest,
    record: &mut Record,
) -> Result<Arc<Principal>, Refusal> {
    let house = &worker.house;
    let started = Instant::now();
    let credential = Credential::of(request.headers(), request.query_string());
    let kind = match credential {
        Ok(Credential::Bearer(_)) => "jwt",
        Ok(Credential::ApiKey(_)) => "api_key",
        Err(_) => "none",
    };
    let clocks = (record.time(), record.started());
    let seen = credential.map_err(Refusal::from).and_then(|credential| {
        let mut cache = worker.cache.borrow_mut();
        let by = (&house.services.tokens, &house.roles);
        authenticate(credential, by, &mut cache, clocks).map_err(|error| refused(&error))
    });
    let reason = seen.as_ref().err().map(|refusal| refusal.code.reason());
    house.metrics.auth(kind, reason, started.elapsed());
    let seen = seen.inspect_err(|_| record.unauthenticated())?;
    record.principal(&seen.principal);
    if let Some(unknown) = seen.first_sight {
        first_sight(worker, record, &seen.principal, &unknown)?;
    }
    Ok(seen.principal)
}

/// Asks again, once a body has taken its time: a token that was revoked meanwhile must not run a tool.
fn still_holds(
    worker: &Worker,
    request: &HttpRequest,
    record: &mut Record,
) -> Result<Arc<Principal>, Refusal> {
    let house = &worker.house;
    guard(worker, request)?;
    let credential = Credential::of(request.headers(), request.query_string())?;
    let by = (&house.services.tokens, &house.roles);
    let clocks = (Timestamp::now(), Instant::now());
    match authenticate(credential, by, &mut worker.cache.borrow_mut(), clocks) {
        Ok(seen) => Ok(seen.principal),
        Err(error) => {
            record.unauthenticated();
            Err(refused(&error))
        }
    }
}

/// Why a credential proves nothing; one that could not be checked is our failure, not the caller's.
fn refused(error: &(impl Coded + ?Sized)) -> Refusal {
    let refusal = Refusal::new(error.code(), error.to_string());
    match error.code() {
        Code::StoreUnavailable => Refusal {
            retry_after: error.retry_after(),
            ..Refusal::new(
                Code::StoreUnavailable,
                "revocations cannot be checked right now, so nobody is let in",
            )
        },
        _ => refusal,
    }
}

/// Records that this process sees the credential for the first time, and what of it means nothing here.
fn first_sight(
    worker: &Worker,
    record: &Record,
    principal: &Principal,
    unknown: &[Box<str>],
) -> Result<(), Refusal> {
    if !worker.house.sights.is_first(&principal.credential) {
        return Ok(());
    }
    let mut event = record.beside(EventCode::AuthSucceeded);
    if !unknown.is_empty() {
        tracing::warn!(principal.id = %principal.id, unknown = ?unknown, "a token carries roles or permissions that do not exist here; they grant nothing");
        event.detail =
            serde_json::to_string(&serde_json::json!({ "unknown_grants": unknown })).ok().map(Into::into);
    }
    // In the same lane as the request's own record, before it: durable once that one is.
    drop(worker.lane.reserve()?.write(event));
    Ok(())
}

/// The rungs from the envelope on.
async fn message(
    exchange: &mut Exchange<'_>,
    envelope: &Envelope<'_>,
    request: &HttpRequest,
    request_id: RequestId,
) -> Answer {
    exchange.record.method(&envelope.method);
    let Some(id) = envelope.id else {
        // The core defines no client notification over HTTP: taken, and dropped (T13).
        return Answer::accepted();
    };
    match answer(exchange, envelope, request, id).await {
        Ok(answer) => answer,
        Err(refusal) => Answer::refused(&refusal, Some(id), request_id),
    }
}

async fn answer(
    exchange: &mut Exchange<'_>,
    envelope: &Envelope<'_>,
    request: &HttpRequest,
    id: Id<'_>,
) -> Result<Answer, Refusal> {
    let (params, meta) = era::open(envelope)?;
    era::check(envelope, &params, &meta, request.headers())?;
    let Some(method) = Method::find(&envelope.method) else {
        let shown: String = envelope.method.chars().take(64).filter(|c| !c.is_control()).collect();
        return Err(Refusal::new(Code::UnknownMethod, format!("Method not found: {shown}")));
    };
    if let Some(bad) = meta.first_bad_option() {
        return Err(Refusal::new(Code::InvalidParams, format!("malformed _meta {bad}")));
    }
    method.answer(exchange, id, &params).await
}
