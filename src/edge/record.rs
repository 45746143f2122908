//! The audit record of one request: its place is reserved before anything happens, and it is written
//! whatever happens, also when the client leaves first.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};

use serde_json::Map;

use super::Field;
use crate::{
    actors::audit::{AuditError, Lane, Receipt, Slot},
    domain::{AuditEvent, EventCode, Outcome, Principal, RequestId, Timestamp, WITHIN},
};

/// Longest user agent and path that a record keeps, bytes.
const MAX_TEXT: usize = 256;
/// Longest name of a method or a tool that a record keeps, bytes.
const MAX_NAME: usize = 128;

/// One request's record while the request runs. Dropping it writes it as cancelled.
#[derive(Debug)]
pub struct Record {
    slot: Option<Slot>,
    event: AuditEvent,
    id: RequestId,
    started: Instant,
}

impl Record {
    /// Reserves the place. From here on the record cannot fail to be written.
    ///
    /// # Errors
    /// [`AuditError`]: nothing can be recorded, so nothing may happen.
    pub fn open(
        lane: &Lane,
        id: RequestId,
        (time, started): (Timestamp, Instant),
    ) -> Result<Self, AuditError> {
        let slot = lane.reserve()?;
        let mut event = AuditEvent::new(time, EventCode::RequestServed, Outcome::Cancelled);
        event.request_id = Some(id);
        Ok(Self { slot: Some(slot), event, id, started })
    }

    /// Which request this is.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// When the request came, by the wall clock.
    pub fn time(&self) -> Timestamp {
        self.event.time
    }

    /// When the request came, by the clock that never jumps.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Keeps what the request says of itself.
    pub fn describe(&mut self, path: &str, agent: Field<'_>, ip: Option<IpAddr>) {
        self.event.ip = ip;
        if let Field::One(agent) = agent {
            let agent = String::from_utf8_lossy(agent.as_bytes());
            self.event.user_agent = Some(self.cut(&agent, MAX_TEXT).into());
        }
        self.event.path = Some(match path {
            "/mcp" => Cow::Borrowed("/mcp"),
            other => Cow::Owned(self.cut(other, MAX_TEXT).to_owned()),
        });
    }

    /// From where the request comes.
    pub fn address(&self) -> Option<IpAddr> {
        self.event.ip
    }

    /// Keeps more about it, beside what is kept already: an object, without secrets.
    pub fn detail(&mut self, detail: &serde_json::Value) {
        let kept = self.event.detail.take().and_then(|text| serde_json::from_str::<Map<_, _>>(&text).ok());
        let mut all = kept.unwrap_or_default();
        all.extend(detail.as_object().cloned().unwrap_or_default());
        self.event.detail = Some(serde_json::Value::Object(all).to_string().into());
    }

    /// Keeps that it came in a request of HTTP that is known as `request`.
    pub fn within(&mut self, request: RequestId) {
        self.detail(&serde_json::json!({ WITHIN: request.encode(&mut [0; 36]) }));
    }

    /// Keeps who is calling.
    pub fn principal(&mut self, principal: &Arc<Principal>) {
        self.event.principal = Some(Arc::clone(principal));
    }

    /// Keeps the method: `own` if it is one of ours, which is not copied, else what the client calls it.
    pub fn method(&mut self, own: Option<&'static str>, name: &str) {
        self.event.method = Some(match own {
            Some(own) => Cow::Borrowed(own),
            None => Cow::Owned(self.cut(name, MAX_NAME).to_owned()),
        });
    }

    /// Keeps what it turned out to be.
    pub fn event(&mut self, event: EventCode) {
        self.event.event = event;
    }

    /// Whether it is known what it turned out to be.
    pub fn is_told(&self) -> bool {
        self.event.event != EventCode::RequestServed
    }

    /// The request is a call of this tool of ours.
    pub fn tool(&mut self, tool: &'static str) {
        self.event.event = EventCode::ToolCalled;
        self.event.tool = Some(Cow::Borrowed(tool));
    }

    /// The request is a call of whatever it names so.
    pub fn tool_named(&mut self, name: &str) {
        self.event.event = EventCode::ToolCalled;
        self.event.tool = Some(Cow::Owned(self.cut(name, MAX_NAME).to_owned()));
    }

    /// Keeps the keyed digest of the arguments.
    pub fn arguments(&mut self, digest: [u8; 32]) {
        self.event.arguments_digest = Some(digest);
    }

    /// The caller lacked `permission`, whatever it was told.
    pub fn denied(&mut self, permission: &str) {
        self.event.event = EventCode::ToolDenied;
        self.event.missing = Some(permission.into());
    }

    /// Another record of the same request, before this one.
    pub fn beside(&self, event: EventCode) -> AuditEvent {
        AuditEvent { time: Timestamp::now(), event, outcome: Outcome::Ok, ..self.event.clone() }
    }

    /// Writes it, with how the request ended.
    pub fn close(mut self, outcome: Outcome, reason: Option<&'static str>) -> Receipt {
        self.event.reason = reason;
        self.write(outcome).unwrap_or_default()
    }

    /// Takes it back: the request was over a limit, and the limiter records that.
    pub fn withdraw(mut self) {
        self.slot = None;
    }

    fn write(&mut self, outcome: Outcome) -> Option<Receipt> {
        let slot = self.slot.take()?;
        self.event.outcome = outcome;
        self.event.duration_us = u64::try_from(self.started.elapsed().as_micros()).ok();
        let spent = AuditEvent::new(self.event.time, self.event.event, outcome);
        Some(slot.write(std::mem::replace(&mut self.event, spent)))
    }

    /// The first `most` bytes of `text`, or fewer so that no character is cut; the record says if that is
    /// not all of it.
    fn cut<'t>(&mut self, text: &'t str, most: usize) -> &'t str {
        self.event.truncated |= text.len() > most;
        text.get(..text.floor_char_boundary(most)).unwrap_or_default()
    }
}

impl Drop for Record {
    /// The client left, or a panic came through: either way it is written down.
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { Outcome::Failed } else { Outcome::Cancelled };
        drop(self.write(outcome));
    }
}
