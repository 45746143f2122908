//! Failure classes as HTTP statuses. The one place that knows them.

use actix_web::http::StatusCode;

use crate::error::Code;

/// The status of a refusal; classes that MCP answers with 200 keep that.
pub const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::MalformedCredential
        | Code::ParseError
        | Code::InvalidRequest
        | Code::HeaderMismatch
        | Code::UnsupportedVersion
        | Code::MissingCapability => StatusCode::BAD_REQUEST,
        Code::UnknownMethod | Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Code::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Code::UnknownTool | Code::InvalidParams | Code::Internal => StatusCode::OK,
        Code::MissingCredential
        | Code::InvalidToken
        | Code::ExpiredToken
        | Code::RevokedToken
        | Code::WrongTokenType
        | Code::WrongAudience
        | Code::UnknownIssuer
        | Code::InvalidApiKey
        | Code::InvalidLogin => StatusCode::UNAUTHORIZED,
        Code::InsufficientScope | Code::Forbidden | Code::OriginForbidden | Code::HostForbidden => {
            StatusCode::FORBIDDEN
        }
        Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Overloaded | Code::StoreUnavailable | Code::AuditUnavailable | Code::ShuttingDown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
