//! The audit record of one request: reserved before anything happens, written whatever happens.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};

use serde_json::Value;

use crate::{
    actors::audit::{AuditError, Lane, Receipt, Slot},
    domain::{AuditEvent, EventCode, Outcome, Principal, RequestId, Timestamp},
    edge::Field,
};

/// Longest user agent that a record keeps, bytes.
const MAX_AGENT: usize = 256;

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
    pub(super) fn open(lane: &Lane, id: RequestId) -> Result<Self, AuditError> {
        let slot = lane.reserve()?;
        let mut event = AuditEvent::new(Timestamp::now(), EventCode::RequestServed, Outcome::Cancelled);
        event.request_id = Some(id);
        Ok(Self { slot: Some(slot), event, started: Instant::now() })
    }

    /// Keeps what the request says of itself; `path` is one of ours.
    pub(super) fn describe(&mut self, path: &'static str, agent: Field<'_>, ip: Option<IpAddr>) {
        self.event.ip = ip;
        self.event.path = Some(Cow::Borrowed(path));
        if let Field::One(agent) = agent {
            let agent = String::from_utf8_lossy(agent.as_bytes());
            let kept = agent.get(..agent.floor_char_boundary(MAX_AGENT)).unwrap_or_default();
            self.event.truncated |= kept.len() < agent.len();
            self.event.user_agent = Some(kept.into());
        }
    }

    /// Keeps what it turned out to be.
    pub(super) fn event(&mut self, event: EventCode) {
        self.event.event = event;
    }

    /// Whether it is known what it turned out to be.
    pub(super) fn is_told(&self) -> bool {
        self.event.event != EventCode::RequestServed
    }

    /// Keeps what it turned out to be, unless that is known already.
    pub(super) fn event_unless_told(&mut self, event: EventCode) {
        if !self.is_told() {
            self.event.event = event;
        }
    }

    /// Takes it back: the request was over a limit, and the limiter records that.
    pub(super) fn withdraw(mut self) {
        self.slot = None;
    }

    /// Keeps who is calling, or whose credential was shown.
    pub(super) fn principal(&mut self, principal: Principal) {
        self.event.principal = Some(Arc::new(principal));
    }

    /// Keeps further members of the record: an object, without secrets.
    pub(super) fn detail(&mut self, detail: &Value) {
        self.event.detail = Some(detail.to_string().into());
    }

    /// Writes it, with how the request ended.
    pub(super) fn close(mut self, outcome: Outcome, reason: Option<&'static str>) -> Receipt {
        self.event.reason = reason;
        self.write(outcome).unwrap_or_default()
    }

    fn write(&mut self, outcome: Outcome) -> Option<Receipt> {
        let slot = self.slot.take()?;
        self.event.outcome = outcome;
        self.event.duration_us = u64::try_from(self.started.elapsed().as_micros()).ok();
        let spent = AuditEvent::new(self.event.time, self.event.event, outcome);
        Some(slot.write(std::mem::replace(&mut self.event, spent)))
    }
}

impl Drop for Record {
    /// The client left, or a panic came through: either way it is written down.
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { Outcome::Failed } else { Outcome::Cancelled };
        drop(self.write(outcome));
    }
}
