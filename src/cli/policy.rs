//! `portcullis policy explain`.

use std::{process::ExitCode, sync::Arc};

use anyhow::bail;
use serde_json::json;

use super::{
    context::{Context, in_system},
    key, operator, output,
};
use crate::{
    app,
    domain::{KeyId, Principal, Subject},
    policy::{self, CallTool, Grant, Roles},
    settings::Settings,
    tools::{Entry, Registry},
};

/// Verbs about the policy.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PolicyVerb {
    /// Say for each tool whether it may be called, and by which rule.
    #[command(after_help = "Example:\n  portcullis policy explain --role guest --tool list_users")]
    Explain(Explain),
}

/// Arguments of `policy explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    #[command(flatten)]
    subject: Asked,
    /// Only this tool.
    #[arg(long, value_name = "T")]
    tool: Option<String>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// For whom.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Asked {
    /// The account of this user.
    #[arg(long, value_name = "U")]
    user: Option<Subject>,
    /// This role.
    #[arg(long, value_name = "R")]
    role: Option<String>,
    /// This API key.
    #[arg(long, value_name = "ID")]
    key: Option<KeyId>,
}

impl PolicyVerb {
    /// Runs the verb.
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Self::Explain(explain) = self;
        let settings = context.settings()?;
        in_system(explain.run(&settings))
    }
}

impl Explain {
    async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let roles = app::roles(settings)?;
        let registry = app::bare_registry(settings, &roles)?;
        let (subject, held, refused) = self.held(settings, &roles).await?;
        let principal = operator::principal(held)?;
        for entry in self.wanted(&registry)? {
            let name = entry.spec().name;
            let (allowed, rule) = match refused {
                None => explain(&roles, &principal, entry),
                Some(why) => (false, why.to_owned()),
            };
            let missing = (!allowed && refused.is_none()).then(|| roles.catalogue().name(entry.needs()));
            if self.json {
                let line = json!({ "subject": subject, "tool": name, "allowed": allowed, "rule": rule, "missing": missing });
                output::say(&line.to_string())?;
            } else {
                let word = if allowed { "allowed" } else { "denied " };
                output::say(&format!("{word} {name:<24} {rule}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The subject as it is shown, what it holds, and why it is not let in at all, if it is not.
    async fn held(
        &self,
        settings: &Settings,
        roles: &Roles,
    ) -> anyhow::Result<(String, Grant, Option<&'static str>)> {
        if let Some(id) = self.subject.key {
            let (held, refused) = key::held(settings, roles, id).await?;
            return Ok((format!("key:{id}"), held, refused));
        }
        if let Some(user) = &self.subject.user {
            let Some(account) = app::open_store(settings).await?.users.find(user).await? else {
                bail!("there is no account {user}")
            };
            let refused = (!account.active).then_some("the account is disabled");
            return Ok((format!("user:{user}"), roles.grant(&account.roles, &[]), refused));
        }
        let role = self.subject.role.clone().unwrap_or_default();
        if roles.permissions_of(&role).is_none() {
            bail!("there is no role {role}; known: {}", roles.names().collect::<Vec<_>>().join(", "));
        }
        let held = roles.grant(std::slice::from_ref(&role), &[]);
        Ok((format!("role:{role}"), held, None))
    }

    fn wanted<'a>(&self, registry: &'a Registry) -> anyhow::Result<Vec<&'a Entry>> {
        match &self.tool {
            None => Ok(registry.iter().collect()),
            Some(name) => match registry.find(name) {
                Some(entry) => Ok(vec![entry]),
                None => bail!("there is no tool {name}"),
            },
        }
    }
}

/// The decision itself, not a copy of it, and the rule that made it.
fn explain(roles: &Roles, principal: &Arc<Principal>, entry: &Entry) -> (bool, String) {
    match policy::decide::<CallTool>(principal, entry.needs()) {
        Ok(_permit) => {
            let rule = principal.roles.iter().find_map(|role| roles.rule_for(role, entry.needs()));
            (true, rule.unwrap_or_else(|| "single permission".to_owned()))
        }
        Err(denied) => (false, format!("no rule gives {}", roles.catalogue().name(denied.missing))),
    }
}
