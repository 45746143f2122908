//! `portcullis key disable|enable|revoke`.

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::{
    cli::{operator, output},
    domain::{EventCode, KeyId, KeyState},
    settings::Settings,
};

/// Which key.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Which {
    /// Its id, as `key list` shows it.
    id: KeyId,
}

/// What to do with it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Disable,
    Enable,
    Revoke,
}

impl Change {
    /// The state that the key comes to, the event, and what it is afterwards.
    const fn facts(self) -> (KeyState, EventCode, &'static str) {
        match self {
            Self::Disable => (KeyState::Disabled, EventCode::KeyChanged, "disabled"),
            Self::Enable => (KeyState::Active, EventCode::KeyChanged, "enabled"),
            Self::Revoke => (KeyState::Revoked, EventCode::KeyRevoked, "revoked"),
        }
    }
}

impl Which {
    pub(super) async fn run(self, settings: &Settings, change: Change) -> anyhow::Result<()> {
        let (state, event, word) = change.facts();
        let (stores, _) = super::find(settings, self.id).await?;
        // In force first, recorded second: of the two, a key that lives on is the worse.
        let Some(key) = stores.keys.set_state(self.id, state).await.context("nothing was changed")? else {
            bail!("there is no key {}", self.id)
        };
        if key.state != state {
            bail!("the key {} is revoked, for good", self.id);
        }
        let detail = json!({ "key_id": key.id, "user_id": key.owner, "state": key.state.as_str() });
        operator::record(settings, event, &detail)
            .await
            .with_context(|| format!("it is {word}, but not recorded"))?;
        output::complain(&format!("{word}; in force everywhere within a second"));
        output::complain_unless(stores.unconfirmed.so_far() == 0);
        if let (Change::Revoke, Some(rotated)) = (change, key.rotation) {
            output::complain(&format!(
                "its successor {} is a key of its own and still holds",
                rotated.successor
            ));
        }
        Ok(())
    }
}
