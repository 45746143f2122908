//! One request's way through: admitted, read, done, judged.

use std::{net::IpAddr, rc::Rc, time::Duration};

use actix_web::{HttpRequest, dev::Payload};
use bytes::Bytes;

use crate::{
    actors::limiter::Visit,
    domain::{EventCode, Rotated},
    edge::{self, EdgeError, Headers, Record},
    error::{Code, Coded, Kind},
    house::{Errand, House, Worker},
};

/// Largest body: a password, or the longest token, with room to spare.
const MAX_BODY: usize = 16 * 1024;

/// Why a request is not done.
pub(super) type Refused = Box<dyn Coded>;

/// As many requests for credentials as may be under way are.
#[derive(Debug, thiserror::Error)]
#[error("the server is overloaded")]
struct Full;

impl Coded for Full {
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
    /// Its body, as far as it is unread.
    pub(super) payload: &'a mut Payload,
    is_read: bool,
}

impl<'a> Exchange<'a> {
    /// An exchange that has just begun.
    pub(super) fn new(
        worker: &'a Rc<Worker>,
        request: &'a HttpRequest,
        (record, payload): (Record, &'a mut Payload),
        visit: Visit<'static>,
    ) -> Self {
        let (headers, ip) = (Headers::of(request.headers()), record.address());
        Self { worker, request, headers, record, ip, rotated: None, visit, payload, is_read: false }
    }

    /// The house that serves it.
    pub(super) fn house(&self) -> &'a House {
        &self.worker.house
    }

    /// Whether nothing of the body is left unread.
    pub(super) fn has_read(&self) -> bool {
        self.is_read
    }

    /// Does `deed`, if the request is admitted. Without an `errand` nothing is begun.
    pub(super) async fn attempt(
        &mut self,
        visit: &Visit<'_>,
        errand: Option<&Errand>,
        deed: impl AsyncFnOnce(&mut Self) -> Result<Done, Refused>,
    ) -> Result<Done, Refused> {
        self.admit(visit)?;
        if errand.is_none() {
            return Err(boxed(Full));
        }
        deed(self).await
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

    /// Takes note of what the deed came to, and takes a failed proof from the address; gives what is to be
    /// answered.
    pub(super) async fn judged(
        &mut self,
        done: Result<Done, Refused>,
        visit: &Visit<'_>,
    ) -> Result<Done, Refused> {
        self.count(visit, done.as_ref().err().map(|refused| refused.code()));
        let refused = match done {
            Ok(done) => return Ok(done),
            Err(refused) => refused,
        };
        let code = refused.code();
        if code == Code::Internal {
            tracing::error!(request.ip = ?self.ip, "a request for credentials failed by our fault");
        }
        let charged = match code.is_failed_proof() {
            true => self.worker.turnstile.failed(visit).await,
            false => Ok(()),
        };
        match charged {
            // What was found out must be recorded, whoever floods.
            Err(over) if !self.record.is_told() => return Err(boxed(over)),
            _ => {}
        }
        // Whoever is told to wait has not been looked at.
        let is_looked_at = matches!(code.kind(), Kind::NoProof | Kind::FailedProof);
        if is_looked_at && !self.record.is_told() {
            self.record.event(EventCode::AuthFailed);
        }
        Err(refused)
    }

    /// Counts a password or a refresh token that was looked at; other failures say nothing of credentials.
    fn count(&self, visit: &Visit<'_>, code: Option<Code>) {
        let kind = match visit.path {
            "/auth/login" => "password",
            "/auth/refresh" => "refresh",
            _ => return,
        };
        if code.is_none_or(is_of_proof) {
            self.house().metrics.auth(kind, code.map(Code::reason), visit.clock.elapsed());
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

/// Whether a refusal is about what the caller shows, as opposed to a request that we could not read or serve.
const fn is_of_proof(code: Code) -> bool {
    matches!(code.kind(), Kind::NoProof | Kind::FailedProof | Kind::Limited)
}
