//! Logs: pretty on a terminal, one JSON object a line everywhere else, always on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::LogFormat;

/// Sends every event that `filter` lets through (`info`, `portcullis=debug,warn`, …) to standard error.
///
/// The first call in a process wins; later ones change nothing, so tests may all call it.
///
/// # Errors
/// If `filter` is no filter.
pub fn install(filter: &str, format: LogFormat) -> Result<(), InvalidFilter> {
    let filter = EnvFilter::try_new(filter).map_err(|_| InvalidFilter)?;
    let json = match format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(stderr).with_ansi(!json && stderr().is_terminal());
    // An error says only that somebody installed a subscriber before us.
    let _installed = if json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry.with(layer.with_target(false).compact()).try_init()
    };
    Ok(())
}

/// The text is no log filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a level or a list such as `info,portcullis=debug`")]
pub struct InvalidFilter;
