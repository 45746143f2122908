//! MCP on the wire: JSON-RPC envelopes, `_meta`, mirrored headers. Pure; borrowed where it is hot.

mod batch;
mod content;
mod envelope;
mod error;
mod icon;
mod level;
mod object;
mod params;
mod raw;
mod reader;
pub mod render;
mod revision;
mod sentinel;
mod text;
mod trace;
mod tree;

pub use batch::{Batch, begins as begins_batch};
pub use content::{Content, Link, Resource, ResourceBody};
pub use envelope::{Envelope, Id};
pub use error::WireError;
pub use icon::Icon;
pub use level::LogLevel;
pub use params::{Meta, Params, Rare};
pub use raw::Raw;
pub use reader::{MAX_DEPTH, MAX_NODES};
pub use render::Dress;
pub use revision::{MODERN, MODERN_ONLY, Revision, SUPPORTED};
pub use sentinel::decode as decode_header;
pub use trace::Trace;
pub use tree::{Children, Kind, Members, Node, Tree};

/// JSON-RPC and MCP error codes (specification, `basic/index`), and ours outside the reserved range.
pub mod code {
    /// The body is not JSON.
    pub const PARSE_ERROR: i32 = -32_700;
    /// Not one well-formed request.
    pub const INVALID_REQUEST: i32 = -32_600;
    /// No such method.
    pub const METHOD_NOT_FOUND: i32 = -32_601;
    /// The params do not fit, or no such tool.
    pub const INVALID_PARAMS: i32 = -32_602;
    /// No such resource, for older revisions only (M12).
    pub const RESOURCE_NOT_FOUND: i32 = -32_002;
    /// Our fault.
    pub const INTERNAL_ERROR: i32 = -32_603;
    /// A mirrored header is missing or differs from the body.
    pub const HEADER_MISMATCH: i32 = -32_020;
    /// The client did not declare a capability that the call needs.
    pub const MISSING_CAPABILITY: i32 = -32_021;
    /// A revision that we do not implement.
    pub const UNSUPPORTED_VERSION: i32 = -32_022;
    /// No credential, or one that does not hold.
    pub const UNAUTHENTICATED: i32 = -31_401;
    /// A known caller that may not.
    pub const FORBIDDEN: i32 = -31_403;
    /// Too many requests.
    pub const RATE_LIMITED: i32 = -31_429;
    /// Try again later.
    pub const UNAVAILABLE: i32 = -31_503;
}
