//! `portcullis serve`.

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    context::{Context, in_system},
    output,
};
use crate::{app, settings::Settings, telemetry::logs};

/// Serves until a signal comes.
pub(super) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let Some(settings) = prepared(context)? else { return Ok(ExitCode::FAILURE) };
    in_system(async {
        let server = app::start(&settings, Vec::new()).await?;
        output::say(&app::banner(&settings, server.mcp_url(), server.admin_url()))?;
        for warning in server.warnings() {
            output::say(&format!("  warning   store.url: {warning}"))?;
        }
        if let Some(password) = server.first_password() {
            output::say(&app::first_account(password))?;
        }
        server.run().await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The settings, with this process made ready to serve by them; `None` if they cannot be served by, which has been said
/// then.
pub(super) fn prepared(context: &Context) -> anyhow::Result<Option<Settings>> {
    let loaded = match context.load() {
        Ok(loaded) => loaded,
        Err(invalid) => {
            output::complain(&format!("portcullis does not start; settings to change:\n{invalid}"));
            return Ok(None);
        }
    };
    let settings = loaded.settings;
    prepare_process();
    logs::install(&settings.telemetry.log, settings.telemetry.format)?;
    for warning in &loaded.warnings {
        tracing::warn!(setting = %warning.key, problem = %warning.problem, fix = %warning.fix, "setting");
    }
    Ok(Some(settings))
}

/// Takes as many descriptors as the system gives, since each connection needs two, and leaves no core dump,
/// since that would hold keys. Where the system refuses, the server runs with what it has.
///
/// Memory comes in small pages, also where the system would give huge ones to everybody: each thread has memory of its
/// own, and a page of 2 MiB for the few KiB of an idle one made the server twice as large.
fn prepare_process() {
    #[cfg(target_os = "linux")]
    let _small = rustix::thread::disable_transparent_huge_pages(true);
    let files = getrlimit(Resource::Nofile);
    let _raised = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
    let _none = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
