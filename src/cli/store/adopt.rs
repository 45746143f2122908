//! `portcullis store adopt`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::{
    actors::keepsake,
    app::{self, AnyStore},
    cli::{operator, output},
    domain::{EventCode, Timestamp},
    settings::Settings,
    store::{Adoption, Kept},
};

/// Shown below the arguments.
pub(super) const HELP: &str = "\
Example:
  portcullis store adopt          say what was lost and what is known here
  portcullis store adopt --yes    go over to the store that is there now

What was only in the lost store is gone: accounts, API keys, logins. What is known to be revoked is not: this command
gives the new store what is kept in data_dir, and every server that runs adds what it knows before it lets anybody in.";

/// Arguments of `store adopt`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Adopt {
    /// Do it; without this, say only what would be done.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What there is to be said before anything is done.
struct Facts<'a> {
    old: &'a str,
    new: &'a str,
    kept: Kept,
    /// Revocations that are kept in `data_dir`.
    known: usize,
}

impl Adopt {
    /// Says what was lost, and goes over to the new store if that was said; exit code 1 if there is still something to do.
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let opened = app::open_any_store(settings).await?;
        let Some(adoption) = &opened.stores.adoption else {
            bail!("store.url: {} is not shared: there is nothing to adopt", settings.store.url)
        };
        let (Some(old), Some(new)) = (&opened.known, &opened.identity) else {
            bail!("the store has no identity")
        };
        if opened.is_known() {
            self.say(&json!({ "store": new, "adopted": false, "known": true }), || {
                format!("{} is the store that this data_dir knows ({new}): nothing to do", settings.store.url)
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        let place = keepsake::place(&settings.data_dir);
        let known =
            keepsake::read(&place, Timestamp::now()).with_context(|| place.display().to_string())?.len();
        let facts = Facts { old, new, kept: adoption.kept().await?, known };
        if !self.yes {
            self.say(&facts.json(false, 0), || facts.before(settings))?;
            output::complain("nothing was changed; run it again with --yes to go over to that store");
            return Ok(ExitCode::FAILURE);
        }
        let restored = adopt(settings, &opened, adoption.as_ref(), &facts).await?;
        self.say(&facts.json(true, restored), || {
            format!(
                "{}\n{restored} revocations were added to it; it stands in for {old} from now on.\n\
                 Servers that run on the lost store add what they know, and then serve again, within seconds.",
                facts.before(settings)
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn say(&self, json: &serde_json::Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        output::say(&if self.json { json.to_string() } else { text() }).map(drop)
    }
}

/// Revocations first: whoever goes over to the new store finds them there.
async fn adopt(
    settings: &Settings,
    opened: &AnyStore,
    adoption: &dyn Adoption,
    facts: &Facts<'_>,
) -> anyhow::Result<u64> {
    let detail = json!({ "old": facts.old, "new": facts.new, "known": facts.known });
    let mut restored = 0;
    let work = async {
        restored = opened.restore(settings).await?;
        adoption.adopt(facts.old).await?;
        // Last of all: whatever was interrupted before can be done again.
        Ok(opened.keep(settings)?)
    };
    operator::recorded(settings, EventCode::StoreAdopted, &detail, work)
        .await
        .context("the store is not adopted")?;
    Ok(restored)
}

impl Facts<'_> {
    fn before(&self, settings: &Settings) -> String {
        let Self { old, new, kept: Kept { accounts, keys, families, revocations }, known } = self;
        format!(
            "{url} is not the store that this data_dir knows.\n\
             \x20 known  {old}: its accounts, API keys and logins are gone, unless the right Redis is put back\n\
             \x20 there  {new}: {accounts} accounts, {keys} API keys, {families} logins, {revocations} revocations\n\
             \x20 here   {known} revocations that still matter are kept in data_dir",
            url = settings.store.url,
        )
    }

    fn json(&self, adopted: bool, restored: u64) -> serde_json::Value {
        let Kept { accounts, keys, families, revocations } = self.kept;
        json!({
            "store": self.new,
            "old": self.old,
            "adopted": adopted,
            "there": { "accounts": accounts, "keys": keys, "families": families, "revocations": revocations },
            "known_revocations": self.known,
            "restored": restored,
        })
    }
}
