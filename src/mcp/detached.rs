//! What clients of older revisions ask is done to its end, also if they hang up: with them that takes nothing
//! back (G17), unlike in the modern era (T14).

use std::{rc::Rc, sync::Arc};

use actix_web::{
    http::{Uri, header::HeaderMap},
    rt,
};
use bytes::Bytes;

use super::{answer::Answer, audience::Audience, exchange::Exchange, refusal::Refusal, via::Via};
use crate::{
    actors::limiter::Visit,
    domain::{Principal, Rotated},
    edge::{Headers, Record},
    error::Code,
    house::{Errand, Worker},
};

/// An exchange with all that it needs when its connection is gone.
pub(super) struct Detached {
    worker: Rc<Worker>,
    uri: Uri,
    headers: HeaderMap,
    visit: Visit<'static>,
    record: Record,
    rotated: Option<Rotated>,
    principal: Arc<Principal>,
    body: Bytes,
    audience: Option<Box<Audience>>,
    /// For one that goes on without its client.
    _errand: Option<Errand>,
}

/// Answers what stands in the body of `exchange`, in a task of its own that is bounded by the deadlines of
/// tools. Where all places for such tasks are taken, it ends with its connection, which bounds it too.
pub(super) async fn finish(exchange: Exchange<'_>, (principal, body): (Arc<Principal>, Bytes)) -> Answer {
    let Some(errand) = exchange.house().detached.begin() else {
        return exchange.finish(principal, &body).await;
    };
    let id = exchange.record.id();
    let detached = Detached::of(exchange, (principal, body), Some(errand));
    let ended = rt::spawn(detached.carry_out()).await;
    // A panic has left its record when the task was dropped.
    ended.unwrap_or_else(|_panic| Answer::refused(&Refusal::new(Code::Internal, "internal error"), None, id))
}

impl Detached {
    /// `exchange`, made independent of its request; with an `errand` it goes on without its client.
    pub(super) fn of(
        exchange: Exchange<'_>,
        (principal, body): (Arc<Principal>, Bytes),
        errand: Option<Errand>,
    ) -> Self {
        let Exchange { worker, via, visit, record, count, rotated, .. } = exchange;
        count.leave();
        let Visit { request, time, clock, ip, epoch, .. } = visit;
        let (uri, headers) = match via {
            Via::Http(uri, headers) => (uri.clone(), headers.clone()),
            // What comes as a line has no connection to be independent of.
            Via::Line(_) => Default::default(),
        };
        Self {
            worker: Rc::clone(worker),
            uri,
            headers,
            // There is no other path to this endpoint.
            visit: Visit { request, time, clock, ip, epoch, path: "/mcp" },
            record,
            rotated,
            principal,
            body,
            audience: None,
            _errand: errand,
        }
    }

    /// The same, of which `audience` hears before its answer.
    pub(super) fn before(self, audience: Audience) -> Self {
        Self { audience: Some(Box::new(audience)), ..self }
    }

    /// Answers what stands in its body.
    pub(super) async fn carry_out(self) -> Answer {
        let via = Via::Http(&self.uri, &self.headers);
        let mut exchange = Exchange::new(&self.worker, via, self.visit, self.record);
        exchange.headers = Headers::of(&self.headers);
        exchange.rotated = self.rotated;
        exchange.audience = self.audience.as_deref();
        exchange.finish(self.principal, &self.body).await
    }
}
