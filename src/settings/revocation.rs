//! `[revocation]`: what holds while nobody can say which tokens are revoked.

use std::time::Duration;

use serde::Deserialize;

use super::{kind::Kind, problem::Report, schema::Key, units};

/// The keys of `[revocation]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "revocation.on_store_loss",
        Kind::OneOf(&["deny", "grace", "unsafe_allow"]),
        "What a token is worth while the store is lost: deny refuses it, grace refuses it after the time \
         below, unsafe_allow never does.",
    ),
    Key::new(
        "revocation.grace",
        Kind::Span(Duration::from_millis(1), Duration::from_secs(600)),
        "Time after the loss of the store in which grace still lets tokens in, 1ms to 10m.",
    ),
];

/// `[revocation]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationSettings {
    /// What happens to tokens while the store is lost.
    pub on_store_loss: OnStoreLoss,
    /// How long [`OnStoreLoss::Grace`] lasts, at most 10 minutes.
    #[serde(deserialize_with = "units::read_duration")]
    pub grace: Duration,
}

impl RevocationSettings {
    pub(super) fn check(&self, report: &mut Report) {
        if self.on_store_loss == OnStoreLoss::UnsafeAllow && report.is_production() {
            report.warn(
                "revocation.on_store_loss",
                "lets revoked tokens in for as long as the store is lost",
                "set it to deny or grace",
            );
        }
    }
}

/// What a token is worth while the store is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStoreLoss {
    /// Nothing: it could be revoked.
    Deny,
    /// What it was worth, for the time of `grace`.
    Grace,
    /// What it was worth, without an end.
    UnsafeAllow,
}
