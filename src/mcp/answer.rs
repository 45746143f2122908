//! How a request ended: the bytes for the client and the words for the record.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};

use super::refusal::Refusal;
use crate::{
    auth::Challenges,
    domain::{Outcome, RequestId},
    edge,
    error::{Code, Quota},
    protocol::Id,
};

/// One answer, whole.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    /// How the record says it ended.
    pub(super) outcome: Outcome,
    /// Why, if not well.
    pub(super) code: Option<Code>,
    retry_after: Option<std::time::Duration>,
    quota: Option<Quota>,
    close: bool,
}

impl Answer {
    /// A result.
    pub(super) fn ok(body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            outcome: Outcome::Ok,
            code: None,
            retry_after: None,
            quota: None,
            close: false,
        }
    }

    /// A tool's own failure, which travels as a result.
    pub(super) fn failure(body: Vec<u8>, outcome: Outcome) -> Self {
        Self { outcome, ..Self::ok(body) }
    }

    /// A notification was taken: nothing to say (T12).
    pub(super) fn accepted() -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::ok(Vec::new()) }
    }

    /// A refusal of the request `id`, as far as that is known.
    pub(super) fn refused(refusal: &Refusal, id: Option<Id<'_>>, request_id: RequestId) -> Self {
        Self {
            status: refusal.status,
            body: refusal.render(id, request_id),
            outcome: outcome_of(refusal.code),
            code: Some(refusal.code),
            retry_after: refusal.retry_after,
            quota: refusal.quota,
            close: closes(refusal.code),
        }
    }

    /// The same, as the last one on its connection: whatever stands unread on it is not a request.
    pub(super) fn and_close(self) -> Self {
        Self { close: true, ..self }
    }

    /// As an HTTP response.
    pub(super) fn into_response(self, challenges: &Challenges, request_id: RequestId) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .insert_header((header::VARY, HeaderValue::from_static("authorization")))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
            .insert_header((header::CONTENT_SECURITY_POLICY, edge::CONTENT_SECURITY));
        if let Ok(id) = HeaderValue::from_str(&request_id.to_string()) {
            response.insert_header((header::HeaderName::from_static("x-request-id"), id));
        }
        if let Some(code) = self.code {
            self.explain(&mut response, code, challenges);
        }
        if self.close {
            response.force_close();
        }
        if self.status == StatusCode::ACCEPTED {
            return response.finish();
        }
        response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        response.body(self.body)
    }

    /// The headers that only refusals have.
    fn explain(&self, response: &mut actix_web::HttpResponseBuilder, code: Code, challenges: &Challenges) {
        if let Some(challenge) = challenges.for_code(code) {
            response.insert_header((header::WWW_AUTHENTICATE, challenge.clone()));
        }
        if let Some(wait) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, wait.as_millis().div_ceil(1_000).to_string()));
        }
        if let Some(quota) = &self.quota {
            edge::tell_quota(response, quota, self.retry_after.unwrap_or_default());
        }
        if code == Code::MethodNotAllowed {
            response.insert_header((header::ALLOW, HeaderValue::from_static("POST")));
        }
    }
}

/// Whether the connection ends with a refusal of this class: a body that was refused unread may be
/// endless, and a stopping server waits for nobody.
pub(super) const fn closes(code: Code) -> bool {
    matches!(code, Code::BodyTooLarge | Code::RequestTimeout | Code::HeadersTooLarge | Code::ShuttingDown)
}

/// How the record says that a refusal of this class ended.
const fn outcome_of(code: Code) -> Outcome {
    match code {
        Code::MissingCredential
        | Code::InvalidToken
        | Code::ExpiredToken
        | Code::RevokedToken
        | Code::WrongTokenType
        | Code::WrongAudience
        | Code::UnknownIssuer
        | Code::InvalidApiKey
        | Code::MalformedCredential
        | Code::Forbidden
        | Code::OriginForbidden
        | Code::HostForbidden => Outcome::Denied,
        Code::RateLimited => Outcome::Limited,
        Code::RequestTimeout => Outcome::Timeout,
        Code::Overloaded
        | Code::StoreUnavailable
        | Code::AuditUnavailable
        | Code::ShuttingDown
        | Code::Internal => Outcome::Failed,
        _ => Outcome::Error,
    }
}
