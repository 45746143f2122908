//! The whole server from outside its sockets: one server a test, raw bytes in, answers and records out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod accounts;
mod api_keys;
mod asking;
mod asking_elsewhere;
mod batches;
mod calls;
mod changes;
mod completion;
mod confirming;
mod denied;
mod draining;
mod eras;
mod eras_apart;
mod faults;
mod files;
mod fleet;
mod fleet_audit;
mod fleet_audit_lost;
mod fleet_damaged;
mod fleet_faults;
mod fleet_limits;
mod fleet_lost;
mod fleet_sessions;
mod fleet_sessions_ask;
mod hang_ups;
mod key_rotation;
mod ladder;
mod large;
mod limits;
mod listen;
mod lists;
mod login;
mod mirrored;
#[allow(dead_code, reason = "shared with tests/store_contract.rs; neither uses all of it")]
#[path = "../nodes/mod.rs"]
mod nodes;
mod own_tool;
mod pages;
mod pictures;
mod prompts;
mod rates;
#[allow(unreachable_pub, reason = "shown in the README as a file of its own crate")]
mod readme_tool;
mod refresh;
mod refusals;
mod regressions;
mod resources;
mod revocation;
mod security_audit;
mod sessions;
mod sessions_ask;
mod sessions_ask_again;
mod sessions_resume;
mod signing;
mod stdio;
mod stdio_ends;
mod store_copy;
mod store_loss;
mod streams;
#[allow(dead_code, reason = "shared with tests/attacks; neither uses all of it")]
mod support;
mod surroundings;
mod tasks;
mod tasks_end;
mod tls;
mod users_cli;
