//! What every verb needs: the settings, and from them the store.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    app,
    settings::{self, Loaded, Settings, Source},
    store::{self, Stores},
};

/// Where the settings are.
#[derive(Debug)]
pub(super) struct Context {
    /// Their folder.
    pub(super) dir: PathBuf,
    /// The profile.
    pub(super) profile: String,
}

impl Context {
    /// Loads the settings with this process's environment.
    ///
    /// # Errors
    /// Every problem at once.
    pub(super) fn load(&self) -> Result<Loaded, settings::InvalidSettings> {
        let environment =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        settings::load(&Source {
            dir: self.dir.clone(),
            profile: self.profile.clone(),
            environment: environment.collect(),
            overrides: Vec::new(),
        })
    }

    /// The settings, for verbs that cannot go on without them.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let loaded =
            self.load().map_err(|invalid| anyhow::anyhow!("the settings cannot be used:\n{invalid}"))?;
        Ok(loaded.settings)
    }
}

/// Opens the configured store.
pub(super) fn open_store(settings: &Settings) -> anyhow::Result<Stores> {
    store::open(&app::store_url(settings)).context("the store does not open")
}

/// Runs `work` where actors can live, then ends them.
pub(super) fn in_system<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    actix::System::new().block_on(work)
}
