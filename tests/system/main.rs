//! The built binary, driven from outside: its promises under kill -9, failing disks, panicking actors and signals.
//!
//! `PORTCULLIS_BIN` names another binary than the one cargo built for this run (the release build, say);
//! `PORTCULLIS_FULL=1` runs the long versions. Everything that a server or a verb prints is kept under
//! `target/test-output`, and every secret is noted there, so that `tests/run` can look for leaks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod actor_faults;
mod caller;
mod cells;
mod cost;
mod disk_full;
mod disk_held;
mod durable;
mod files;
mod home;
mod hostile;
mod keys;
mod kill;
mod load;
mod main_job;
mod many_keys;
mod memory;
mod output;
mod process;
mod raw;
mod records;
mod refusals;
mod revocation;
mod server;
mod sessions;
mod shortage;
mod signing;
mod slow;
mod station;
mod stop;
mod strace;
mod streams;
mod unread;
