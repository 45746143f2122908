//! `audit query --fleet` and `audit tail --fleet`: the records of every server on one Redis.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;

use super::{LOOK_EVERY, Tail, output, words};
use crate::{
    actors::audit::{
        Filter,
        fleet::{Doubts, FleetFound, FleetReader},
    },
    app,
    settings::Settings,
    store::FleetLog,
    tools::clean_to,
};

/// Longest line for people; no record of ours makes one of that length.
const MAX_LINE: usize = 4_096;

/// Shows every record that fits, oldest first.
///
/// # Errors
/// If there is no fleet's log, or it cannot be read to its end.
pub(super) async fn query(filter: &Filter, settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    let mut reader = FleetReader::open(log(settings).await?).await?;
    let mut left = filter.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let Some(found) = reader.next(filter).await? else { break };
        if !show(&found, json)? {
            break;
        }
        left -= 1;
    }
    Ok(verdict(reader.doubts()))
}

/// Shows the newest records, and goes on with what is added if that is wanted.
///
/// # Errors
/// As [`query`].
pub(super) async fn tail(args: &Tail, settings: &Settings) -> anyhow::Result<ExitCode> {
    let (last, mut reader) = FleetReader::open_at_end(log(settings).await?, args.lines).await?;
    let mut read = show_all(&last, args.json)?;
    if !args.follow {
        return Ok(verdict(reader.doubts()));
    }
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut doubts = Doubts::default();
    while read {
        if reader.doubts() != doubts {
            doubts = reader.doubts();
            verdict(doubts);
        }
        ticks.tick().await;
        read = show_all(&reader.poll().await?, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The fleet's log, which only a Redis has.
async fn log(settings: &Settings) -> anyhow::Result<Arc<dyn FleetLog>> {
    let stores = app::open_store(settings).await?;
    stores.fleet_log.context("store.url names no Redis: this server's log is all there is, leave out --fleet")
}

fn show_all(records: &[FleetFound], json: bool) -> anyhow::Result<bool> {
    for found in records {
        if !show(found, json)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One record; `false` once nobody reads any more. For people the server's name stands before it.
fn show(FleetFound { node, found }: &FleetFound, json: bool) -> anyhow::Result<bool> {
    if json {
        return output::say(&found.line);
    }
    // Others can write where it comes from, so it is made fit for a terminal.
    output::say(&clean_to(&format!("{node} {}", words(&found.record)), MAX_LINE))
}

/// Says what did not fit; it is a failure if somebody has written there what no server of ours wrote.
fn verdict(Doubts { forged, missing }: Doubts) -> ExitCode {
    if missing > 0 {
        output::complain(&format!("{missing} record(s) between others are not in the fleet's log"));
    }
    if forged == 0 {
        return ExitCode::SUCCESS;
    }
    output::complain(&format!(
        "{forged} row(s) in the fleet's log are not what their servers recorded, and are left out: \
         look at those servers' own logs, and at who can write to the Redis"
    ));
    ExitCode::FAILURE
}
