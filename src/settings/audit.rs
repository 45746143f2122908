//! `[audit]`: when a record counts as written.

use serde::Deserialize;

use super::{kind::Kind, schema::Key};

/// The keys of `[audit]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "audit.durability",
        Kind::OneOf(&["durable", "buffered"]),
        "durable: a reply leaves after its record is on disk; buffered: it does not wait, and a power \
         failure loses the last records.",
    ),
    Key::new(
        "audit.checkpoint_every",
        Kind::Whole(1, 1_000_000),
        "Records between two signed checkpoints, 1 to 1000000.",
    ),
];

/// `[audit]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// Whether a reply waits for its record.
    pub durability: Durability,
    /// Records between two signed checkpoints, 1 to 1 000 000.
    pub checkpoint_every: u64,
}

/// Whether a reply waits for its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// It leaves after its record is on disk.
    Durable,
    /// It does not wait.
    Buffered,
}
