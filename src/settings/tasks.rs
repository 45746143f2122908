//! `[tasks]`: calls that go on after their answer.

use std::time::Duration;

use serde::Deserialize;

use super::{kind::Kind, problem::Report, schema::Key, units};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// The keys of `[tasks]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "tasks.enabled",
        Kind::Flag,
        "Whether a tool may answer with a task (extension io.modelcontextprotocol/tasks, revision 2026-07-28), to \
         clients that say that they know tasks.",
    ),
    Key::new(
        "tasks.max_run",
        Kind::Span(SECOND, DAY),
        "Longest life of a task until its end, waiting for answers of its client included, 1s to 1d; a tool may \
         give itself less.",
    ),
    Key::new(
        "tasks.ttl",
        Kind::Span(SECOND, DAY.saturating_mul(7)),
        "Time after which a task and its result are forgotten, counted from its beginning, 1s to 7d; at least \
         tasks.max_run.",
    ),
    Key::new(
        "tasks.poll_interval",
        Kind::Span(Duration::from_millis(100), Duration::from_secs(60)),
        "How often clients are told to ask for a task, 100ms to 1m.",
    ),
    Key::new("tasks.max_running", Kind::Whole(1, 100_000), "Tasks that run at once, 1 to 100000."),
    Key::new(
        "tasks.max_running_of_one",
        Kind::Whole(1, 100_000),
        "Tasks of one principal that run at once, 1 to 100000.",
    ),
    Key::new(
        "tasks.max_kept",
        Kind::Whole(1, 1_000_000),
        "Tasks that are kept at once, ended or not, 1 to 1000000.",
    ),
    Key::new(
        "tasks.max_kept_of_one",
        Kind::Whole(1, 1_000_000),
        "Tasks of one principal that are kept at once, ended or not, 1 to 1000000.",
    ),
    Key::new(
        "tasks.max_result",
        Kind::Size(1 << 10, 4 << 20),
        "Largest result of a task, 1KiB to 4MiB; in place of a larger one the client is told that it was too large.",
    ),
];

/// `[tasks]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TasksSettings {
    /// Whether a tool may answer with a task.
    pub enabled: bool,
    /// Longest life of a task until its end.
    #[serde(deserialize_with = "units::read_duration")]
    pub max_run: Duration,
    /// When a task is forgotten, counted from its beginning.
    #[serde(deserialize_with = "units::read_duration")]
    pub ttl: Duration,
    /// How often clients are told to ask.
    #[serde(deserialize_with = "units::read_duration")]
    pub poll_interval: Duration,
    /// Tasks that run at once.
    pub max_running: u64,
    /// Tasks of one principal that run at once.
    pub max_running_of_one: u64,
    /// Tasks that are kept at once.
    pub max_kept: u64,
    /// Tasks of one principal that are kept at once.
    pub max_kept_of_one: u64,
    /// Largest result, bytes.
    #[serde(deserialize_with = "units::read_size")]
    pub max_result: usize,
}

impl TasksSettings {
    pub(super) fn check(&self, report: &mut Report) {
        let outlives = self.ttl >= self.max_run;
        report.require(
            outlives,
            "tasks.ttl",
            ("is shorter than tasks.max_run", "set it to at least tasks.max_run"),
        );
    }
}
