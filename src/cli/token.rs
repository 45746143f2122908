//! `portcullis token issue|revoke|inspect`.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    context::{Context, in_system},
    operator, output,
};
use crate::{
    actors::{
        audit,
        tokens::{Keyring, MintRequest, MintedPair, TokenError, is_id, is_in_force},
    },
    app,
    auth::grants,
    domain::{AccessClaims, EventCode, Subject, Timestamp},
    error::Coded,
    settings::{Settings, parse_duration},
    store::{MOST_FAMILIES, Revocation, RevocationTarget},
};

/// Verbs about access tokens.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TokenVerb {
    /// Mint an access token and print it alone on standard output.
    #[command(after_help = "Example:\n  T=$(portcullis token issue --user alice --role user --ttl 1h)")]
    Issue(Issue),
    /// Take a token back, or everything of a user or a client; in force everywhere within a second.
    #[command(after_help = "Example:\n  portcullis token revoke --user alice")]
    Revoke(Revoke),
    /// Say what a token says, whether it holds, and how often it was used.
    #[command(after_help = "Example:\n  portcullis token inspect \"$T\"")]
    Inspect(Inspect),
}

/// Arguments of `token issue`.
#[derive(Debug, clap::Args)]
pub(super) struct Issue {
    /// Whom the token speaks for, an account or a service.
    #[arg(long, value_name = "U")]
    user: Subject,
    /// A role that it carries; repeat for more. Without roles and permissions: those of the account.
    #[arg(long = "role", value_name = "R")]
    roles: Vec<String>,
    /// A single permission that it carries; repeat for more.
    #[arg(long = "permission", value_name = "P")]
    permissions: Vec<String>,
    /// How long it lives, for example 30m; at most jwt.max_ttl [default: jwt.access_ttl].
    #[arg(long, value_parser = parse_duration)]
    ttl: Option<Duration>,
    /// The client that gets it.
    #[arg(long, value_name = "C", default_value = "cli", value_parser = id)]
    client: String,
    /// Mint a refresh token too, and print the whole pair as JSON.
    #[arg(long)]
    refresh: bool,
    /// Print {"access_token","token_type","expires_in"}.
    #[arg(long)]
    json: bool,
}

/// Arguments of `token revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    what: Revoked,
    /// Print {"revoked","target","confirmed"}; confirmed is false if no replica of the store has said that it has it.
    #[arg(long)]
    json: bool,
}

/// What `token revoke` takes back.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Revoked {
    /// The token itself.
    token: Option<String>,
    /// The id of a token.
    #[arg(long, value_name = "J", value_parser = id)]
    jti: Option<String>,
    /// Every token issued to this user until now.
    #[arg(long, value_name = "U")]
    user: Option<Subject>,
    /// Every token issued to this client until now.
    #[arg(long, value_name = "C", value_parser = id)]
    client: Option<String>,
}

/// Arguments of `token inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct Inspect {
    /// The token.
    token: String,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

