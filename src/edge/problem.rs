//! Refusals outside MCP: RFC 9457 problem details with the same `reason` as everywhere.

use std::{fmt, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde_json::json;

use super::{Busy, harden, status_of, tell_quota};
use crate::{
    domain::RequestId,
    error::{Code, Coded},
};

/// What the edge itself refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// `Host` is missing, doubled or not on the list.
    #[error("this host is not served here")]
    Host,
    /// `Origin` is not on the list.
    #[error("this origin may not call")]
    Origin,
    /// More than [`super::MAX_HEADER_BYTES`].
    #[error("the headers are larger than {} bytes", super::MAX_HEADER_BYTES)]
    Headers,
    /// Over the limit of the settings.
    #[error("the body is larger than {0} bytes")]
    Body(usize),
    /// The body did not arrive within its deadline.
    #[error("the body did not arrive in time")]
    Slow,
    /// The body broke off or its framing is wrong.
    #[error("the body could not be read")]
    Broken,
    /// Not `application/json`, or encoded.
    #[error("the body must be application/json, without Content-Encoding")]
    MediaType,
    /// The client takes neither JSON nor an event stream.
    #[error("answers are application/json or text/event-stream")]
    Accept,
    /// Another method than the path has.
    #[error("this path takes other methods")]
    Method,
    /// No such path.
    #[error("there is nothing here")]
    Path,
    /// The server is stopping.
    #[error("the server is stopping")]
    Closing,
}

impl Coded for EdgeError {
    fn code(&self) -> Code {
        match self {
            Self::Host => Code::HostForbidden,
            Self::Origin => Code::OriginForbidden,
            Self::Headers => Code::HeadersTooLarge,
            Self::Body(_) => Code::BodyTooLarge,
            Self::Slow => Code::RequestTimeout,
            Self::Broken => Code::InvalidRequest,
            Self::MediaType => Code::UnsupportedMediaType,
            Self::Accept => Code::NotAcceptable,
            Self::Method => Code::MethodNotAllowed,
            Self::Path => Code::NotFound,
            Self::Closing => Code::ShuttingDown,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Closing).then_some(Duration::from_secs(1))
    }
}

/// A failure on its way out. 4xx show the cause's `Display`; 5xx show nothing of it.
#[derive(Debug)]
pub struct HttpError {
    cause: Box<dyn Coded>,
    request_id: RequestId,
}

impl<E: Coded> From<E> for HttpError {
    fn from(cause: E) -> Self {
        Self { cause: Box::new(cause), request_id: RequestId::new() }
    }
}

impl HttpError {
    /// The answer to a request that has an id already.
    pub fn with_id(cause: impl Coded, request_id: RequestId) -> Self {
        Self { cause: Box::new(cause), request_id }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl ResponseError for HttpError {
    fn status_code(&self) -> StatusCode {
        problem_status(self.cause.code())
    }

    fn error_response(&self) -> HttpResponse {
        problem(&*self.cause, self.request_id)
    }
}

/// Outside MCP a fault of ours is a 500: there is no JSON-RPC body to say so.
fn problem_status(code: Code) -> StatusCode {
    match code {
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::InvalidParams | Code::UnknownTool | Code::UnknownResource | Code::UnknownPrompt => {
            StatusCode::BAD_REQUEST
        }
        other => status_of(other),
    }
}

/// Answers a path for which there is no handler.
///
/// # Errors
/// Always [`EdgeError::Path`].
pub async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let _busy = Busy::with(&request);
    Err(EdgeError::Path.into())
}

/// Answers a path that has a handler, for another method.
///
/// # Errors
/// Always [`EdgeError::Method`].
pub async fn other_method(request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let _busy = Busy::with(&request);
    Err(EdgeError::Method.into())
}

/// `cause` as problem details.
pub fn problem(cause: &dyn Coded, request_id: RequestId) -> HttpResponse {
    let status = problem_status(cause.code());
    let mut answer = HttpResponse::build(status);
    harden(&mut answer, request_id);
    if let Some(wait) = cause.retry_after() {
        answer.insert_header((header::RETRY_AFTER, wait.as_millis().div_ceil(1_000).to_string()));
    }
    answer.content_type("application/problem+json");
    let mut answer = answer.json(json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": status.is_client_error().then(|| cause.to_string()),
        "reason": cause.code().reason(),
        "request_id": request_id.to_string(),
    }));
    if let Some(quota) = cause.quota() {
        tell_quota(answer.headers_mut(), &quota, cause.retry_after().unwrap_or_default());
    }
    answer
}
