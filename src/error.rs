//! The closed classes of failure that every room shares; only `edge` and `mcp` turn them into a wire code.

use std::time::Duration;

/// What went wrong, seen from the caller's side: the `reason` of every refusal.
///
/// The set is closed and its words are API: tests, clients and alerts match on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Two header credentials, a token in the query, or a scheme that we do not speak.
    MalformedCredential,
    /// The body is not one JSON text within our bounds.
    ParseError,
    /// JSON, but not one well-formed request.
    InvalidRequest,
    /// A mirrored header is missing, doubled or differs from the body.
    HeaderMismatch,
    /// A protocol revision that we do not implement.
    UnsupportedVersion,
    /// The request needs a capability that the client did not declare.
    MissingCapability,
    /// No such MCP method.
    UnknownMethod,
    /// No such path.
    NotFound,
    /// The path exists, the HTTP method does not.
    MethodNotAllowed,
    /// The client accepts neither of our media types.
    NotAcceptable,
    /// The body did not arrive in time.
    RequestTimeout,
    /// No such tool, or none that this caller may know of.
    UnknownTool,
    /// No such resource, or none that this caller may know of.
    UnknownResource,
    /// No such prompt, or none that this caller may know of.
    UnknownPrompt,
    /// The params of a known method do not fit.
    InvalidParams,
    /// No credential at all.
    MissingCredential,
    /// A token that does not verify.
    InvalidToken,
    /// A token past its end.
    ExpiredToken,
    /// A token that was taken back.
    RevokedToken,
    /// A token of another type, for example a refresh token.
    WrongTokenType,
    /// A token for somebody else's resource.
    WrongAudience,
    /// A token of an issuer that we do not trust.
    UnknownIssuer,
    /// An API key that is unknown, over or revoked: one word for all of them.
    InvalidApiKey,
    /// The key has a successor already.
    AlreadyRotated,
    /// The key is too far from its end to be given a successor.
    RotationNotDue,
    /// The username or the password is wrong, or the account is disabled: one word for all of them.
    InvalidLogin,
    /// A token that is narrower than its account: one with more scope could do it.
    InsufficientScope,
    /// A known caller that may not do this.
    Forbidden,
    /// The `Origin` is not on the list.
    OriginForbidden,
    /// The `Host` is not on the list.
    HostForbidden,
    /// The body is over the limit.
    BodyTooLarge,
    /// Not JSON, or encoded.
    UnsupportedMediaType,
    /// The headers are over the limit.
    HeadersTooLarge,
    /// A bucket is empty: the caller, its address or the tool has had its share for now.
    RateLimited,
    /// A bounded queue is full.
    Overloaded,
    /// The store cannot answer, or revocations may be stale.
    StoreUnavailable,
    /// Nothing can record what would happen, so it does not happen.
    AuditUnavailable,
    /// The server is stopping.
    ShuttingDown,
    /// Our fault.
    Internal,
}

impl Code {
    /// Every class.
    pub const ALL: [Self; 39] = [
        Self::MalformedCredential,
        Self::ParseError,
        Self::InvalidRequest,
        Self::HeaderMismatch,
        Self::UnsupportedVersion,
        Self::MissingCapability,
        Self::UnknownMethod,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::UnknownTool,
        Self::UnknownResource,
        Self::UnknownPrompt,
        Self::InvalidParams,
        Self::MissingCredential,
        Self::InvalidToken,
        Self::ExpiredToken,
        Self::RevokedToken,
        Self::WrongTokenType,
        Self::WrongAudience,
        Self::UnknownIssuer,
        Self::InvalidApiKey,
        Self::AlreadyRotated,
        Self::RotationNotDue,
        Self::InvalidLogin,
        Self::InsufficientScope,
        Self::Forbidden,
        Self::OriginForbidden,
        Self::HostForbidden,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::HeadersTooLarge,
        Self::RateLimited,
        Self::Overloaded,
        Self::StoreUnavailable,
        Self::AuditUnavailable,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// The stable word for this class, as it stands in `data.reason`, problem details and audit records.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::MalformedCredential => "malformed_credential",
            Self::ParseError => "parse_error",
            Self::InvalidRequest => "invalid_request",
            Self::HeaderMismatch => "header_mismatch",
            Self::UnsupportedVersion => "unsupported_version",
            Self::MissingCapability => "missing_capability",
            Self::UnknownMethod => "unknown_method",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::RequestTimeout => "request_timeout",
            Self::UnknownTool => "unknown_tool",
            Self::UnknownResource => "unknown_resource",
            Self::UnknownPrompt => "unknown_prompt",
            Self::InvalidParams => "invalid_params",
            Self::MissingCredential => "missing_credential",
            Self::InvalidToken => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::RevokedToken => "revoked_token",
            Self::WrongTokenType => "wrong_token_type",
            Self::WrongAudience => "wrong_audience",
            Self::UnknownIssuer => "unknown_issuer",
            Self::InvalidApiKey => "invalid_api_key",
            Self::AlreadyRotated => "already_rotated",
            Self::RotationNotDue => "rotation_not_due",
            Self::InvalidLogin => "invalid_login",
            Self::InsufficientScope => "insufficient_scope",
            Self::Forbidden => "forbidden",
            Self::OriginForbidden => "origin_forbidden",
            Self::HostForbidden => "host_forbidden",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::StoreUnavailable => "store_unavailable",
            Self::AuditUnavailable => "audit_unavailable",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }
}

