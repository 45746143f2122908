//! One request's way down the ladder (specification, validation order; cheap rungs first), in order.

use std::{borrow::Cow, rc::Rc, sync::Arc, time::Instant};

use actix_web::{dev::Payload, http::Method as HttpMethod};
use bytes::Bytes;

use super::{
    answer::{Answer, closes},
    audience::Audience,
    count::Count,
    dispatch::Method,
    era::{self, Checked},
    refusal::Refusal,
    sessions,
    stream::{self, Heard},
    via::Via,
};
use crate::{
    actors::limiter::{InFlight, Visit},
    auth::{At, Authenticated, Credential, authenticate},
    domain::{EventCode, Permission, Principal, Rotated, Timestamp},
    edge::{self, EdgeError, Headers, Record},
    error::{Code, Coded, Kind},
    house::{House, Worker},
    policy::{self, CallTool, Denied, Permit},
    protocol::{Envelope, Id, Params, Revision},
    tools::{Entry, clean_name},
};

/// One request under way: what it is made of, and what will be written of it.
pub(super) struct Exchange<'a> {
    /// The worker that serves it.
    pub(super) worker: &'a Rc<Worker>,
    /// The edge by which it came in.
    pub(super) via: Via<'a>,
    /// Its headers, as far as they decide anything; none beside HTTP.
    pub(super) headers: Headers<'a>,
    /// The same as far as limits are concerned.
    pub(super) visit: Visit<'a>,
    /// What will be written of it.
    pub(super) record: Record,
    /// When the request of HTTP came that it is in: its deadline counts from there.
    pub(super) began: Instant,
    /// What will be counted of it.
    pub(super) count: Count<'a>,
    /// The successor that its key has.
    pub(super) rotated: Option<Rotated>,
    /// Whoever hears of it before its answer.
    pub(super) audience: Option<&'a Audience>,
}

/// A request of a known caller for a known method.
pub(super) struct Asked<'a> {
    /// Who is calling.
    pub(super) principal: Arc<Principal>,
    /// The request's id.
    pub(super) id: Id<'a>,
    /// Its revision.
    pub(super) revision: Revision,
    /// Its params.
    pub(super) params: Params<'a>,
    /// The tool that a call names.
    pub(super) tool: Cow<'a, str>,
    /// That tool, if there is one.
    pub(super) sought: Option<Sought<'a>>,
    /// Its place among the running calls of that tool.
    pub(super) running: Option<InFlight>,
}

/// A tool that a caller asks for.
pub(super) struct Sought<'a> {
    /// The tool.
    pub(super) entry: &'a Entry,
    /// Whether the caller may call it.
    pub(super) permit: Result<Permit<CallTool>, Denied>,
}

impl<'a> Exchange<'a> {
    /// One that has just begun, of which nothing has been looked at.
    pub(super) fn new(worker: &'a Rc<Worker>, via: Via<'a>, visit: Visit<'a>, record: Record) -> Self {
        let (headers, began) = (Headers::default(), record.started());
        let count = Count::begin(&worker.house.metrics, began);
        Self { worker, via, headers, visit, record, began, count, rotated: None, audience: None }
    }

