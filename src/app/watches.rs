//! What is looked at time and again while the server runs: prompts and files.

use actix::ArbiterHandle;

use super::AppError;
use crate::{
    house::Services,
    prompts::{Look, Prompts, Reloader, Watch},
    resources,
    tools::files::Files,
};

/// Prompts that are in force, and how they are read again.
pub(super) struct Reading {
    /// Those in force.
    pub(super) in_force: Prompts,
    /// How the folder looked before it was read.
    look: Look,
    reloader: Reloader,
}

impl Reading {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// [`AppError::Prompts`], everything that is wrong.
    pub(super) fn begin(reloader: Reloader) -> Result<Self, AppError> {
        let look = reloader.folder.look();
        let in_force = Prompts::new(reloader.read().map_err(AppError::Prompts)?);
        Ok(Self { in_force, look, reloader })
    }

    /// Reads them again whenever they change, on a thread of its own.
    pub(super) fn watch(self, arbiter: &ArbiterHandle, services: &Services) {
        let watch =
            Watch { prompts: self.in_force, changes: services.changes.clone(), lane: services.audit.lane() };
        // The arbiter was started just now.
        let _runs = arbiter.spawn(self.reloader.watch(self.look, watch));
    }
}

/// Tells whoever listens of changes of `files`, from a thread of its own.
pub(super) fn files(arbiter: &ArbiterHandle, files: Files) {
    let _runs = arbiter.spawn(resources::watch(files));
}
