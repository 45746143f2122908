//! `portcullis check`.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::{context::Context, operator, output};
use crate::{
    app::{self, AppError},
    policy::{self, CallTool, Roles},
    settings::{Problem, Settings},
    tools::{Entry, Registry},
};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What one role may do.
#[derive(Debug, Serialize)]
struct Access {
    role: String,
    tools: Vec<String>,
    permissions: Vec<String>,
}

impl Check {
    /// Says every problem, then who may call what; exit code 1 on any problem.
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let (access, problems, warnings) = match context.load() {
            Err(invalid) => (Vec::new(), invalid.problems, Vec::new()),
            Ok(loaded) => match parts(&loaded.settings) {
                Ok(parts) => (access(&parts)?, Vec::new(), loaded.warnings),
                Err(error) => (Vec::new(), error.problems(), loaded.warnings),
            },
        };
        let ok = problems.is_empty();
        if self.json {
            let shown: Vec<_> = problems
                .iter()
                .map(|p| json!({ "key": p.key, "problem": p.problem, "fix": p.fix }))
                .collect();
            output::say(&json!({ "ok": ok, "problems": shown, "access": access }).to_string())?;
        } else {
            print(&access, &problems, &warnings)?;
        }
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What only shows when the parts are put together: certificate, roles, tools.
fn parts(settings: &Settings) -> Result<(Roles, Registry), AppError> {
    app::check_tls(settings)?;
    let roles = app::roles(settings)?;
    let registry = app::bare_registry(settings, &roles)?;
    app::limits(settings, &roles, &registry).map_err(AppError::Limits)?;
    app::prompts(settings, &roles, Vec::new()).read().map_err(AppError::Prompts)?;
    Ok((roles, registry))
}

/// What each role may do, by the decision that serves requests.
fn access((roles, registry): &(Roles, Registry)) -> anyhow::Result<Vec<Access>> {
    let of = |name: &str| {
        let principal = operator::principal(roles.grant(&[name], &[]))?;
        let may = |entry: &&Entry| policy::decide::<CallTool>(&principal, entry.needs()).is_ok();
        let permissions = roles.catalogue().names(principal.permissions);
        Ok(Access {
            role: name.to_owned(),
            tools: registry.iter().filter(may).map(|entry| entry.spec().name.to_owned()).collect(),
            permissions: permissions.into_iter().map(str::to_owned).collect(),
        })
    };
    roles.names().map(of).collect()
}

fn print(access: &[Access], problems: &[Problem], warnings: &[Problem]) -> anyhow::Result<()> {
    for warning in warnings {
        output::complain(&format!("warning: {}: {}; {}", warning.key, warning.problem, warning.fix));
    }
    for problem in problems {
        output::complain(&format!("{}: {}; {}", problem.key, problem.problem, problem.fix));
    }
    if !problems.is_empty() {
        output::complain(&format!("{} problem(s)", problems.len()));
        return Ok(());
    }
    output::say("The settings hold. Who may call what:")?;
    for one in access {
        output::say(&format!("  {:<12} tools: {}", one.role, shown(&one.tools)))?;
        output::say(&format!("  {:<12} permissions: {}", "", shown(&one.permissions)))?;
    }
    Ok(())
}

fn shown(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