    /// The house that serves it.
    pub(super) fn house(&self) -> &'a House {
        &self.worker.house
    }

    /// Who is calling, and the body of a POST.
    ///
    /// # Errors
    /// The answer. Whatever happens, there is one; the record says the same as it.
    pub(super) async fn receive(&mut self, payload: &mut Payload) -> Result<(Arc<Principal>, Bytes), Answer> {
        let principal = match self.admit().await {
            Ok(principal) => principal,
            Err(refusal) => {
                let whole = !closes(refusal.code) && edge::discard(payload).await;
                let answer = self.refused(&refusal, None);
                return Err(if whole { answer } else { answer.and_close() });
            }
        };
        let limits = self.house().limits;
        let deadline = edge::BODY_DEADLINE.min(limits.request_timeout);
        let body = edge::read_body(payload, limits.max_body, deadline).await;
        let body = body.map_err(|error| self.refused(&error.into(), None).and_close())?;
        if !body.waited {
            return Ok((principal, body.bytes));
        }
        // What was there when the head came may be gone, and time that passed gives nothing twice.
        (self.visit.time, self.visit.clock) = (Timestamp::now(), Instant::now());
        let principal = self.admit_again().await.map_err(|refusal| self.refused(&refusal, None))?;
        Ok((principal, body.bytes))
    }

    /// Answers the one message that a body is.
    ///
    /// # Errors
    /// Nothing is done yet: the client wants to hear how far its call is.
    pub(super) async fn read<'b>(
        &mut self,
        principal: Arc<Principal>,
        body: &'b [u8],
    ) -> Result<Answer, Heard<'b>> {
        match &mut Envelope::parse(body) {
            Ok(envelope) => match stream::wanted(self, envelope) {
                None => Ok(self.message(principal, envelope).await),
                Some(wants) => Err(Heard { principal, wants }),
            },
            Err((error, id)) => Ok(Box::pin(self.nonsense(&principal, (*error).into(), *id)).await),
        }
    }

    /// A refusal of what is no message. It costs like one.
    pub(super) async fn nonsense(
        &mut self,
        principal: &Arc<Principal>,
        refusal: Refusal,
        id: Option<Id<'_>>,
    ) -> Answer {
        match self.charge(principal, None).await {
            Ok(_) => self.refused(&refusal, id),
            Err(over) => self.refused(&over, id),
        }
    }

    /// Answers any other method. A client of an older revision that begins with GET must find the challenge
    /// first; a modern one knows better (§6.3, ruling 7).
    pub(super) async fn other_method(&mut self, method: &HttpMethod) -> Answer {
        let answer = match self.admit_other(method).await {
            Ok(Some(principal)) if self.house().services.sessions.is_some() => {
                sessions::other_method(self, &principal, method).await
            }
            Ok(_) => Err(EdgeError::Method.into()),
            Err(refusal) => Err(refusal),
        };
        answer.unwrap_or_else(|refusal| self.refused(&refusal, None))
    }

    /// Who is calling, if it may be a client of an older revision.
    async fn admit_other(&mut self, method: &HttpMethod) -> Result<Option<Arc<Principal>>, Refusal> {
        self.guard()?;
        if !era::may_be_legacy(method, &self.headers) {
            return Ok(None);
        }
        self.check_size()?;
        let principal = self.identify().await?;
        self.charge(&principal, None).await?;
        Ok(Some(principal))
    }

    /// A refusal of this request.
    pub(super) fn refused(&self, refusal: &Refusal, id: Option<Id<'_>>) -> Answer {
        // What is over a limit is in the limiter's record, by the id that the limiter was shown.
        let known_as = if refusal.quota.is_some() { self.visit.request } else { self.record.id() };
        Answer::refused(refusal, id, known_as)
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
    pub(super) async fn admit_again(&mut self) -> Result<Arc<Principal>, Refusal> {
        self.guard()?;
        self.visit.epoch = self.house().services.epoch.now();
        let seen = self.authenticated((Timestamp::now(), Instant::now()), true).await?;
        self.record.principal(&seen.principal);
        Ok(seen.principal)
    }

    /// The same for another message of the request: a use of the credential of its own.
    pub(super) async fn admit_next_use(&mut self) -> Result<Arc<Principal>, Refusal> {
        self.guard()?;
        self.visit.epoch = self.house().services.epoch.now();
        let seen = self.authenticated((self.visit.time, self.visit.clock), false).await?;
        self.known(&seen);
        Ok(seen.principal)
    }

    /// Keeps who is calling, and whether by a key that has a successor.
    fn known(&mut self, seen: &Authenticated) {
        self.record.principal(&seen.principal);
        if let Some(rotated) = seen.rotated {
            let detail = serde_json::json!({ "deprecated": true, "successor": rotated.successor });
            self.record.detail(&detail);
            self.rotated = Some(rotated);
            self.house().metrics.deprecated_key();
        }
    }

    /// The rung of the headers' size: behind the method, before anything is made of them.
    fn check_size(&self) -> Result<(), EdgeError> {
        if self.headers.bytes > edge::MAX_HEADER_BYTES { Err(EdgeError::Headers) } else { Ok(()) }
    }

    /// Finds out who is calling, from headers alone; failures and first sights are recorded as what they are.
    ///
    /// Where many have failed, only a credential that this worker has verified is looked at: whoever shares
    /// an address with a flood of bad ones goes on, and no flood is verified.
    pub(super) async fn identify(&mut self) -> Result<Arc<Principal>, Refusal> {
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
        self.known(&seen);
        if let Some(unknown) = seen.first_sight {
            self.worker.first_sight(&self.record, &seen.principal, &unknown)?;
        }
        Ok(seen.principal)
    }

    /// Whether there is nothing to verify: no credential, or one that this worker has verified before.
    fn needs_no_look(&self) -> bool {
        self.credential().map_or(true, |credential| self.worker.cache.borrow().knows(credential))
    }

    /// Takes what this request costs its caller: the cost of `tool`, or one. What comes with success is to be
    /// held while the tool runs.
    pub(super) async fn charge(
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
        let credential = self.credential();
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
        // What could not be looked at has not failed.
        seen.inspect_err(|refusal| {
            if matches!(refusal.code.kind(), Kind::NoProof | Kind::FailedProof) {
                self.record.event(EventCode::AuthFailed);
            }
        })
    }

    /// What a call asks for: the tool, and the decision whether this caller may call it.
    fn sought(&self, principal: &Arc<Principal>, tool: &str) -> Option<Sought<'a>> {
        let entry = self.house().registry.find(tool)?;
        Some(Sought { entry, permit: policy::decide(principal, entry.needs()) })
    }

    /// The permit of `caller` for what takes `needs`; without one the record says which permission is missing.
    pub(super) fn permit<D>(&mut self, caller: &Arc<Principal>, needs: Permission) -> Option<Permit<D>> {
        policy::decide(caller, needs).inspect_err(|denied| _ = self.lacks(denied)).ok()
    }

    /// Records and counts what the caller lacks; gives its name.
    pub(super) fn lacks(&mut self, denied: &Denied) -> String {
        let missing = self.house().roles.catalogue().name(denied.missing).to_owned();
        self.record.denied(&missing);
        self.house().metrics.denial(&missing);
        missing
    }

    /// The rungs from the envelope on; its params are taken out of it.
    pub(super) async fn message(&mut self, principal: Arc<Principal>, envelope: &mut Envelope<'_>) -> Answer {
        let method = Method::named(&envelope.method);
        let own = method.map(Method::name);
        self.count.label(own.unwrap_or("other"));
        self.record.method(own, &envelope.method);
        let checked = match envelope.id {
            Some(_) => era::check(envelope, self.beside()).map(Some),
            None => era::check_notification(envelope, self.beside()).map(|()| None),
        };
        let sought = match &checked {
            Ok(Some(checked)) if !checked.tool.is_empty() => self.sought(&principal, &checked.tool),
            _ => None,
        };
        // A caller that may not call the tool pays as for any other request: it takes nothing from those who may.
        let price = sought.as_ref().filter(|sought| sought.permit.is_ok());
        let running = match self.charge(&principal, price.map(|sought| sought.entry.spec().name)).await {
            Ok(running) => running,
            Err(over) => return self.refused(&over, envelope.id),
        };
        let (id, Checked { revision, tool }) = match (envelope.id, checked) {
            (Some(id), Ok(Some(checked))) => (id, checked),
            (id, Err(refusal)) => return self.refused(&refusal, id),
            // No client notification asks for anything over HTTP: taken, and dropped (T13, G3).
            _ => return Answer::accepted(),
        };
        let answer = match method.filter(|method| method.is_in(revision)) {
            Some(method) => {
                let params = std::mem::take(&mut envelope.params);
                let mut asked = Asked { principal, id, revision, params, tool, sought, running };
                method.answer(self, &mut asked).await
            }
            None => {
                let shown = clean_name(&envelope.method);
                Err(Refusal::new(Code::UnknownMethod, format!("Method not found: {shown}")))
            }
        };
        answer.unwrap_or_else(|refusal| self.refused(&refusal.in_revision(revision), Some(id)))
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
