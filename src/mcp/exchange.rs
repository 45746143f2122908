//! One request's way down the ladder (specification, validation order; cheap rungs first), in order.

use std::{borrow::Cow, rc::Rc, sync::Arc, time::Instant};

use actix_web::{HttpRequest, dev::Payload};

use super::{
    answer::{Answer, closes},
    dispatch::Method,
    era,
    record::Record,
    refusal::Refusal,
};
use crate::{
    auth::{Authenticated, Credential, authenticate},
    domain::{EventCode, Principal, Timestamp},
    edge::{self, EdgeError, Headers},
    error::{Code, Coded},
    house::{House, Worker},
    protocol::{Envelope, Id, Params, check_text},
};

/// One request under way: what it is made of, and what will be written of it.
pub(super) struct Exchange<'a> {
    /// The worker that serves it.
    pub(super) worker: &'a Rc<Worker>,
    /// The request, its body unread.
    pub(super) request: &'a HttpRequest,
    /// Its headers, as far as they decide anything.
    pub(super) headers: Headers<'a>,
    /// What will be written of it.
    pub(super) record: Record,
    /// What metrics call its method.
    pub(super) label: &'static str,
}

/// A request of a known caller for a known method.
pub(super) struct Asked<'a> {
    /// Who is calling.
    pub(super) principal: Arc<Principal>,
    /// The request's id.
    pub(super) id: Id<'a>,
    /// Its params.
    pub(super) params: Params<'a>,
    /// The tool that a call names.
    pub(super) tool: Cow<'a, str>,
}

