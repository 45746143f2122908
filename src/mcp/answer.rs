//! How a request ended: the bytes for the client and the words for the record.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    body::BoxBody,
    http::{
        ConnectionType, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};

use super::refusal::Refusal;
use crate::{
    domain::{Outcome, RequestId, Rotated},
    edge::{self, Busy},
    error::{Code, Quota},
    house::{House, Place},
    protocol::Id,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Names the session that a request is in, or that its answer begins.
pub(super) const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Proxies that collect answers before they pass them on let this one through as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What an answer of events is made of.
pub(super) struct Events {
    /// The events.
    pub(super) body: BoxBody,
    /// Keeps what says that a handler runs, for as long as one does.
    pub(super) hold: Box<dyn FnOnce(Busy)>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events(..)")
    }
}

/// One answer: whole, or begun and told as events.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    events: Option<Box<Events>>,
    /// How the record says it ended.
    pub(super) outcome: Outcome,
    /// Why, if not well.
    pub(super) code: Option<Code>,
    /// The successor of the key that was shown.
    pub(super) rotated: Option<Rotated>,
    retry_after: Option<Duration>,
    /// `WWW-Authenticate` of a refusal, `Mcp-Session-Id` of a handshake.
    told: Option<Box<HeaderValue>>,
    quota: Option<Quota>,
    close: bool,
    /// The places of what is large in it.
    places: Vec<Place>,
}

impl Answer {
    /// A result.
    pub(super) fn ok(body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            events: None,
            outcome: Outcome::Ok,
            code: None,
            rotated: None,
            retry_after: None,
            told: None,
            quota: None,
            close: false,
            places: Vec::new(),
        }
    }

    /// A stream of events.
    pub(super) fn events(events: Events) -> Self {
        Self { events: Some(Box::new(events)), ..Self::ok(Vec::new()) }
    }

    /// A tool's own failure, which travels as a result.
    pub(super) fn failure(body: Vec<u8>, outcome: Outcome) -> Self {
        Self { outcome, ..Self::ok(body) }
    }

    /// A notification was taken: nothing to say (T12).
    pub(super) fn accepted() -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::ok(Vec::new()) }
    }

    /// It is done, and there is nothing to say.
    pub(super) fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, ..Self::ok(Vec::new()) }
    }

    /// Events, none of them: the client has said that it does not wait for an answer any more.
    pub(super) fn silence() -> Self {
        let answer = Self::events(Events { body: BoxBody::new(()), hold: Box::new(drop) });
        Self { outcome: Outcome::Cancelled, ..answer }
    }

    /// The same, beginning the session of that name.
    pub(super) fn in_session(mut self, name: &str) -> Self {
        self.told = HeaderValue::from_str(name).ok().map(Box::new);
        self
    }

    /// A refusal of the request `id`, as far as that is known.
    pub(super) fn refused(refusal: &Refusal, id: Option<Id<'_>>, request_id: RequestId) -> Self {
        Self {
            status: refusal.status,
            body: refusal.render(id, request_id),
            events: None,
            outcome: Outcome::of(refusal.code),
            code: Some(refusal.code),
            rotated: None,
            retry_after: refusal.retry_after,
            told: refusal.challenge.clone(),
            quota: refusal.quota,
            close: closes(refusal.code),
            places: Vec::new(),
        }
    }

    /// The same, whose body has these places.
    pub(super) fn in_places(mut self, places: impl IntoIterator<Item = Place>) -> Self {
        self.places.extend(places);
        self
    }

    /// Bytes of its body that have no place.
    pub(super) fn loose(&self) -> usize {
        if self.places.is_empty() { self.body.len() } else { 0 }
    }

    /// Bytes of its body.
    pub(super) fn size(&self) -> usize {
        self.body.len()
    }

    /// Its body and its places alone, as one of several answers.
    pub(super) fn take_body(&mut self, places: &mut Vec<Place>) -> Vec<u8> {
        places.append(&mut self.places);
        std::mem::take(&mut self.body)
    }

    /// Its body, its places, and what is told instead of a body.
    pub(super) fn into_parts(self) -> (Vec<u8>, Vec<Place>, Option<BoxBody>) {
        (self.body, self.places, self.events.map(|events| events.body))
    }

    /// Whether the caller was not let in, or not now: that is said in the status whatever the era.
    pub(super) fn turns_away(&self) -> bool {
        matches!(
            self.status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
        )
    }

    /// The same for several requests, of which `body` tells.
    pub(super) fn for_all(self, body: Vec<u8>, places: Vec<Place>) -> Self {
        Self { body, places, ..self }
    }

    /// Whether the limiter refused, which records that itself.
    pub(super) fn is_over_a_limit(&self) -> bool {
        self.quota.is_some()
    }

    /// The same, as the last one on its connection: whatever stands unread on it is not a request.
    pub(super) fn and_close(self) -> Self {
        Self { close: true, ..self }
    }

    /// As an HTTP response; `busy` says that a handler runs.
    pub(super) fn into_response(self, house: &House, request_id: RequestId, busy: Busy) -> HttpResponse {
        let is_events = self.events.is_some();
        let body = match self.events {
            Some(events) => {
                busy.tells();
                (events.hold)(busy);
                events.body
            }
            None if self.places.is_empty() => BoxBody::new(self.body),
            None => BoxBody::new(edge::Portions::of(self.body, self.places)),
        };
        let mut response = HttpResponse::with_body(self.status, body);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("authorization"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CONTENT_SECURITY_POLICY, edge::CONTENT_SECURITY);
        if let Ok(id) = HeaderValue::from_str(request_id.encode(&mut [0; 36])) {
            headers.insert(X_REQUEST_ID, id);
        }
        if house.over_tls {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, edge::STRICT_TRANSPORT);
        }
        if is_events {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        } else if !matches!(self.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in self.rotated.into_iter().flat_map(edge::deprecation) {
            headers.insert(name, value);
        }
        if let Some(code) = self.code {
            let challenge = self.told.as_deref().or_else(|| house.challenges.for_code(code));
            explain(headers, code, self.retry_after, challenge);
        } else if let Some(session) = self.told {
            headers.insert(MCP_SESSION_ID, *session);
        }
        if let Some(quota) = &self.quota {
            edge::tell_quota(headers, quota, self.retry_after.unwrap_or_default());
        }
        if self.close || house.is_leaving() {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        response
    }
}

/// Adds the headers that only refusals have.
fn explain(
    headers: &mut HeaderMap,
    code: Code,
    retry_after: Option<Duration>,
    challenge: Option<&HeaderValue>,
) {
    if let Some(challenge) = challenge {
        headers.insert(header::WWW_AUTHENTICATE, challenge.clone());
    }
    if let Some(wait) = retry_after {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
        );
    }
    if code == Code::MethodNotAllowed {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
}

/// Whether the connection ends with a refusal of this class: a body that was refused unread may be
/// endless, and a stopping server waits for nobody.
pub(super) const fn closes(code: Code) -> bool {
    matches!(code, Code::BodyTooLarge | Code::RequestTimeout | Code::HeadersTooLarge | Code::ShuttingDown)
}
