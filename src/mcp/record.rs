//! The audit record of one request: its place is reserved before anything happens, and it is written
//! whatever happens, also when the client leaves first.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};

use actix_web::{HttpRequest, http::header};

use crate::{
    actors::audit::{AuditError, Lane, Receipt, Slot},
    domain::{AuditEvent, EventCode, Outcome, Principal, RequestId, Timestamp},
};

/// Longest user agent and path that a record keeps, bytes.
const MAX_TEXT: usize = 256;
/// Longest tool name that a record keeps, bytes.
const MAX_NAME: usize = 128;

/// One request's record while the request runs. Dropping it writes it as cancelled.
#[derive(Debug)]
pub(super) struct Record {
    slot: Option<Slot>,
    event: AuditEvent,
    started: Instant,
}

impl Record {
    /// Reserves the place. From here on the record cannot fail to be written.
    ///
    /// # Errors
    /// [`AuditError`]: nothing can be recorded, so nothing may happen.
    pub(super) fn open(lane: &Lane, id: RequestId, started: Instant) -> Result<Self, AuditError> {
        let slot = lane.reserve()?;
        let mut event = AuditEvent::new(Timestamp::now(), EventCode::RequestServed, Outcome::Cancelled);
        event.request_id = Some(id);
        Ok(Self { slot: Some(slot), event, started })
    }

    /// When the request came, by the wall clock.
    pub(super) fn time(&self) -> Timestamp {
        self.event.time
    }

    /// When the request came, by the clock that never jumps.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Keeps what the request says of itself.
    pub(super) fn describe(&mut self, request: &HttpRequest, ip: Option<IpAddr>) {
        self.event.ip = ip;
        let agent =
            request.headers().get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        self.event.user_agent = agent.map(|agent| cut(&agent, MAX_TEXT).into());
        self.event.path = Some(match request.path() {
            "/mcp" => Cow::Borrowed("/mcp"),
            other => Cow::Owned(cut(other, MAX_TEXT).to_owned()),
        });
    }

    /// Keeps who is calling.
    pub(super) fn principal(&mut self, principal: &Arc<Principal>) {
        self.event.principal = Some(Arc::clone(principal));
    }

    /// Keeps the method; a name of ours is not copied.
    pub(super) fn method(&mut self, method: &str) {
        self.event.method = Some(match super::dispatch::known_name(method) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(cut(method, MAX_NAME).to_owned()),
        });
    }

    /// The request is a call of this tool.
    pub(super) fn tool(&mut self, tool: Cow<'static, str>) {
        self.event.event = EventCode::ToolCalled;
        self.event.tool = Some(match tool {
            Cow::Borrowed(known) => Cow::Borrowed(known),
            Cow::Owned(text) => Cow::Owned(cut(&text, MAX_NAME).to_owned()),
        });
    }

    /// Keeps the keyed digest of the arguments.
    pub(super) fn arguments(&mut self, digest: [u8; 32]) {
        self.event.arguments_digest = Some(digest);
    }

    /// The caller lacked `permission`, whatever it was told.
    pub(super) fn denied(&mut self, permission: &str) {
        self.event.event = EventCode::ToolDenied;
        self.event.missing = Some(permission.into());
    }

    /// The credential was refused.
    pub(super) fn unauthenticated(&mut self) {
        self.event.event = EventCode::AuthFailed;
    }

    /// Another record of the same request, before this one.
    pub(super) fn beside(&self, event: EventCode) -> AuditEvent {
        AuditEvent { time: Timestamp::now(), event, outcome: Outcome::Ok, ..self.event.clone() }
    }

    /// Writes it, with how the request ended.
    pub(super) fn close(mut self, outcome: Outcome, reason: Option<&'static str>) -> Option<Receipt> {
        self.event.reason = reason;
        self.write(outcome)
    }

    fn write(&mut self, outcome: Outcome) -> Option<Receipt> {
        let slot = self.slot.take()?;
        self.event.outcome = outcome;
        self.event.duration_us = u64::try_from(self.started.elapsed().as_micros()).ok();
        let blank = AuditEvent::new(self.event.time, self.event.event, outcome);
        Some(slot.write(std::mem::replace(&mut self.event, blank)))
    }
}

impl Drop for Record {
    /// The client left, or a panic came through: either way it is written down.
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { Outcome::Failed } else { Outcome::Cancelled };
        drop(self.write(outcome));
    }
}

/// The first `most` bytes of `text`, or fewer so that no character is cut.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}
