//! The command line: one file a verb family. The only room that uses `anyhow`, since its errors end here.

mod audit;
mod check;
mod completions;
mod context;
mod health;
mod key;
mod operator;
mod output;
mod password;
mod policy;
mod serve;
mod stdio;
mod store;
mod token;
mod user;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};

use self::context::Context;

/// A secure MCP server: who is calling, what may they do, and what happened.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Example:\n  portcullis serve --profile production --settings /etc/portcullis")]
struct Cli {
    /// Folder of the settings files.
    #[arg(long, global = true, value_name = "DIR", default_value = "settings")]
    settings: PathBuf,
    /// Which profile: development, production, loadtest or one of your own.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "PORTCULLIS_PROFILE",
        default_value = "development"
    )]
    profile: String,
    /// A setting for this command alone, over all files and variables; repeat for more. Not for secrets.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = setting)]
    overrides: Vec<(String, String)>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve until a signal comes; this is also what no verb at all does.
    #[command(after_help = "Example:\n  portcullis serve --profile development")]
    Serve,
    /// Serve the local client that starts this, over standard input and output, with the key in PORTCULLIS_API_KEY.
    #[command(after_help = "Example:\n  PORTCULLIS_API_KEY=mcp_… portcullis stdio --profile production")]
    Stdio,
    /// Load and check everything without serving; say every problem, then who may call what.
    #[command(after_help = "Example:\n  portcullis check --profile production --json")]
    Check(check::Check),
    /// Ask the running server whether it is ready, as a load balancer does; exit code 1 if it is not.
    #[command(
        after_help = "Example:\n  portcullis health\n  portcullis health --url https://gate.example/health/ready"
    )]
    Health(health::Health),
    /// Issue, revoke and inspect access tokens.
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Make, rotate and take back API keys.
    #[command(subcommand)]
    Key(key::KeyVerb),
    /// Make, list and change accounts.
    #[command(subcommand)]
    User(user::UserVerb),
    /// Read and verify the audit log.
    #[command(subcommand)]
    Audit(audit::AuditVerb),
    /// Move the store as a whole.
    #[command(subcommand)]
    Store(store::StoreVerb),
    /// Say what is allowed, and by which rule.
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// Print the completions for a shell.
    #[command(after_help = "Example:\n  portcullis completions bash > /etc/bash_completion.d/portcullis")]
    Completions(completions::Completions),
}

/// Runs the command of this process: exit code 0, 1 if it was refused or failed, 2 for wrong usage.
pub fn main() -> ExitCode {
    let cli = parse(std::env::args_os().collect()).unwrap_or_else(|error| error.exit());
    let context = Context { dir: cli.settings, profile: cli.profile, overrides: cli.overrides };
    let done = match cli.verb.unwrap_or(Verb::Serve) {
        Verb::Serve => serve::run(&context),
        Verb::Stdio => stdio::run(&context),
        Verb::Check(check) => check.run(&context),
        Verb::Health(health) => health.run(&context),
        Verb::Token(verb) => verb.run(&context),
        Verb::Key(verb) => verb.run(&context),
        Verb::User(verb) => verb.run(&context),
        Verb::Audit(verb) => verb.run(&context),
        Verb::Store(verb) => verb.run(&context),
        Verb::Policy(verb) => verb.run(&context),
        Verb::Completions(completions) => completions.run(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("portcullis: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What the command line says. clap keeps the values of a global option from one side of the verb alone; a
/// setting that is silently dropped could be one that protects, so both sides together are refused.
fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let is_set = |argument: &&OsString| {
        *argument == "--set" || argument.to_str().is_some_and(|text| text.starts_with("--set="))
    };
    let written = arguments.iter().filter(is_set).count();
    let cli = Cli::try_parse_from(arguments)?;
    let refuse = |kind, why| Err(Cli::command().error(kind, why));
    // Every user of the machine can read a command line. Refused here, since clap would repeat the value.
    if cli.overrides.iter().any(|(key, _)| key == "jwt.secret") {
        let why = "--set takes no secret: use jwt.secret_file or the variable JWT_SECRET_KEY";
        return refuse(ErrorKind::InvalidValue, why);
    }
    if cli.overrides.len() != written {
        return refuse(ErrorKind::ArgumentConflict, "write every --set on the same side of the verb");
    }
    Ok(cli)
}

/// `KEY=VALUE`, the value written like that of a variable.
fn setting(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example server.port=8081"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        super::parse(["portcullis"].iter().chain(arguments).map(Into::into).collect())
    }

    #[test]
    fn settings_of_the_command_line_have_the_last_word() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("local.toml"), "[server]\nport = 7001\nworkers = 3").unwrap();
        for arguments in [
            &["--set", "server.port=7002", "--set", "policy.denied=hide", "check"][..],
            &["check", "--set=server.port=7002", "--set=policy.denied=hide"],
        ] {
            let overrides = parse(arguments).unwrap().overrides;
            let profile = "development".to_owned();
            let settings = Context { dir: folder.path().into(), profile, overrides }.settings().unwrap();
            assert_eq!((settings.server.port, settings.server.workers), (7002, 3), "{arguments:?}");
            assert_eq!(settings.policy.denied, crate::settings::Denied::Hide);
        }
    }

    #[test]
    fn a_setting_without_a_key_or_value_is_wrong_usage() {
        for wrong in ["server.port", "=1", ""] {
            assert_eq!(parse(&["--set", wrong]).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn a_secret_is_not_taken_from_the_command_line() {
        let refused = parse(&["--set", "jwt.secret=k2J8fPq0Zr5LwXc7Yv1NbT4mHs9GdU3e"]).unwrap_err();
        assert!(refused.to_string().contains("jwt.secret_file"), "{refused}");
        assert!(!refused.to_string().contains("k2J8"), "it is repeated: {refused}");
        assert_eq!(refused.exit_code(), 2);
    }

    #[test]
    fn no_setting_is_dropped_silently() {
        let refused = parse(&["--set", "server.port=1", "check", "--set", "admin.port=2"]).unwrap_err();
        assert!(refused.to_string().contains("same side of the verb"), "{refused}");
        assert_eq!(refused.exit_code(), 2);
    }
}
