//! `portcullis user add|list|roles|disable|enable|passwd`.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    context::{Context, in_system},
    operator, output, password,
};
use crate::{
    actors::users::{HashCost, Hasher},
    app,
    domain::{EventCode, Password, Subject, Timestamp},
    settings::Settings,
    store::{Revocation, RevocationTarget, Stores, User, UserChange},
};

/// The role of an account that is made without one.
const DEFAULT_ROLE: &str = "user";

/// Verbs about accounts.
#[derive(Debug, clap::Subcommand)]
pub(super) enum UserVerb {
    /// Make an account; its password is asked on the terminal.
    #[command(after_help = "Example:\n  portcullis user add alice --role premium")]
    Add(Add),
    /// List the accounts, by name.
    #[command(after_help = "Example:\n  portcullis user list --json")]
    List(List),
    /// Give an account these roles instead of those it has; in force everywhere within a second.
    #[command(after_help = "Example:\n  portcullis user roles alice user premium")]
    Roles(Roles),
    /// Let nobody in by an account; in force everywhere within a second, live tokens included.
    #[command(after_help = "Example:\n  portcullis user disable alice")]
    Disable(Named),
    /// Let an account in again.
    #[command(after_help = "Example:\n  portcullis user enable alice")]
    Enable(Named),
    /// Give an account another password; every token of it that is out ends.
    #[command(after_help = "Example:\n  portcullis user passwd alice")]
    Passwd(Passwd),
}

/// Arguments of `user add`.
#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The name: 1 to 64 of A-Z a-z 0-9 . _ @ -
    #[arg(value_name = "U")]
    user: Subject,
    /// A role that it has; repeat for more [default: user].
    #[arg(long = "role", value_name = "R")]
    roles: Vec<String>,
    /// Read the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Print the account as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `user list`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Arguments of `user roles`.
#[derive(Debug, clap::Args)]
pub(super) struct Roles {
    /// Whose.
    #[arg(value_name = "U")]
    user: Subject,
    /// The roles from now on.
    #[arg(value_name = "R", required = true)]
    roles: Vec<String>,
}

/// Arguments of `user disable` and `user enable`.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// Which.
    #[arg(value_name = "U")]
    user: Subject,
}

/// Arguments of `user passwd`.
#[derive(Debug, clap::Args)]
pub(super) struct Passwd {
    /// Whose.
    #[arg(value_name = "U")]
    user: Subject,
    /// Read the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
}

impl UserVerb {
    /// Runs the verb.
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let settings = context.settings()?;
        in_system(async {
            match self {
                Self::Add(add) => add.run(&settings).await,
                Self::List(list) => list.run(&settings).await,
                Self::Roles(roles) => roles.run(&settings).await,
                Self::Disable(named) => set_active(&settings, &named.user, false).await,
                Self::Enable(named) => set_active(&settings, &named.user, true).await,
                Self::Passwd(passwd) => passwd.run(&settings).await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Add {
    async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let roles = if self.roles.is_empty() { vec![DEFAULT_ROLE.to_owned()] } else { self.roles };
        refuse_unknown(settings, &roles)?;
        let hash = digest(&password::ask(self.password_stdin)?)?;
        let stores = app::open_store(settings).await?;
        let user = User {
            id: Uuid::now_v7(),
            username: self.user,
            roles,
            active: true,
            created_at: Timestamp::now(),
            last_login: None,
        };
        let detail = json!({ "user": user.username, "change": "added", "roles": user.roles });
        let adding = async { Ok(stores.users.add(&user, &hash, false).await.map(drop)?) };
        operator::recorded(settings, EventCode::UserChanged, &detail, adding).await?;
        if self.json {
            output::say(&shown(&user).to_string())?;
        } else {
            output::complain(&format!("{} can log in", user.username));
        }
        Ok(())
    }
}

impl List {
    async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        let stores = app::open_store(settings).await?;
        let mut last: Option<Subject> = None;
        loop {
            let page = stores.users.after(last.as_ref()).await?;
            let Some(end) = page.last() else { return Ok(()) };
            last = Some(end.username.clone());
            for user in &page {
                let line = if self.json { shown(user).to_string() } else { line(user) };
                if !output::say(&line)? {
                    return Ok(());
                }
            }
        }
    }
}

impl Roles {
    async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        refuse_unknown(settings, &self.roles)?;
        let detail = json!({ "user": self.user, "roles": self.roles });
        let change = UserChange::Roles(self.roles);
        apply(settings, &self.user, &change, (EventCode::RoleChanged, &detail)).await?;
        output::complain("in force everywhere within a second");
        Ok(())
    }
}

impl Passwd {
    async fn run(self, settings: &Settings) -> anyhow::Result<()> {
        find(&app::open_store(settings).await?, &self.user).await?;
        let hash = digest(&password::ask(self.password_stdin)?)?;
        let now = Timestamp::now();
        let until = now.plus(settings.jwt.max_ttl).plus(settings.jwt.leeway);
        let target = RevocationTarget::Subject(self.user.as_str().to_owned());
        let change = UserChange::Password { hash, revocation: Revocation { target, at: now, until } };
        let detail = json!({ "user": self.user, "change": "password" });
        apply(settings, &self.user, &change, (EventCode::UserChanged, &detail)).await?;
        output::complain("changed; every token of the account ends within a second");
        Ok(())
    }
}

async fn set_active(settings: &Settings, user: &Subject, active: bool) -> anyhow::Result<()> {
    let detail = json!({ "user": user, "change": if active { "enabled" } else { "disabled" } });
    apply(settings, user, &UserChange::Active(active), (EventCode::UserChanged, &detail)).await?;
    output::complain("in force everywhere within a second");
    Ok(())
}

/// Makes the change and records it: the record's place is reserved before.
async fn apply(
    settings: &Settings,
    user: &Subject,
    change: &UserChange,
    (event, detail): (EventCode, &Value),
) -> anyhow::Result<()> {
    let stores = app::open_store(settings).await?;
    find(&stores, user).await?;
    let administrators = app::administrators(&app::roles(settings)?);
    let changing = async { Ok(stores.users.change(user, change, &administrators).await?) };
    operator::recorded(settings, event, detail, changing).await
}

async fn find(stores: &Stores, user: &Subject) -> anyhow::Result<User> {
    match stores.users.find(user).await? {
        Some(known) => Ok(known),
        None => bail!("there is no account {user}"),
    }
}

fn digest(password: &Password) -> anyhow::Result<String> {
    Ok(Hasher::new(HashCost::default())?.hash(password)?)
}

fn refuse_unknown(settings: &Settings, roles: &[String]) -> anyhow::Result<()> {
    let known = app::roles(settings)?;
    let unknown = known.grant(roles, &[]).unknown;
    if unknown.is_empty() {
        return Ok(());
    }
    let names = known.names().collect::<Vec<_>>().join(", ");
    bail!("unknown role: {}; known roles: {names}", unknown.join(", "))
}

/// An account as JSON, in the words of the tool `list_users`.
fn shown(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "roles": user.roles,
        "active": user.active,
        "created_at": user.created_at.to_string(),
        "last_login": user.last_login.map(|at| at.to_string()),
    })
}

fn line(user: &User) -> String {
    let state = if user.active { "active  " } else { "disabled" };
    let seen = user.last_login.map_or_else(|| "never logged in".to_owned(), |at| format!("last login {at}"));
    format!("{:<24} {state} {:<24} {seen}", user.username.as_str(), user.roles.join(","))
}
