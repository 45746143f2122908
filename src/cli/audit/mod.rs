//! `portcullis audit tail|query|verify`. Reads the files, or the fleet's log; needs no server.

mod fleet;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use super::{
    context::{Context, in_system},
    output,
};
use crate::{
    actors::audit::{self, Filter, Follower, Record, reader::Found},
    domain::{EventCode, Timestamp},
    settings::{Settings, parse_duration},
};

/// How often `tail -f` looks for new records.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How something can end.
const OUTCOMES: [&str; 7] = ["ok", "error", "denied", "limited", "cancelled", "timeout", "failed"];

/// A code of an event, or the beginning of some with a star: a misspelt one must not look like silence.
fn event_code(text: &str) -> Result<String, String> {
    let codes = || EventCode::ALL.iter().map(|code| code.as_str());
    let known = match text.strip_suffix('*') {
        Some(beginning) => codes().any(|code| code.starts_with(beginning)),
        None => codes().any(|code| code == text),
    };
    let all = || codes().collect::<Vec<_>>().join(" ");
    if known { Ok(text.to_owned()) } else { Err(format!("known events: {}", all())) }
}

/// Verbs about the audit log.
#[derive(Debug, clap::Subcommand)]
pub(super) enum AuditVerb {
    /// Show the newest records.
    #[command(after_help = "Example:\n  portcullis audit tail -f\n  portcullis audit tail --fleet -f")]
    Tail(Tail),
    /// Show every record that fits, oldest first.
    #[command(
        after_help = "Example:\n  portcullis audit query --since 24h --event tool.denied --json\n  portcullis audit query --fleet --since 1h"
    )]
    Query(Query),
    /// Check chains, signatures and heads; exit code 1 at the first thing that does not fit.
    #[command(after_help = "Example:\n  portcullis audit verify --anchor heads-of-yesterday.json")]
    Verify(Verify),
}

/// Arguments of `audit tail`.
#[derive(Debug, clap::Args)]
pub(super) struct Tail {
    /// Go on showing what is added.
    #[arg(short, long)]
    follow: bool,
    /// Of all servers that share the Redis of store.url, not of this one alone.
    #[arg(long)]
    fleet: bool,
    /// How many to begin with.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Print the records as they stand in the log.
    #[arg(long)]
    json: bool,
}

/// Arguments of `audit query`.
#[derive(Debug, clap::Args)]
pub(super) struct Query {
    /// Of all servers that share the Redis of store.url, not of this one alone.
    #[arg(long)]
    fleet: bool,
    /// Only what happened within this time, for example 24h.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<Duration>,
    /// Only this kind of event, for example tool.denied.
    #[arg(long, value_name = "E", value_parser = event_code)]
    event: Option<String>,
    /// Only this user.
    #[arg(long, value_name = "U")]
    user: Option<String>,
    /// Only this tool.
    #[arg(long, value_name = "T")]
    tool: Option<String>,
    /// Only what ended like this.
    #[arg(long, value_name = "O", value_parser = OUTCOMES)]
    outcome: Option<String>,
    /// Only this request.
    #[arg(long, value_name = "R")]
    request_id: Option<String>,
    /// At most so many, the oldest ones.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print the records as they stand in the log.
    #[arg(long)]
    json: bool,
}

/// Arguments of `audit verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Signed heads or checkpoints that were copied earlier, one a line; the log must still hold them.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl AuditVerb {
    /// Runs the verb.
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let settings = context.settings()?;
        match self {
            Self::Tail(tail) => tail.run(&settings),
            Self::Query(query) => query.run(&settings),
            Self::Verify(verify) => verify.run(&settings),
        }
    }
}

impl Tail {
    fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        if self.fleet {
            return in_system(fleet::tail(self, settings));
        }
        let (last, mut follower) = Follower::open(&settings.data_dir, self.lines)?;
        let mut read = self.show_all(&last)?;
        if !self.follow {
            return Ok(ExitCode::SUCCESS);
        }
        in_system(async {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            while read {
                ticks.tick().await;
                read = self.show_all(&follower.poll()?)?;
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl Tail {
    /// Shows these; `false` once nobody reads any more.
    fn show_all(&self, records: &[Found]) -> anyhow::Result<bool> {
        for found in records {
            if !show(&found.line, &found.record, self.json)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Query {
    fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let (is_fleet, json) = (self.fleet, self.json);
        let filter = self.filter();
        if is_fleet {
            return in_system(fleet::query(&filter, settings, json));
        }
        for found in audit::query(&settings.data_dir, filter)? {
            let found = found?;
            if !show(&found.line, &found.record, json)? {
                break;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn filter(self) -> Filter {
        Filter {
            since: self.since.map(|age| Timestamp::now().minus(age)),
            event: self.event,
            user: self.user,
            tool: self.tool,
            outcome: self.outcome,
            request_id: self.request_id,
            limit: self.limit,
            ..Filter::default()
        }
    }
}

impl Verify {
    fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let report = audit::verify(&settings.data_dir, self.anchor.as_deref())?;
        if self.json {
            let mut shown = serde_json::to_value(&report)?;
            if let Some(members) = shown.as_object_mut() {
                members.insert("ok".to_owned(), report.ok().into());
            }
            output::say(&shown.to_string())?;
        } else {
            for problem in &report.problems {
                let seq = problem.seq.map_or_else(String::new, |seq| format!(" record {seq}"));
                output::complain(&format!(
                    "{}:{}{seq} {}",
                    problem.file.display(),
                    problem.line,
                    problem.what
                ));
            }
            let verdict = if report.ok() { "whole" } else { "NOT WHOLE" };
            output::say(&format!(
                "{verdict}: {} records in {} chain(s), {} problem(s)",
                report.records(),
                report.slots.len(),
                report.problem_count,
            ))?;
        }
        Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// One record; `false` once nobody reads any more.
fn show(line: &str, record: &Record, json: bool) -> anyhow::Result<bool> {
    if json { output::say(line) } else { output::say(&words(record)) }
}

/// One record on one line, for people.
fn words(record: &Record) -> String {
    let who = record.principal.as_ref().map_or("-", |who| who.id.as_str());
    let why = record.missing.as_deref().or(record.reason.as_deref()).unwrap_or_default();
    let what = record.tool.as_deref().or(record.method.as_deref()).unwrap_or("-");
    let (id, ip) = (record.request_id.as_deref().unwrap_or("-"), record.ip.as_deref().unwrap_or("-"));
    // `{:?}` of foreign text would also escape; the log's own form is printable already, so only quotes are needed.
    format!(
        "{} {:<16} {:<9} {who:<16} {ip:<15} {:<20} {id} {why}",
        record.time,
        record.event,
        record.outcome,
        what.escape_default()
    )
}
