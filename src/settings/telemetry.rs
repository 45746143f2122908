//! `[telemetry]`: the log.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::{
    kind::{Complaint, Kind},
    schema::Key,
};

/// The keys of `[telemetry]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "telemetry.log",
        Kind::Form(filter_fault),
        "What is logged: error, warn, info, debug or trace, or one for each part, such as \
         info,portcullis=debug.",
    ),
    Key::new(
        "telemetry.format",
        Kind::OneOf(&["auto", "pretty", "json"]),
        "Form of the log: auto is pretty on a terminal and json elsewhere.",
    ),
];

/// `[telemetry]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// What is logged, in the syntax of [`EnvFilter`].
    pub log: String,
    /// In which form.
    pub format: LogFormat,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

fn filter_fault(text: &str) -> Option<Complaint> {
    let sound = !text.trim().is_empty() && EnvFilter::try_new(text).is_ok();
    (!sound)
        .then_some(("is not a log filter", "write a level such as \"info\", or part=level between commas"))
}
