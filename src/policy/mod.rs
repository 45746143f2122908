//! The one decision: who may do what. Pure: no clock, no I/O, no HTTP.
//!
//! Lists, calls and the command line's `explain` all ask [`decide`], so what is listed is callable
//! and what is not callable is not listed.

mod permit;
mod roles;
mod standing;

#[cfg(test)]
pub(crate) use permit::permit_for_tests;
pub use permit::{CallTool, Denied, GetPrompt, Permit, ReadResource, decide};
pub use roles::{Grant, InvalidRoles, RoleRule, Roles};
pub use standing::{Account, Disabled, Standing, standing};
