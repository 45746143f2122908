//! Failure classes as HTTP statuses. The one place that knows them.

use actix_web::http::StatusCode;

use crate::error::{Code, Kind};

/// The status of a refusal; classes that MCP answers with 200 keep that.
pub const fn status_of(code: Code) -> StatusCode {
    match code.kind() {
        Kind::Request => status_of_wrong_request(code),
        Kind::NoProof if matches!(code, Code::MalformedCredential) => StatusCode::BAD_REQUEST,
        Kind::NoProof | Kind::FailedProof => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Slow => StatusCode::REQUEST_TIMEOUT,
        Kind::Limited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Fault => StatusCode::OK,
    }
}

const fn status_of_wrong_request(code: Code) -> StatusCode {
    match code {
        Code::UnknownMethod | Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Code::UnknownTool | Code::UnknownResource | Code::UnknownPrompt | Code::InvalidParams => {
            StatusCode::OK
        }
        Code::AlreadyRotated | Code::RotationNotDue => StatusCode::CONFLICT,
        Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Outcome;

    #[test]
    fn every_class_has_the_status_and_the_outcome_of_the_contract() {
        for (code, status, outcome) in [
            (Code::MalformedCredential, 400, Outcome::Denied),
            (Code::ParseError, 400, Outcome::Error),
            (Code::InvalidRequest, 400, Outcome::Error),
            (Code::HeaderMismatch, 400, Outcome::Error),
            (Code::UnsupportedVersion, 400, Outcome::Error),
            (Code::MissingCapability, 400, Outcome::Error),
            (Code::UnknownMethod, 404, Outcome::Error),
            (Code::NotFound, 404, Outcome::Error),
            (Code::MethodNotAllowed, 405, Outcome::Error),
            (Code::NotAcceptable, 406, Outcome::Error),
            (Code::RequestTimeout, 408, Outcome::Timeout),
            (Code::UnknownTool, 200, Outcome::Error),
            (Code::UnknownResource, 200, Outcome::Error),
            (Code::UnknownPrompt, 200, Outcome::Error),
            (Code::InvalidParams, 200, Outcome::Error),
            (Code::MissingCredential, 401, Outcome::Denied),
            (Code::InvalidToken, 401, Outcome::Denied),
            (Code::ExpiredToken, 401, Outcome::Denied),
            (Code::RevokedToken, 401, Outcome::Denied),
            (Code::WrongTokenType, 401, Outcome::Denied),
            (Code::WrongAudience, 401, Outcome::Denied),
            (Code::UnknownIssuer, 401, Outcome::Denied),
            (Code::InvalidApiKey, 401, Outcome::Denied),
            (Code::AlreadyRotated, 409, Outcome::Error),
            (Code::RotationNotDue, 409, Outcome::Error),
            (Code::InvalidLogin, 401, Outcome::Denied),
            (Code::InsufficientScope, 403, Outcome::Denied),
            (Code::Forbidden, 403, Outcome::Denied),
            (Code::OriginForbidden, 403, Outcome::Denied),
            (Code::HostForbidden, 403, Outcome::Denied),
            (Code::BodyTooLarge, 413, Outcome::Error),
            (Code::UnsupportedMediaType, 415, Outcome::Error),
            (Code::HeadersTooLarge, 431, Outcome::Error),
            (Code::RateLimited, 429, Outcome::Limited),
            (Code::Overloaded, 503, Outcome::Failed),
            (Code::StoreUnavailable, 503, Outcome::Failed),
            (Code::AuditUnavailable, 503, Outcome::Failed),
            (Code::ShuttingDown, 503, Outcome::Failed),
            (Code::Internal, 200, Outcome::Failed),
        ] {
            assert_eq!((status_of(code).as_u16(), Outcome::of(code)), (status, outcome), "{code:?}");
        }
    }
}
