//! `portcullis store …`: verbs about the store as a whole.

mod adopt;
mod copy;

use std::process::ExitCode;

use super::context::{Context, in_system};

/// Verbs about the store.
#[derive(Debug, clap::Subcommand)]
pub(super) enum StoreVerb {
    /// Copy everything that a store keeps into an empty one, and verify it; going on where it was interrupted.
    #[command(after_help = copy::HELP)]
    Copy(copy::Copy),
    /// Let a Redis that was emptied or replaced take the place of the one that was lost; until then nobody is let in.
    #[command(after_help = adopt::HELP)]
    Adopt(adopt::Adopt),
}

impl StoreVerb {
    /// Runs the verb.
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let settings = context.settings()?;
        in_system(async {
            match self {
                Self::Copy(copy) => copy.run(&settings).await,
                Self::Adopt(adopt) => adopt.run(&settings).await,
            }
        })
    }
}
