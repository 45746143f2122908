//! `[audit]`: when a record counts as written, and where records go.

use std::time::Duration;

use serde::Deserialize;

use super::{kind::Kind, problem::Report, schema::Key, units};

/// The longest that anything is kept.
const LONGEST: Duration = Duration::from_hours(24 * 3_650);

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
    Key::new(
        "audit.sinks",
        Kind::Texts,
        "Where records go. file: the log below data_dir, which cannot be left out; redis: if store.url is a Redis, also \
         into it, for all servers on it to read.",
    ),
    Key::new(
        "audit.retention",
        Kind::Span(Duration::from_hours(1), LONGEST),
        "Time that records stay in a Redis, 1h to 3650d. Those in files stay until somebody takes them away.",
    ),
    Key::new(
        "audit.fleet_records",
        Kind::Whole(1_000, 1_000_000_000),
        "Most records of one server that stay in a Redis, the newest ones, 1000 to 1000000000. 100000 take about 75MiB \
         there.",
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
    /// Where records go, by the words of [`Sink`].
    pub sinks: Vec<String>,
    /// How long they stay in a Redis.
    #[serde(deserialize_with = "units::read_duration")]
    pub retention: Duration,
    /// Most records of one server that stay in a Redis.
    pub fleet_records: u64,
}

/// Where records can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// The log below `data_dir`; always.
    File,
    /// The store that several servers share, if it is one.
    Redis,
}

impl Sink {
    const ALL: [Self; 2] = [Self::File, Self::Redis];

    /// How it is written.
    const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Redis => "redis",
        }
    }
}

impl AuditSettings {
    /// Whether records go there.
    pub fn has_sink(&self, sink: Sink) -> bool {
        self.sinks.iter().any(|word| word == sink.word())
    }

    pub(super) fn check(&self, report: &mut Report) {
        let is_known = |word: &String| Sink::ALL.iter().any(|sink| sink.word() == word);
        let known = ("knows file and redis only", "write [\"file\", \"redis\"]");
        report.require(self.sinks.iter().all(is_known), "audit.sinks", known);
        let file = ("must hold file: what counts as recorded is what is on disk", "add \"file\"");
        report.require(self.has_sink(Sink::File), "audit.sinks", file);
    }
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