/// What a class of failure says of whoever is refused: statuses, records, challenges and charges go by it.
///
/// Each class is put into its kind once, in [`Code::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong: the same one will be refused again.
    Request,
    /// The body took too long.
    Slow,
    /// No credential that could be looked at.
    NoProof,
    /// A credential was looked at and does not hold; whoever shows it has failed.
    FailedProof,
    /// A known caller, page or host that may not.
    Forbidden,
    /// Too much, for now.
    Limited,
    /// We cannot do it at present; the same request may be done later.
    Unavailable,
    /// Our fault.
    Fault,
}

impl Code {
    /// The kind of this class.
    pub const fn kind(self) -> Kind {
        match self {
            Self::ParseError
            | Self::InvalidRequest
            | Self::HeaderMismatch
            | Self::UnsupportedVersion
            | Self::MissingCapability
            | Self::UnknownMethod
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::NotAcceptable
            | Self::UnknownTool
            | Self::UnknownResource
            | Self::UnknownPrompt
            | Self::InvalidParams
            | Self::AlreadyRotated
            | Self::RotationNotDue
            | Self::BodyTooLarge
            | Self::UnsupportedMediaType
            | Self::HeadersTooLarge => Kind::Request,
            Self::RequestTimeout => Kind::Slow,
            Self::MissingCredential | Self::MalformedCredential => Kind::NoProof,
            Self::InvalidToken
            | Self::ExpiredToken
            | Self::RevokedToken
            | Self::WrongTokenType
            | Self::WrongAudience
            | Self::UnknownIssuer
            | Self::InvalidApiKey
            | Self::InvalidLogin => Kind::FailedProof,
            Self::InsufficientScope | Self::Forbidden | Self::OriginForbidden | Self::HostForbidden => {
                Kind::Forbidden
            }
            Self::RateLimited => Kind::Limited,
            Self::Overloaded | Self::StoreUnavailable | Self::AuditUnavailable | Self::ShuttingDown => {
                Kind::Unavailable
            }
            Self::Internal => Kind::Fault,
        }
    }

    /// Whether a credential was shown, looked at, and does not hold: its address pays for that.
    pub const fn is_failed_proof(self) -> bool {
        matches!(self.kind(), Kind::FailedProof)
    }
}

/// An error that knows its [`Code`]. Each room's error enum implements it.
pub trait Coded: std::error::Error + Send + Sync + 'static {
    /// The class of this failure.
    fn code(&self) -> Code;

    /// How long the caller does well to wait before it tries again, where that helps.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// The limit that was reached, if that is the failure.
    fn quota(&self) -> Option<Quota> {
        None
    }
}

/// A limit as callers are told of it, in the fields of draft-ietf-httpapi-ratelimit-headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Whose it is: `address`, `user`, `key` or `tool`.
    pub name: &'static str,
    /// Most calls at once.
    pub capacity: u64,
    /// Seconds in which all of them come back, rounded up.
    pub window_secs: u64,
    /// Calls that are left.
    pub remaining: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_classes_is_whole() {
        let words = include_str!("error.rs").lines().filter(|line| line.contains(" => \"")).count();
        let mut all = Code::ALL.to_vec();
        all.sort();
        all.dedup();
        assert_eq!((all.len(), Code::ALL.len()), (words, words), "a class is not in the list");
    }
}