impl TokenVerb {
    /// Runs the verb.
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let settings = context.settings()?;
        in_system(async {
            match self {
                Self::Issue(issue) => issue.run(&settings).await,
                Self::Revoke(revoke) => revoke.run(&settings).await,
                Self::Inspect(inspect) => inspect.run(&settings).await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Issue {
    async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let known = app::roles(settings)?;
        let unknown = known.grant(&self.roles, &self.permissions).unknown;
        if !unknown.is_empty() {
            bail!(
                "unknown role or permission: {}; known roles: {}",
                unknown.join(", "),
                known.names().collect::<Vec<_>>().join(", ")
            );
        }
        let roles = if self.roles.is_empty() && self.permissions.is_empty() {
            let account = app::open_store(settings).await?.users.find(&self.user).await?;
            let Some(account) = account else {
                bail!("there is no account {}: name a --role or a --permission", self.user)
            };
            account.roles
        } else {
            self.roles
        };
        let ttl = self.ttl.unwrap_or(settings.jwt.access_ttl);
        let (subject, client, permissions) = (self.user, self.client, self.permissions);
        let request = MintRequest { subject, client, roles, permissions, ttl };
        let keyring = app::keyring(settings)?;
        if self.refresh {
            return output::say(&pair(settings, &keyring, &request).await?).map(drop);
        }
        let minted = keyring.mint(&request, Timestamp::now())?;
        operator::record(settings, EventCode::TokenIssued, &detail(&minted.claims))
            .await
            .context("the token is not issued")?;
        if self.json {
            let pair =
                json!({ "access_token": minted.token, "token_type": "bearer", "expires_in": ttl.as_secs() });
            output::say(&pair.to_string())?;
        } else {
            output::say(&minted.token)?;
        }
        Ok(())
    }
}

/// What a record says of a token.
fn detail(claims: &AccessClaims) -> Value {
    json!({
        "sub": claims.sub, "jti": claims.jti, "exp": claims.exp, "client_id": claims.client_id,
        "roles": claims.roles, "permissions": claims.permissions,
    })
}

/// A pair and the family that begins with it, as the text to print.
async fn pair(settings: &Settings, keyring: &Keyring, request: &MintRequest) -> anyhow::Result<String> {
    let (stores, now) = (app::open_store(settings).await?, Timestamp::now());
    let access = keyring.mint(request, now)?;
    let family = grants::new_family();
    let refresh = keyring.mint_refresh(&request.subject, &family, settings.jwt.refresh_ttl, now)?;
    let minted = MintedPair { access, refresh };
    let has_account = stores.users.find(&request.subject).await?.is_some();
    let (family, first) = grants::founded(&minted, has_account, settings.jwt.leeway)?;
    let detail = json!({ "family": family.id, "access": detail(&minted.access.claims) });
    let mut ended = Vec::new();
    let founding = async {
        ended = stores.families.found(&family, &first, now).await?.ended;
        Ok(())
    };
    operator::recorded(settings, EventCode::TokenIssued, &detail, founding)
        .await
        .context("the pair is not issued")?;
    if !ended.is_empty() {
        let detail = json!({ "account": request.subject, "ended": ended });
        operator::record(settings, EventCode::TokenRevoked, &detail).await?;
        output::complain(&format!(
            "{} has more than {MOST_FAMILIES} pairs: the one that was not used for longest has ended",
            request.subject
        ));
    }
    Ok(grants::pair_body(&minted))
}

impl Revoke {
    async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let longest = now.plus(settings.jwt.max_ttl).plus(settings.jwt.leeway);
        let (target, until) = if let Some(token) = &self.what.token {
            let keyring = app::keyring(settings)?;
            match keyring.verify(token, now) {
                Ok(claims) => (
                    RevocationTarget::Jti(claims.jti),
                    Timestamp::from_secs(claims.exp).plus(settings.jwt.leeway),
                ),
                Err(TokenError::Expired) => {
                    output::complain("the token has expired: nothing to revoke");
                    return Ok(());
                }
                // A refresh token ends with everything that descends from its login.
                Err(TokenError::WrongType) => match keyring.verify_refresh(token, now) {
                    Ok(claims) => (
                        RevocationTarget::Jti(claims.family),
                        Timestamp::from_secs(claims.exp).plus(settings.jwt.leeway),
                    ),
                    Err(error) => bail!("this is not a token of this server: {error}"),
                },
                Err(error) => bail!("this is not a token of this server: {error}"),
            }
        } else if let Some(user) = self.what.user {
            (RevocationTarget::Subject(user.as_str().to_owned()), longest)
        } else if let Some(client) = self.what.client {
            (RevocationTarget::Client(client), longest)
        } else {
            (RevocationTarget::Jti(self.what.jti.unwrap_or_default()), longest)
        };
        let revocation = Revocation { target, at: now, until };
        // In force first, recorded second: of the two, a credential that lives on is the worse.
        let stores = app::open_store(settings).await?;
        stores.revocations.revoke(&revocation).await.context("nothing was revoked")?;
        let is_confirmed = stores.unconfirmed.so_far() == 0;
        let detail = json!({ "target": revocation.target });
        operator::record(settings, EventCode::TokenRevoked, &detail)
            .await
            .context("it is revoked, but not recorded")?;
        if self.json {
            let shown = json!({ "revoked": true, "target": revocation.target, "confirmed": is_confirmed });
            output::say(&shown.to_string())?;
        }
        output::complain("revoked; in force everywhere within a second");
        output::complain_unless(is_confirmed);
        Ok(())
    }
}

impl Inspect {
    async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let verified = app::keyring(settings)?.verify(&self.token, now);
        let revocations = app::open_store(settings).await?.revocations.live(now).await?;
        let reason = match &verified {
            Ok(claims) if is_in_force(&revocations, claims) => Some(TokenError::Revoked.code().reason()),
            Ok(_) => None,
            Err(error) => Some(error.code().reason()),
        };
        let mut segments = self.token.split('.').map(segment);
        let (header, claims) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
        let used = match claims.get("jti").and_then(Value::as_str) {
            Some(jti) => Some(audit::usage(&settings.data_dir, jti)?),
            None => None,
        };
        let shown = json!({
            "valid": reason.is_none(),
            "reason": reason,
            "header": header,
            "claims": claims,
            "usage_count": used.as_ref().map_or(0, |used| used.count),
            "last_used": used.and_then(|used| used.last_used),
        });
        output::say(&if self.json { shown.to_string() } else { serde_json::to_string_pretty(&shown)? })?;
        Ok(())
    }
}

/// An id as it may stand in a token.
fn id(text: &str) -> Result<String, &'static str> {
    if is_id(text) { Ok(text.to_owned()) } else { Err("must be 1 to 128 visible ASCII characters") }
}

/// A segment of a token as JSON; null if it is none.
fn segment(text: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}
