//! The command line: one file a verb family. The only room that uses `anyhow`, since its errors end here.

mod audit;
mod check;
mod completions;
mod context;
mod operator;
mod output;
mod policy;
mod serve;
mod token;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::context::Context;

/// A secure MCP server: who is calling, what may they do, and what happened.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, propagate_version = true, max_term_width = 100)]
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
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve until a signal comes; this is also what no verb at all does.
    #[command(after_help = "Example:\n  portcullis serve --profile development")]
    Serve,
    /// Load and check everything without serving; say every problem, then who may call what.
    #[command(after_help = "Example:\n  portcullis check --profile production --json")]
    Check(check::Check),
    /// Issue, revoke and inspect access tokens.
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Read and verify the audit log.
    #[command(subcommand)]
    Audit(audit::AuditVerb),
    /// Say what is allowed, and by which rule.
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// Print the completions for a shell.
    #[command(after_help = "Example:\n  portcullis completions bash > /etc/bash_completion.d/portcullis")]
    Completions(completions::Completions),
}

/// Runs the command of this process: exit code 0, 1 if it was refused or failed, 2 for wrong usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context { dir: cli.settings, profile: cli.profile };
    let done = match cli.verb.unwrap_or(Verb::Serve) {
        Verb::Serve => serve::run(&context),
        Verb::Check(check) => check.run(&context),
        Verb::Token(verb) => verb.run(&context),
        Verb::Audit(verb) => verb.run(&context),
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
