//! Failure classes as JSON-RPC errors: the one renderer of this room.

use std::{borrow::Cow, time::Duration};

use actix_web::http::{StatusCode, header::HeaderValue};
use serde_json::{Map, Value};

use crate::{
    domain::RequestId,
    edge::status_of,
    error::{Code, Coded, Kind, Quota},
    protocol::{
        Id, Revision, code,
        render::{self, ErrorData},
    },
};

/// A request that is not done, on its way to becoming a JSON-RPC error.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The class.
    pub(super) code: Code,
    /// What a person reads.
    pub(super) message: Cow<'static, str>,
    /// Further members of `data`.
    pub(super) data: Map<String, Value>,
    /// The wait that helps.
    pub(super) retry_after: Option<Duration>,
    /// `WWW-Authenticate`, where it is not that of the class.
    pub(super) challenge: Option<Box<HeaderValue>>,
    /// The limit that was reached.
    pub(super) quota: Option<Quota>,
    /// The status, where it is not that of the class.
    pub(super) status: StatusCode,
    /// Whether it is for a client of an older revision.
    pub(super) is_legacy: bool,
}

impl Refusal {
    /// A refusal of `code`, said in `message`.
    pub(super) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let status = status_of(code);
        Self {
            code,
            message: message.into(),
            data: Map::new(),
            retry_after: None,
            challenge: None,
            quota: None,
            status,
            is_legacy: false,
        }
    }

    /// With another member of `data`.
    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.data.insert(name.to_owned(), value);
        self
    }

    /// With 400, where the class alone would be 200: a request that breaks the protocol itself.
    pub(super) fn with_bad_request(mut self) -> Self {
        self.status = StatusCode::BAD_REQUEST;
        self
    }

    /// As a client of `revision` is told it: for older ones an error of JSON-RPC is no error of HTTP (G12), and
    /// no code is one that they would read as a sign of the modern era.
    pub(super) fn in_revision(self, revision: Revision) -> Self {
        if revision.is_modern() {
            return self;
        }
        let is_of_rpc = matches!(
            self.code,
            Code::ParseError
                | Code::InvalidRequest
                | Code::HeaderMismatch
                | Code::UnsupportedVersion
                | Code::MissingCapability
                | Code::UnknownMethod
        );
        let class = match self.code {
            Code::HeaderMismatch | Code::UnsupportedVersion | Code::MissingCapability => Code::InvalidRequest,
            class => class,
        };
        let status = if is_of_rpc { StatusCode::OK } else { self.status };
        Self { code: class, status, is_legacy: true, ..self }
    }

    /// The answer's body.
    pub(super) fn render(&self, id: Option<Id<'_>>, request_id: RequestId) -> Vec<u8> {
        let wait = self.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let mut text = [0; 36];
        let data = ErrorData {
            reason: self.code.reason(),
            request_id: request_id.encode(&mut text),
            retry_after_ms: wait,
            more: &self.data,
        };
        let code = match self.code {
            Code::UnknownResource if self.is_legacy => code::RESOURCE_NOT_FOUND,
            class => rpc_code(class),
        };
        render::error(id, code, &self.message, data)
    }
}

/// 4xx show what the cause says of itself; faults of ours say nothing of what is inside.
impl<E: Coded> From<E> for Refusal {
    fn from(cause: E) -> Self {
        let code = cause.code();
        let message = match code {
            Code::Internal => Cow::Borrowed("internal error"),
            Code::Overloaded => Cow::Borrowed("the server is overloaded, try again"),
            Code::StoreUnavailable => Cow::Borrowed("the store is unavailable, try again"),
            Code::AuditUnavailable => Cow::Borrowed("nothing can be recorded right now, so nothing is done"),
            _ => Cow::Owned(cause.to_string()),
        };
        Self { retry_after: cause.retry_after(), quota: cause.quota(), ..Self::new(code, message) }
    }
}

/// The JSON-RPC code of a class (specification `basic/index`; ours outside the reserved range, M13).
const fn rpc_code(class: Code) -> i32 {
    match class.kind() {
        Kind::Request => rpc_code_of_wrong_request(class),
        Kind::Slow => code::METHOD_NOT_FOUND,
        Kind::NoProof if matches!(class, Code::MalformedCredential) => code::INVALID_REQUEST,
        Kind::NoProof | Kind::FailedProof => code::UNAUTHENTICATED,
        Kind::Forbidden => code::FORBIDDEN,
        Kind::Limited => code::RATE_LIMITED,
        Kind::Unavailable => code::UNAVAILABLE,
        Kind::Fault => code::INTERNAL_ERROR,
    }
}

const fn rpc_code_of_wrong_request(class: Code) -> i32 {
    match class {
        Code::ParseError => code::PARSE_ERROR,
        Code::HeaderMismatch => code::HEADER_MISMATCH,
        Code::UnsupportedVersion => code::UNSUPPORTED_VERSION,
        Code::MissingCapability => code::MISSING_CAPABILITY,
        Code::UnknownMethod | Code::NotFound | Code::MethodNotAllowed | Code::NotAcceptable => {
            code::METHOD_NOT_FOUND
        }
        Code::UnknownTool | Code::UnknownResource | Code::UnknownPrompt | Code::InvalidParams => {
            code::INVALID_PARAMS
        }
        _ => code::INVALID_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_the_code_of_the_contract() {
        for (classes, code) in [
            (&[Code::MalformedCredential, Code::InvalidRequest, Code::BodyTooLarge][..], -32600),
            (&[Code::UnsupportedMediaType, Code::HeadersTooLarge], -32600),
            (&[Code::ParseError], -32700),
            (&[Code::HeaderMismatch], -32020),
            (&[Code::UnsupportedVersion], -32022),
            (&[Code::MissingCapability], -32021),
            (&[Code::UnknownMethod, Code::NotFound, Code::MethodNotAllowed], -32601),
            (&[Code::NotAcceptable, Code::RequestTimeout], -32601),
            (&[Code::UnknownTool, Code::InvalidParams], -32602),
            (&[Code::UnknownResource, Code::UnknownPrompt], -32602),
            (&[Code::MissingCredential, Code::InvalidToken, Code::ExpiredToken], -31401),
            (&[Code::RevokedToken, Code::WrongTokenType, Code::WrongAudience], -31401),
            (&[Code::UnknownIssuer, Code::InvalidApiKey, Code::InvalidLogin], -31401),
            (&[Code::InsufficientScope, Code::Forbidden], -31403),
            (&[Code::OriginForbidden, Code::HostForbidden], -31403),
            (&[Code::RateLimited], -31429),
            (&[Code::Overloaded, Code::StoreUnavailable], -31503),
            (&[Code::AuditUnavailable, Code::ShuttingDown], -31503),
            (&[Code::Internal], -32603),
        ] {
            for class in classes {
                assert_eq!(rpc_code(*class), code, "{class:?}");
            }
        }
    }
}
