//! The audit log: what happened, in order, on disk before anybody is told, and so written that a change
//! of it is found by somebody who does not trust us.
//!
//! Workers reserve a [`Slot`] in their [`Lane`] before something happens, write it when it has, and wait
//! on the [`Receipt`]. One actor takes what the lanes hold, chains it, writes it and has it on disk with
//! one `fdatasync` a batch. Lanes and the batch outlive the actor, so a panic loses and doubles nothing.
//!
//! On disk, below the data directory:
//! - `audit/<slot>/<first seq>-<day>.jsonl`: one record a line, each holding the hash of the one before.
//!   A slot is one process's chain; it is taken by a lock and gone on with by whoever takes it next.
//! - `audit/<slot>/<first seq>-<day>.rollup`: what counting a full segment came to, signed; see [`insight`].
//! - `audit/heads/<slot>.json`: the signed end of that chain after its last commit, so that a cut tail is
//!   found; a copy of it kept elsewhere is an anchor, which also finds a log put back to an older state.
//! - `keys/audit.key`, `keys/audit.pub`: the Ed25519 key that signs heads and checkpoint records.
//!
//! [`reader`] verifies and searches the log without any of this running; [`fleet`] brings it to the other servers of a
//! fleet, and theirs to us.

mod actor;
#[doc(hidden)]
pub mod bench;
mod config;
mod disk;
mod encode;
mod error;
pub mod fleet;
mod handle;
mod head;
mod home;
pub mod insight;
mod journal;
mod keys;
mod lane;
pub mod reader;
mod segment;
mod shared;
mod tail;
mod takeover;
mod text;
mod waiters;

#[cfg(test)]
mod tests;

pub use config::{AuditConfig, Durability};
pub use error::AuditError;
pub use handle::Audit;
pub use head::SignedHead;
pub use lane::{LANE_CAPACITY, Lane, Receipt, Slot};
pub use reader::{Filter, Follower, Record, Report, query, tail as tail_records, usage, verify};
pub use shared::{CommitHook, Status};