impl<'a> Exchange<'a> {
    /// The house that serves it.
    pub(super) fn house(&self) -> &'a House {
        &self.worker.house
    }

    /// Answers a POST. Whatever happens, there is an answer; the record says the same as it.
    pub(super) async fn post(&mut self, payload: &mut Payload) -> Answer {
        let principal = match self.admit() {
            Ok(principal) => principal,
            Err(refusal) => {
                let whole = !closes(refusal.code) && edge::discard(payload).await;
                let answer = self.refused(&refusal, None);
                return if whole { answer } else { answer.and_close() };
            }
        };
        let limits = self.house().limits;
        let deadline = edge::BODY_DEADLINE.min(limits.request_timeout);
        let body = match edge::read_body(payload, limits.max_body, deadline).await {
            Ok(body) => body,
            Err(error) => return self.refused(&error.into(), None).and_close(),
        };
        let principal = match if body.waited { self.admit_again() } else { Ok(principal) } {
            Ok(principal) => principal,
            Err(refusal) => return self.refused(&refusal, None),
        };
        match check_text(&body.bytes).map_err(|e| (e, None)).and_then(Envelope::parse) {
            Ok(envelope) => self.message(principal, envelope).await,
            Err((error, id)) => self.refused(&error.into(), id),
        }
    }

    /// Answers any other method. A client of an older revision that begins with GET must find the challenge
    /// first; a modern one knows better (§6.3, ruling 7).
    pub(super) fn other_method(&mut self) -> Answer {
        let refusal = self.guard().map_err(Refusal::from).and_then(|()| {
            if !era::may_be_legacy(self.request.method(), &self.headers) {
                return Ok(());
            }
            self.check_size()?;
            self.identify().map(drop)
        });
        self.refused(&refusal.err().unwrap_or_else(|| EdgeError::Method.into()), None)
    }

    /// A refusal of this request.
    fn refused(&self, refusal: &Refusal, id: Option<Id<'_>>) -> Answer {
        Answer::refused(refusal, id, self.record.id())
    }

    /// The rungs before the body: host, origin, sizes, media types, credential.
    fn admit(&mut self) -> Result<Arc<Principal>, Refusal> {
        self.guard()?;
        self.check_size()?;
        edge::refuse_encoding(&self.headers)?;
        let most = self.house().limits.max_body;
        if self.headers.announced_length().is_some_and(|length| length > most) {
            return Err(EdgeError::Body(most).into());
        }
        self.identify()
    }

    /// The same once more, when the body has taken its time: a token that was revoked meanwhile must not run
    /// a tool.
    fn admit_again(&mut self) -> Result<Arc<Principal>, Refusal> {
        self.guard()?;
        self.authenticated((Timestamp::now(), Instant::now()), true).map(|seen| seen.principal)
    }

    /// The rung that every method of HTTP must pass.
    fn guard(&self) -> Result<(), EdgeError> {
        if self.house().is_closing() {
            return Err(EdgeError::Closing);
        }
        self.house().guard.check(&self.headers, self.request.uri())
    }

    /// The rung of the headers' size: behind the method, before anything is made of them.
    fn check_size(&self) -> Result<(), EdgeError> {
        if self.headers.bytes > edge::MAX_HEADER_BYTES { Err(EdgeError::Headers) } else { Ok(()) }
    }

    /// Finds out who is calling, from headers alone; failures and first sights are recorded as what they are.
    fn identify(&mut self) -> Result<Arc<Principal>, Refusal> {
        let seen = self.authenticated((self.record.time(), self.record.started()), false)?;
        self.record.principal(&seen.principal);
        if let Some(unknown) = seen.first_sight {
            self.first_sight(&seen.principal, &unknown)?;
        }
        Ok(seen.principal)
    }

    fn authenticated(&mut self, clocks: (Timestamp, Instant), again: bool) -> Result<Authenticated, Refusal> {
        let (house, (_, started)) = (self.house(), clocks);
        let credential = Credential::of(&self.headers, self.request.query_string());
        let kind = match credential {
            Ok(Credential::Bearer(_)) => "jwt",
            Ok(Credential::ApiKey(_)) => "api_key",
            Err(_) => "none",
        };
        let seen = credential.map_err(Refusal::from).and_then(|credential| {
            let mut cache = self.worker.cache.borrow_mut();
            authenticate(credential, house.against(), &mut cache, clocks).map_err(|error| unproved(&error))
        });
        let reason = seen.as_ref().err().map(|refusal| refusal.code.reason());
        // Asking the same credential again counts only if the answer has changed.
        if !again || reason.is_some() {
            house.metrics.auth(kind, reason, started.elapsed());
        }
        seen.inspect_err(|_| self.record.unauthenticated())
    }

    /// Records that this process sees the credential for the first time, and what of it means nothing here.
    fn first_sight(&self, principal: &Principal, unknown: &[Box<str>]) -> Result<(), Refusal> {
        if !self.house().sights.is_first(&principal.credential) {
            return Ok(());
        }
        let mut event = self.record.beside(EventCode::AuthSucceeded);
        if !unknown.is_empty() {
            tracing::warn!(
                principal.id = %principal.id,
                unknown = ?unknown,
                "a token carries roles or permissions that do not exist here; they grant nothing"
            );
            let detail = serde_json::json!({ "unknown_grants": unknown });
            event.detail = Some(detail.to_string().into());
        }
        // In the same lane as the request's own record, before it: durable once that one is.
        drop(self.worker.lane.reserve()?.write(event));
        Ok(())
    }

    /// The rungs from the envelope on.
    async fn message(&mut self, principal: Arc<Principal>, envelope: Envelope<'_>) -> Answer {
        let method = Method::find(&envelope.method);
        self.label = method.map_or("other", Method::name);
        self.record.method(method, &envelope.method);
        let Some(id) = envelope.id else {
            // The core defines no client notification over HTTP: taken, and dropped (T13).
            return Answer::accepted();
        };
        let checked = era::check(&envelope, &self.headers);
        let asked = checked.map(|tool| Asked { principal, id, params: envelope.params, tool });
        let answer = match (asked, method) {
            (Ok(asked), Some(method)) => method.answer(self, asked).await,
            (Ok(_), None) => {
                let shown: String = envelope.method.chars().take(64).filter(|c| !c.is_control()).collect();
                Err(Refusal::new(Code::UnknownMethod, format!("Method not found: {shown}")))
            }
            (Err(refusal), _) => Err(refusal),
        };
        answer.unwrap_or_else(|refusal| self.refused(&refusal, Some(id)))
    }
}

/// Why a credential proves nothing; one that could not be checked is our failure, not the caller's.
fn unproved(error: &impl Coded) -> Refusal {
    match error.code() {
        Code::StoreUnavailable => Refusal {
            retry_after: error.retry_after(),
            ..Refusal::new(
                Code::StoreUnavailable,
                "revocations cannot be checked right now, so nobody is let in",
            )
        },
        code => Refusal::new(code, error.to_string()),
    }
}
