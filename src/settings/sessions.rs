//! `[sessions]`: whether clients of older revisions may have sessions, how long one lives and what it may hold.

use std::time::Duration;

use serde::Deserialize;

use super::{kind::Kind, problem::Report, schema::Key, units};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The keys of `[sessions]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "sessions.enabled",
        Kind::Flag,
        "true gives clients of revisions before 2026-07-28 sessions. With Redis any server of the fleet serves them; \
         else they are kept in this process, and each has to come back to it.",
    ),
    Key::new(
        "sessions.idle",
        Kind::Span(Duration::from_millis(1), DAY),
        "Time without a request, an open stream, a waiting question or a running call after which a session ends, \
         1ms to 1d.",
    ),
    Key::new(
        "sessions.absolute",
        Kind::Span(Duration::from_millis(1), DAY.saturating_mul(30)),
        "Time after which a session ends in any case, 1ms to 30d; at least sessions.idle.",
    ),
    Key::new(
        "sessions.per_principal",
        Kind::Whole(1, 10_000),
        "Sessions of one caller at once, at all servers together, 1 to 10000.",
    ),
    Key::new(
        "sessions.max",
        Kind::Whole(1, 1_000_000),
        "Sessions of all callers at once that one server knows, 1 to 1000000.",
    ),
    Key::new(
        "sessions.buffer",
        Kind::Size(1_024, 64 * 1_024 * 1_024),
        "What one session keeps of its streams for a client that comes back to them, 1KiB to 64MiB.",
    ),
    Key::new(
        "sessions.answer_within",
        Kind::Span(Duration::from_millis(1), MINUTE.saturating_mul(60)),
        "Time that a client, or the person behind it, has to answer what a tool asks, 1ms to 1h.",
    ),
];

/// `[sessions]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsSettings {
    /// Whether there are sessions at all.
    pub enabled: bool,
    /// How long one lives without a request and without an open stream, at most a day.
    #[serde(deserialize_with = "units::read_duration")]
    pub idle: Duration,
    /// How long one lives at most.
    #[serde(deserialize_with = "units::read_duration")]
    pub absolute: Duration,
    /// Most sessions of one caller.
    pub per_principal: u32,
    /// Most sessions of all callers.
    pub max: u32,
    /// Bytes of events that a session keeps.
    #[serde(deserialize_with = "units::read_size")]
    pub buffer: usize,
    /// How long an answer to what a tool asks may take.
    #[serde(deserialize_with = "units::read_duration")]
    pub answer_within: Duration,
}

impl SessionsSettings {
    pub(super) fn check(&self, report: &mut Report) {
        let fix = "make it at least sessions.idle";
        report.require(self.absolute >= self.idle, "sessions.absolute", ("is less than sessions.idle", fix));
        let fix = "make it at most sessions.max";
        report.require(
            self.per_principal <= self.max,
            "sessions.per_principal",
            ("is more than sessions.max", fix),
        );
    }
}
