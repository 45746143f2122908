//! One test a row of the table of attacks, each with the exact answer; `README.md` maps rows to tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod audit;
mod config;
mod credentials;
mod files;
mod http;
mod hygiene;
mod jwt;
mod keys;
mod logins;
mod map;
mod mcp;
mod rates;
mod reasons;
mod review;
mod sessions;
mod signing;
mod smuggling;
mod stdio;
mod streams;
#[allow(dead_code, reason = "shared with tests/api; neither uses all of it")]
#[path = "../api/support/mod.rs"]
mod support;
mod tasks;
