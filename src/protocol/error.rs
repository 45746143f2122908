//! What can be wrong with a body; one byte, so that the reader's results travel in registers.

use crate::error::{Code, Coded};

/// A request that is not what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Bytes that are no text.
    #[error("the body is not UTF-8")]
    Encoding,
    /// A mark that JSON does not have (RFC 8259 §8.1).
    #[error("the body starts with a byte order mark")]
    Mark,
    /// Not one JSON text.
    #[error("the body is not valid JSON")]
    Grammar,
    /// Deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("the body is nested too deeply")]
    Depth,
    /// More than [`MAX_NODES`](super::MAX_NODES).
    #[error("the body holds too many values")]
    Count,
    /// Without its closing quote.
    #[error("a string does not end")]
    OpenString,
    /// Below U+0020.
    #[error("a string holds a control character")]
    Control,
    /// A backslash before something else than an escape.
    #[error("a string holds a broken escape")]
    Escape,
    /// Readers disagree about what it is (RFC 8259 §8.2).
    #[error("a string holds half a surrogate pair")]
    Surrogate,
    /// Beyond what a double can hold.
    #[error("a number is out of range")]
    Number,
    /// Another kind of JSON.
    #[error("the body must be one JSON object")]
    Kind,
    /// Params by position, or none at all.
    #[error("params and _meta must be objects")]
    Params,
    /// Two readers may disagree about which one counts.
    #[error("a member stands twice")]
    Doubled,
    /// Two readers may disagree about whether it is the known one.
    #[error("a member differs from a known one only by case or control characters")]
    Variant,
    /// Not JSON-RPC 2.0.
    #[error("jsonrpc must be \"2.0\"")]
    Version,
    /// Not an id that every client can hold.
    #[error("id must be an integer within ±(2^53 − 1) or a string of at most 128 bytes")]
    Id,
    /// None, or too many.
    #[error("a batch holds 1 to 50 messages")]
    Messages,
    /// Only one revision has batches.
    #[error("only requests of revision 2025-03-26 stand in batches")]
    Batch,
    /// Neither a request nor a notification.
    #[error("a response was posted to which no question of this server belongs")]
    Response,
    /// No method, or one that is no text.
    #[error("method must be a string")]
    Method,
}

impl Coded for WireError {
    fn code(&self) -> Code {
        match self {
            Self::Encoding
            | Self::Mark
            | Self::Grammar
            | Self::Depth
            | Self::Count
            | Self::OpenString
            | Self::Control
            | Self::Escape
            | Self::Surrogate
            | Self::Number => Code::ParseError,
            Self::Kind
            | Self::Params
            | Self::Doubled
            | Self::Variant
            | Self::Version
            | Self::Id
            | Self::Messages
            | Self::Batch
            | Self::Response
            | Self::Method => Code::InvalidRequest,
        }
    }
}
