//! `[policy]`: what a caller learns about what it may not do.

use serde::Deserialize;

use super::{kind::Kind, schema::Key};

/// The keys of `[policy]`.
pub(super) const KEYS: &[Key] = &[Key::new(
    "policy.denied",
    Kind::OneOf(&["explain", "hide"]),
    "A call without permission: explain names what is missing, hide answers as for a tool that does \
         not exist.",
)];

/// `[policy]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// How a denied call is answered.
    pub denied: Denied,
}

/// How a denied call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Denied {
    /// With the name of the missing permission.
    Explain,
    /// As if the tool did not exist.
    Hide,
}
