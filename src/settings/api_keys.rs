//! `[api_keys]`: how long keys live, and how one follows another.

use std::time::Duration;

use serde::Deserialize;

use super::{kind::Kind, schema::Key, units};

const DAY: Duration = Duration::from_secs(86_400);

/// The longest life of a key, days.
pub const MAX_EXPIRY_DAYS: u64 = 3_650;

/// The keys of `[api_keys]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "api_keys.default_expiry_days",
        Kind::Whole(1, MAX_EXPIRY_DAYS),
        "Life of a new API key unless asked otherwise, days, 1 to 3650.",
    ),
    Key::new(
        "api_keys.rotation_grace",
        Kind::Span(Duration::ZERO, DAY.saturating_mul(30)),
        "Time that a key lives on beside its successor, 0s to 30d.",
    ),
    Key::new(
        "api_keys.rotate_before",
        Kind::Span(Duration::ZERO, DAY.saturating_mul(MAX_EXPIRY_DAYS as u32)),
        "Time before its end from which a key may ask for its successor (POST /auth/key/rotate), 0s to 3650d.",
    ),
];

/// `[api_keys]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeysSettings {
    /// Life of a new key unless asked otherwise, days.
    pub default_expiry_days: u64,
    /// How long a key lives on beside its successor, at most 30 days.
    #[serde(deserialize_with = "units::read_duration")]
    pub rotation_grace: Duration,
    /// How long before its end a key may ask for its successor.
    #[serde(deserialize_with = "units::read_duration")]
    pub rotate_before: Duration,
}
