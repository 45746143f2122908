//! `portcullis key list|show`.

use serde_json::{Value, json};

use crate::{
    app,
    cli::output,
    domain::{ApiKey, KeyId, KeyState, Timestamp},
    settings::Settings,
    store::KEY_PAGE_MAX,
};

/// Arguments of `key list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct List {
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Arguments of `key show`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Show {
    /// Its id, as `key list` shows it.
    id: KeyId,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let stores = app::open_store(settings).await?;
        let mut last = None;
        loop {
            // Page by page, so that a million keys are never in memory at once.
            let page = stores.keys.page(last, KEY_PAGE_MAX).await?;
            let Some(end) = page.last() else { return Ok(()) };
            last = Some(end.id);
            for key in &page {
                let line = if self.json { shown(key).to_string() } else { line(key) };
                if !output::say(&line)? {
                    return Ok(());
                }
            }
        }
    }
}

impl Show {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let (_, key) = super::find(settings, self.id).await?;
        let shown = shown(&key);
        output::say(&if self.json { shown.to_string() } else { serde_json::to_string_pretty(&shown)? })?;
        Ok(())
    }
}

/// Everything that is known of a key.
fn shown(key: &ApiKey) -> Value {
    json!({
        "key_id": key.id,
        "user_id": key.owner,
        "name": key.name.as_str(),
        "permissions": key.permissions,
        "created_at": key.created_at.to_string(),
        "expires_at": key.expires_at.to_string(),
        "last_used": key.last_used.map(|at| at.to_string()),
        "usage_count": key.usage_count,
        "active": key.state == KeyState::Active,
        "created_by": key.created_by,
        "state": key.state.as_str(),
        "cidrs": key.cidrs,
        "predecessor": key.predecessor,
        "successor": key.rotation.map(|rotated| rotated.successor),
        "grace_until": key.rotation.map(|rotated| rotated.grace_until.to_string()),
    })
}

fn line(key: &ApiKey) -> String {
    let state = match key.state {
        KeyState::Active if key.ends_at() <= Timestamp::now() => "over",
        KeyState::Active if key.rotation.is_some() => "rotated",
        state => state.as_str(),
    };
    let until = key.ends_at().to_string();
    let until = until.get(..16).unwrap_or(&until);
    let (id, owner, name) = (key.id, key.owner.as_str(), key.name.as_str());
    format!(
        "{id} {state:<8} until {until}Z {:>10} uses  {owner}: {name} ({})",
        key.usage_count,
        key.permissions.join(" ")
    )
}
