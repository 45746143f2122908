//! What every verb needs: the settings, and a system to run in.

use std::path::PathBuf;

use crate::settings::{self, Loaded, Settings, Source};

/// Where the settings are.
#[derive(Debug)]
pub(super) struct Context {
    /// Their folder.
    pub(super) dir: PathBuf,
    /// The profile.
    pub(super) profile: String,
    /// What the command line sets: key path and value.
    pub(super) overrides: Vec<(String, String)>,
}

impl Context {
    /// Loads the settings with this process's environment. A value that is no text is passed on with its
    /// bytes replaced, so that the checks see it and refuse it.
    ///
    /// # Errors
    /// Every problem at once.
    pub(super) fn load(&self) -> Result<Loaded, settings::InvalidSettings> {
        let text = |name: std::ffi::OsString| name.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        settings::load(&Source {
            dir: self.dir.clone(),
            profile: self.profile.clone(),
            environment: environment.collect(),
            overrides: self.overrides.clone(),
        })
    }

    /// The settings, for verbs that cannot go on without them.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let loaded =
            self.load().map_err(|invalid| anyhow::anyhow!("the settings cannot be used:\n{invalid}"))?;
        Ok(loaded.settings)
    }
}

/// Runs `work` where actors can live, then ends them.
pub(super) fn in_system<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    actix::System::new().block_on(work)
}
