//! Whatever bytes come, the parsers that strangers reach neither panic nor hang nor let through what they must not.
//!
//! Each target mutates its corpus (`fuzz/corpus`) for `PORTCULLIS_FUZZ_SECONDS` seconds, one unless said
//! otherwise, and holds what comes out against an independent judge; `fuzz/README.md` says what was run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod batch;
mod credentials;
mod driver;
mod edge;
mod events;
mod json;
mod log;
mod mutator;
mod path;
mod sealed;
/// The one file that writes events, which is nobody's business outside of the server.
#[allow(dead_code, reason = "not all of it is used here")]
#[path = "../../src/mcp/events.rs"]
mod sse;
#[allow(dead_code, reason = "shared with tests/api; not all of it is used here")]
#[path = "../api/support/mod.rs"]
mod support;
/// Where that file looks for what it writes of.
use portcullis::tools;
