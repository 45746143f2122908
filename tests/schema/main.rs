//! Every message that this server sends is what the published schema of its revision says.
//!
//! All tests of behaviour are judged by these schemas as they go along (`tests/api/support/judge.rs`); here every method
//! is asked in every revision, and it is shown that the judge finds faults. Needs what `tests/run` puts under
//! `target/clients/schemas`, and fails without it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod faults;
mod methods;
#[allow(dead_code, reason = "shared with tests/api; none uses all of it")]
#[path = "../api/support/mod.rs"]
mod support;

use support::schemas::Schemas;

/// The schemas, which must be there.
fn schemas() -> &'static Schemas {
    Schemas::find().expect("no schemas under target/clients/schemas: tests/run puts them there")
}
