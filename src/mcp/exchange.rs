//! One request's way down the ladder (specification, validation order; cheap rungs first), in order.

use std::{borrow::Cow, rc::Rc, sync::Arc, time::Instant};

use actix_web::{HttpRequest, dev::Payload};

use super::{
    answer::{Answer, closes},
    count::Count,
    dispatch::Method,
    era,
    refusal::Refusal,
};
use crate::{
    actors::limiter::{InFlight, Visit},
    auth::{At, Authenticated, Credential, authenticate},
    domain::{EventCode, Principal, Rotated, Timestamp},
    edge::{self, EdgeError, Headers, Record},
    error::{Code, Coded},
    house::{House, Worker},
    policy::{self, CallTool},
    protocol::{Envelope, Id, Params},
    tools::clean_name,
};

/// One request under way: what it is made of, and what will be written of it.
pub(super) struct Exchange<'a> {
    /// The worker that serves it.
    pub(super) worker: &'a Rc<Worker>,
    /// The request, its body unread.
    pub(super) request: &'a HttpRequest,
    /// Its headers, as far as they decide anything.
    pub(super) headers: Headers<'a>,
    /// The same as far as limits are concerned.
    pub(super) visit: Visit<'a>,
    /// What will be written of it.
    pub(super) record: Record,
    /// What will be counted of it.
    pub(super) count: &'a Count<'a>,
    /// The successor that its key has.
    pub(super) rotated: Option<Rotated>,
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
        let principal = match self.admit().await {
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
        if body.waited {
            // What was there when the head came may be gone, and time that passed gives nothing twice.
            (self.visit.time, self.visit.clock) = (Timestamp::now(), Instant::now());
        }
        let principal = match if body.waited { self.admit_again().await } else { Ok(principal) } {
            Ok(principal) => principal,
            Err(refusal) => return self.refused(&refusal, None),
        };
        match Envelope::parse(&body.bytes) {
            Ok(envelope) => self.message(principal, envelope).await,
            Err((error, id)) => match self.charge(&principal, None).await {
                Ok(_) => self.refused(&error.into(), id),
                Err(over) => self.refused(&over, id),
            },
        }
    }

    /// Answers any other method. A client of an older revision that begins with GET must find the challenge
    /// first; a modern one knows better (§6.3, ruling 7).
    pub(super) async fn other_method(&mut self) -> Answer {
        let refusal = self.admit_other().await.err();
        self.refused(&refusal.unwrap_or_else(|| EdgeError::Method.into()), None)
    }

    async fn admit_other(&mut self) -> Result<(), Refusal> {
        self.guard()?;
        if !era::may_be_legacy(self.request.method(), &self.headers) {
            return Ok(());
        }
        self.check_size()?;
        let principal = self.identify().await?;
        self.charge(&principal, None).await.map(drop)
    }

    /// A refusal of this request.
    fn refused(&self, refusal: &Refusal, id: Option<Id<'_>>) -> Answer {
        Answer::refused(refusal, id, self.record.id())
    }

    /// The rungs before the body: host, origin, sizes, media types, credential.
    async fn admit(&mut self) -> Result<Arc<Principal>, Refusal> {
        self.guard()?;
        self.check_size()?;
        edge::refuse_encoding(&self.headers)?;
        let most = self.house().limits.max_body;
        if self.headers.announced_length().is_some_and(|length| length > most) {
            return Err(EdgeError::Body(most).into());
        }
        self.identify().await
    }

    /// The same once more, when the body has taken its time: a token that was revoked meanwhile must not run
    /// a tool.
    async fn admit_again(&mut self) -> Result<Arc<Principal>, Refusal> {
        self.guard()?;
        self.visit.epoch = self.house().services.epoch.now();
        let seen = self.authenticated((Timestamp::now(), Instant::now()), true).await?;
        self.record.principal(&seen.principal);
        Ok(seen.principal)
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
    ///
    /// Where many have failed, only a credential that this worker has verified is looked at: whoever shares
    /// an address with a flood of bad ones goes on, and no flood is verified.
    async fn identify(&mut self) -> Result<Arc<Principal>, Refusal> {
        let turnstile = &self.worker.turnstile;
        if turnstile.has_failed_often(&self.visit) && !self.needs_no_look() {
            turnstile.may_try(&self.visit)?;
        }
        let seen = match self.authenticated((self.record.time(), self.record.started()), false).await {
            Err(refusal) if refusal.code.is_failed_proof() => {
                turnstile.failed(&self.visit).await?;
                return Err(refusal);
            }
            seen => seen?,
        };
        self.record.principal(&seen.principal);
        if let Some(rotated) = seen.rotated {
            let detail = serde_json::json!({ "deprecated": true, "successor": rotated.successor });
            self.record.detail(&detail);
            self.rotated = Some(rotated);
            self.house().metrics.deprecated_key();
        }
        if let Some(unknown) = seen.first_sight {
            self.worker.first_sight(&self.record, &seen.principal, &unknown)?;
        }
        Ok(seen.principal)
    }

    /// Whether there is nothing to verify: no credential, or one that this worker has verified before.
    fn needs_no_look(&self) -> bool {
        let credential = Credential::of(&self.headers, self.request.query_string());
        credential.map_or(true, |credential| self.worker.cache.borrow().knows(credential))
    }

    /// Takes what this request costs its caller: the cost of `tool`, or one. What comes with success is to be
    /// held while the tool runs.
    async fn charge(
        &self,
        principal: &Arc<Principal>,
        tool: Option<&'static str>,
    ) -> Result<Option<InFlight>, Refusal> {
        Ok(self.worker.turnstile.principal(&self.visit, principal, tool).await?)
    }

    async fn authenticated(
        &mut self,
        (now, clock): (Timestamp, Instant),
        again: bool,
    ) -> Result<Authenticated, Refusal> {
        let (house, started) = (self.house(), clock);
        let credential = Credential::of(&self.headers, self.request.query_string());
        let kind = credential.as_ref().map_or("none", Credential::kind);
        let address = house.proxies.proven(self.record.address());
        let at = At { now, clock, address, again };
        let seen = match credential {
            Ok(credential) => {
                let seen = authenticate(credential, house.against(), &self.worker.cache, at).await;
                seen.map_err(|error| {
                    if let Some(detail) = error.detail() {
                        self.record.detail(&detail);
                    }
                    unproved(&error)
                })
            }
            Err(error) => Err(error.into()),
        };
        let reason = seen.as_ref().err().map(|refusal| refusal.code.reason());
        // Asking the same credential again counts only if the answer has changed.
        if !again || reason.is_some() {
            house.metrics.auth(kind, reason, started.elapsed());
        }
        seen.inspect_err(|_| self.record.event(EventCode::AuthFailed))
    }

    /// The tool whose price a call pays. A caller that may not call it pays as for any other request: it
    /// takes nothing from those who may.
    fn priced(&self, principal: &Arc<Principal>, tool: &str) -> Option<&'static str> {
        let entry = self.house().registry.find(tool)?;
        policy::decide::<CallTool>(principal, entry.needs()).is_ok().then(|| entry.spec().name)
    }

    /// The rungs from the envelope on.
    async fn message(&mut self, principal: Arc<Principal>, envelope: Envelope<'_>) -> Answer {
        let method = Method::find(&envelope.method);
        let own = method.map(Method::name);
        self.count.label(own.unwrap_or("other"));
        self.record.method(own, &envelope.method);
        let checked = match envelope.id {
            Some(_) => era::check(&envelope, &self.headers).map(Some),
            None => Ok(None),
        };
        let tool = checked.as_ref().ok().and_then(|tool| self.priced(&principal, tool.as_deref()?));
        let _running = match self.charge(&principal, tool).await {
            Ok(running) => running,
            Err(over) => return self.refused(&over, envelope.id),
        };
        let Some(id) = envelope.id else {
            // The core defines no client notification over HTTP: taken, and dropped (T13).
            return Answer::accepted();
        };
        let asked = checked.map(|tool| {
            let tool = tool.unwrap_or_default();
            Asked { principal, id, params: envelope.params, tool }
        });
        let answer = match (asked, method) {
            (Ok(asked), Some(method)) => method.answer(self, asked).await,
            (Ok(_), None) => {
                let shown = clean_name(&envelope.method);
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
