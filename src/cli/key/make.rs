//! `portcullis key create|rotate`: whatever makes a key prints it once, after it is stored and recorded.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, bail};
use ipnet::IpNet;
use serde_json::json;

use crate::{
    actors::{api_keys::KeyRequest, users::account_of},
    app,
    cli::{operator, output},
    domain::{ApiKey, ApiKeySecret, EventCode, KeyId, KeyName, KeyState, Subject, Timestamp},
    policy::{self, Roles},
    settings::{MAX_EXPIRY_DAYS, Settings, parse_duration},
    store::{KeyRotation, RotateOutcome, Stores},
};

/// Who makes a key by a command on this machine.
const OPERATOR: &str = "operator";
/// A day.
const DAY: Duration = Duration::from_secs(86_400);
/// Longest grace.
const MAX_GRACE: Duration = DAY.saturating_mul(30);

/// Arguments of `key create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Create {
    /// Whom the key speaks for, an account or a service.
    #[arg(long, value_name = "U")]
    user: Subject,
    /// What to call it, 1 to 100 characters.
    #[arg(long, value_name = "N")]
    name: KeyName,
    /// A permission that it carries, which its owner's account must hold; repeat for more.
    #[arg(long = "permission", value_name = "P", required = true)]
    permissions: Vec<String>,
    /// Life in days [default: api_keys.default_expiry_days].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=MAX_EXPIRY_DAYS))]
    expires_in_days: Option<u64>,
    /// A network or address from which alone it may be used; repeat for more.
    #[arg(long = "cidr", value_name = "NET", value_parser = network)]
    cidrs: Vec<IpNet>,
    /// Print {"api_key","key_id","expires_at"}.
    #[arg(long)]
    json: bool,
}

/// Arguments of `key rotate`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rotate {
    /// The key; if it has been rotated already, its newest successor is.
    id: KeyId,
    /// How long the old key lives on, at most 30d [default: api_keys.rotation_grace].
    #[arg(long, value_parser = grace)]
    grace: Option<Duration>,
    /// Print {"api_key","key_id","expires_at"}.
    #[arg(long)]
    json: bool,
}

impl Create {
    pub(super) async fn run(mut self, settings: &Settings) -> anyhow::Result<()> {
        let stores = app::open_store(settings).await?;
        self.permissions.sort_unstable();
        self.permissions.dedup();
        self.check(&stores, &app::roles(settings)?).await?;
        let days = self.expires_in_days.unwrap_or(settings.api_keys.default_expiry_days);
        let request = KeyRequest {
            owner: self.user,
            name: self.name,
            permissions: self.permissions,
            life: DAY.saturating_mul(u32::try_from(days)?),
            cidrs: self.cidrs,
            created_by: OPERATOR.to_owned(),
        };
        let (secret, key) = request.mint(Timestamp::now())?;
        stores.keys.insert(&secret.digest(), &key).await.context("no key was made")?;
        tell(settings, &stores, (EventCode::KeyCreated, None), (&secret, &key), self.json).await
    }

    /// Whether the permissions exist, and the owner holds them.
    async fn check(&self, stores: &Stores, roles: &Roles) -> anyhow::Result<()> {
        let catalogue = roles.catalogue();
        let unknown: Vec<_> = self.permissions.iter().filter(|name| catalogue.find(name).is_none()).collect();
        if let [first, ..] = unknown.as_slice() {
            let known: Vec<_> = catalogue.iter().map(|(_, name)| name).collect();
            bail!("there is no permission {first:?}; known: {}", known.join(", "));
        }
        let Some(user) = stores.users.find(&self.user).await? else {
            output::complain(&format!("there is no account {}: the key speaks for a service", self.user));
            return Ok(());
        };
        let Ok(held) = policy::standing(roles, Some(&account_of(&user)), (&[], &self.permissions)) else {
            bail!("the account {} is disabled", self.user)
        };
        let lacks = |name: &&String| catalogue.find(name).is_none_or(|one| !held.permissions.contains(one));
        match self.permissions.iter().find(lacks) {
            Some(name) => bail!("the account {} does not hold {name}", self.user),
            None => Ok(()),
        }
    }
}

impl Rotate {
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let stores = app::open_store(settings).await?;
        let secret = ApiKeySecret::generate()?;
        let rotation = KeyRotation {
            of: self.id,
            newest: true,
            successor: KeyId::new(),
            digest: secret.digest(),
            by: Some(OPERATOR.to_owned()),
            at: Timestamp::now(),
            grace: self.grace.unwrap_or(settings.api_keys.rotation_grace),
        };
        let (key, old) = match stores.keys.rotate(&rotation).await.context("no key was made")? {
            RotateOutcome::Done { successor, old } => (*successor, *old),
            RotateOutcome::Unknown => bail!("there is no key {}", self.id),
            RotateOutcome::Superseded => bail!("it is being rotated by somebody else"),
            RotateOutcome::Unusable => bail!("it is disabled, revoked or over: make a new key"),
        };
        tell(settings, &stores, (EventCode::KeyRotated, Some(&old)), (&secret, &key), self.json).await?;
        output::complain(&format!("the old key {} holds until {}", old.id, old.ends_at()));
        Ok(())
    }
}

/// Records the key, then prints it. One that cannot be recorded is taken back and not told.
async fn tell(
    settings: &Settings,
    stores: &Stores,
    (event, old): (EventCode, Option<&ApiKey>),
    (secret, key): (&ApiKeySecret, &ApiKey),
    as_json: bool,
) -> anyhow::Result<()> {
    let detail = json!({
        "key_id": key.id, "user_id": key.owner, "name": key.name.as_str(), "permissions": key.permissions,
        "expires_at": key.expires_at.to_string(), "cidrs": key.cidrs, "predecessor": key.predecessor,
        "grace_until": old.map(|old| old.ends_at().to_string()),
    });
    if let Err(error) = operator::record(settings, event, &detail).await {
        stores.keys.set_state(key.id, KeyState::Revoked).await.context("an unrecorded key is in force")?;
        return Err(error.context("the key could not be recorded and was taken back"));
    }
    if as_json {
        let shown = json!({
            "api_key": secret.expose(), "key_id": key.id, "expires_at": key.expires_at.to_string(),
        });
        output::say(&shown.to_string())?;
    } else {
        output::say(secret.expose())?;
    }
    output::complain(&format!(
        "key {} of {}, until {}; it is not shown again",
        key.id, key.owner, key.expires_at
    ));
    Ok(())
}

/// A network, or an address as the network of itself alone.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let one = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    text.parse::<IpNet>()
        .or_else(|_| one())
        .map_err(|_| "write a network or an address, for example 10.0.0.0/8")
}

fn grace(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text)
        .and_then(|grace| if grace <= MAX_GRACE { Ok(grace) } else { Err("must be at most 30d") })
}
