//! Starts, runs and drains the server.

use std::{io, pin::Pin, time::Duration};

use actix_web::{
    dev::{Server as ActixServer, ServerHandle},
    web::Data,
};
use zeroize::Zeroizing;

use super::{
    AppError, bootstrap,
    listeners::{admin_server, bind, main_server},
    lock::DataLock,
    open::Running,
    parts::Additions,
    run_file::RunFile,
    services::Threads,
    stop::{self, Signals},
};
use crate::{
    actors::{changes::Changes, tokens::Tokens, users::Users},
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
    house::House,
    settings::Settings,
    tools::AnyTool,
};

/// What serves one listener; it ends when it is told to, or because it cannot serve any more.
type Serving = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// A server that listens, and serves once it [runs](Server::run).
pub struct Server {
    house: Data<House>,
    handles: [ServerHandle; 2],
    serving: [Serving; 2],
    mcp_url: String,
    admin_url: String,
    first_password: Option<Zeroizing<String>>,
    warnings: Vec<String>,
    grace: Duration,
    drain_delay: Duration,
    threads: Threads,
    _run_file: RunFile,
    _lock: DataLock,
}

/// Puts everything together, from the store up, and binds both listeners. `more` are tools beside the
/// built-in ones. Must be called within an actix system.
///
/// # Errors
/// [`AppError`]: nothing is served.
pub async fn start(settings: &Settings, more: Vec<Box<dyn AnyTool>>) -> Result<Server, AppError> {
    start_with(settings, Additions { tools: more, ..Additions::default() }).await
}

/// As [`start`], with resources and prompts beside the built-in ones too.
///
/// # Errors
/// [`AppError`]: nothing is served.
pub async fn start_with(settings: &Settings, more: Additions) -> Result<Server, AppError> {
    let lock = DataLock::take(&settings.data_dir)?;
    let main = bind("server.port", settings.server.host, settings.server.port)?;
    let second = bind("admin.port", settings.admin.host, settings.admin.port)?;
    let scheme = if settings.server.tls.files().is_some() { "https" } else { "http" };
    let mcp_url = format!("{scheme}://{}/mcp", main.1);
    let admin_url = format!("http://{}", second.1);

    let Running { house, threads, stores, warnings } = Running::open(settings, more).await?;
    let makers = (house.services.users.hasher(), &house.services.audit);
    let first_password = bootstrap::first_account(settings, (&stores, &house.roles), makers).await?;
    let house = Data::new(house);
    let listeners = [main_server(settings, &house, main.0)?, admin_server(settings, &house, second.0)?];
    let run_file = RunFile::write(&settings.data_dir, &mcp_url, &admin_url)?;
    let mut started = AuditEvent::new(Timestamp::now(), EventCode::ServerStarted, Outcome::Ok);
    started.detail = Some(started_detail(settings, &house.services.tokens, "http").into());
    house.services.audit.record(started).await?;
    let (grace, drain_delay) = (settings.server.shutdown_grace, settings.server.drain_delay);
    Ok(Server {
        house,
        handles: listeners.each_ref().map(ActixServer::handle),
        serving: listeners.map(|listener| -> Serving { Box::pin(listener) }),
        mcp_url,
        admin_url,
        first_password,
        warnings,
        grace,
        drain_delay,
        threads,
        _run_file: run_file,
        _lock: lock,
    })
}

impl Server {
    /// Where MCP clients call.
    pub fn mcp_url(&self) -> &str {
        &self.mcp_url
    }

    /// Where operators look.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// The password of the account `admin`, if this start made it: nobody else knows it.
    pub fn first_password(&self) -> Option<&str> {
        self.first_password.as_ref().map(|password| password.as_str())
    }

    /// What an operator should know of how the store is run, each a sentence.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The JWT manager, to mint and revoke tokens from the same process.
    pub fn tokens(&self) -> &Tokens {
        &self.house.services.tokens
    }

    /// Tells of what changes under clients: whoever listens is told too.
    pub fn changes(&self) -> &Changes {
        &self.house.services.changes
    }

    /// The accounts.
    pub fn users(&self) -> &Users {
        &self.house.services.users
    }

    /// Serves until SIGTERM or SIGINT: then says for `server.drain_delay` that it is not ready, takes nothing new, finishes what is in flight within
    /// `server.shutdown_grace`, writes and signs the end of the audit log. A second signal ends the
    /// process at once, with exit code 1.
    ///
    /// # Errors
    /// [`AppError::Serving`] if a listener fails, [`AppError::Audit`] if the log cannot be ended.
    pub async fn run(self) -> Result<(), AppError> {
        self.run_until(std::future::pending()).await
    }

    /// As [`run`](Self::run), and stops in the same way once `stop` is ready: for a server that is part of
    /// a larger program.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        let serving = self.serving;
        let (served, signals) = match Signals::install() {
            Ok(mut signals) => (serve(serving, &mut signals, stop).await, Some(signals)),
            Err(cause) => {
                drop(serving);
                (Err(cause), None)
            }
        };
        if served.is_err() {
            // Why is for whoever gets the error, once everything is kept.
            tracing::error!("cannot serve any more: stopping");
        }
        // Whatever ended the serving, this is the one way out.
        let impatient = signals.map(|signals| actix::spawn(signals.exit_at_the_next()));
        if served.is_ok() {
            stop::leave(&self.house, self.drain_delay).await;
        }
        let drain = stop::drain(&self.house, &self.handles, self.grace);
        let stopped = stop::in_order(&self.house, drain, served.is_ok()).await;
        self.threads.stop();
        // A program that goes on without us handles its own signals.
        if let Some(impatient) = impatient {
            impatient.abort();
        }
        served.map_err(AppError::Serving)?;
        Ok(stopped?)
    }
}

/// Serves until a signal comes or `stop` is ready.
///
/// # Errors
/// That a listener ended, which nobody had asked for.
async fn serve(
    serving: [Serving; 2],
    signals: &mut Signals,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    // Tasks of their own: when one ends, the other must go on until it is told to stop.
    let [mut main, mut second] = serving.map(actix::spawn);
    let ended = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            return Ok(());
        }
        () = stop => {
            tracing::info!("stopping");
            return Ok(());
        }
        ended = &mut main => ended,
        ended = &mut second => ended,
    };
    ended.map_err(io::Error::other)??;
    Err(io::Error::other("a listener ended by itself"))
}

/// What an auditor wants to know of a start: among the rest, by which keys tokens hold from now on.
pub(super) fn started_detail(settings: &Settings, tokens: &Tokens, edge: &str) -> String {
    let keys = tokens.public_keys(Timestamp::now());
    let kids: Vec<_> = keys.iter().map(|key| &key["kid"]).collect();
    serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "profile": settings.profile.name(),
        "weakened": settings.weakenings(),
        "signing": { "algorithm": settings.jwt.algorithm.name(), "kids": kids },
        "edge": edge,
    })
    .to_string()
}

#[cfg(test)]
mod tests;
