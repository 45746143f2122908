//! `portcullis key create|list|show|rotate|disable|enable|revoke`.

mod make;
mod state;
mod view;

use std::process::ExitCode;

use super::context::{Context, in_system};
use crate::{
    actors::users::account_of,
    app,
    domain::{ApiKey, KeyId, KeyState, Timestamp},
    policy::{self, Grant, Roles},
    settings::Settings,
    store::Stores,
};

/// Verbs about API keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum KeyVerb {
    /// Make an API key and print it alone on standard output, this once.
    #[command(
        after_help = "Example:\n  KEY=$(portcullis key create --user ci-service --name 'build server' \
                            --permission weather:read)"
    )]
    Create(make::Create),
    /// List every key, oldest first.
    #[command(after_help = "Example:\n  portcullis key list --json")]
    List(view::List),
    /// Say what is known of a key; the key itself is nowhere kept.
    #[command(after_help = "Example:\n  portcullis key show 019ab2c4-7d1e-7f00-8a3b-2f6c5d4e3b2a")]
    Show(view::Show),
    /// Make the successor of a key and print it alone on standard output; the old one lives on for the grace.
    #[command(
        after_help = "Example:\n  portcullis key rotate 019ab2c4-7d1e-7f00-8a3b-2f6c5d4e3b2a --grace 24h"
    )]
    Rotate(make::Rotate),
    /// Refuse a key until it is enabled again; in force everywhere within a second.
    #[command(after_help = "Example:\n  portcullis key disable 019ab2c4-7d1e-7f00-8a3b-2f6c5d4e3b2a")]
    Disable(state::Which),
    /// Let a disabled key in again.
    #[command(after_help = "Example:\n  portcullis key enable 019ab2c4-7d1e-7f00-8a3b-2f6c5d4e3b2a")]
    Enable(state::Which),
    /// Take a key back for good; in force everywhere within a second.
    #[command(after_help = "Example:\n  portcullis key revoke 019ab2c4-7d1e-7f00-8a3b-2f6c5d4e3b2a")]
    Revoke(state::Which),
}

impl KeyVerb {
    /// Runs the verb.
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let settings = context.settings()?;
        in_system(async {
            match self {
                Self::Create(create) => create.run(&settings).await,
                Self::List(list) => list.run(&settings).await,
                Self::Show(show) => show.run(&settings).await,
                Self::Rotate(rotate) => rotate.run(&settings).await,
                Self::Disable(which) => which.run(&settings, state::Change::Disable).await,
                Self::Enable(which) => which.run(&settings, state::Change::Enable).await,
                Self::Revoke(which) => which.run(&settings, state::Change::Revoke).await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a key gives at present: what it carries, as far as its owner's account goes; and why it is not let
/// in at all, if it is not.
///
/// # Errors
/// If there is no such key.
pub(super) async fn held(
    settings: &Settings,
    roles: &Roles,
    id: KeyId,
) -> anyhow::Result<(Grant, Option<&'static str>)> {
    let (stores, key) = find(settings, id).await?;
    let account = stores.users.find(&key.owner).await?.map(|user| account_of(&user));
    let held = policy::standing(roles, account.as_ref(), (&[], &key.permissions));
    let refused = match key.state {
        KeyState::Revoked => Some("the key is revoked"),
        KeyState::Disabled => Some("the key is disabled"),
        KeyState::Active if key.ends_at() <= Timestamp::now() => Some("the key is over"),
        KeyState::Active => held.is_err().then_some("the account of its owner is disabled"),
    };
    let permissions = held.unwrap_or_default().permissions;
    Ok((Grant { permissions, ..Grant::default() }, refused))
}

/// The store, and the key of that id in it.
///
/// # Errors
/// If there is no such key.
pub(super) async fn find(settings: &Settings, id: KeyId) -> anyhow::Result<(Stores, ApiKey)> {
    let stores = app::open_store(settings).await?;
    match stores.keys.show(id).await? {
        Some(key) => Ok((stores, key)),
        None => anyhow::bail!("there is no key {id}"),
    }
}
