//! Serves one local client over two pipes, with everything in force that is in force for the others.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use super::{
    AppError,
    open::Running,
    parts::Additions,
    serve::started_detail,
    stop::{self, Signals},
};
use crate::{
    domain::{ApiKeySecret, AuditEvent, EventCode, Outcome, Timestamp},
    files::private_dir,
    mcp::Session,
    settings::Settings,
};

/// Serves the client that writes to `input` and reads from `output`, one message a line, until its input ends or
/// SIGTERM or SIGINT comes: then what is in flight is finished within `server.shutdown_grace`, and the audit log is
/// ended and signed. `key` is looked at before the first message and again for each. `more` is there beside what is
/// built in. It works beside a server, and others of its kind, on one data directory. Must be called within an actix
/// system.
///
/// # Errors
/// [`AppError::NotAdmitted`] if the key opens nothing; any other [`AppError`] if nothing can be served, or the log
/// cannot be ended.
pub async fn stdio(
    settings: &Settings,
    more: Additions,
    key: ApiKeySecret,
    ends: (impl Read + Send + 'static, impl Write + Send + 'static),
) -> Result<(), AppError> {
    private_dir(&settings.data_dir).map_err(AppError::file(&settings.data_dir))?;
    let Running { house, threads, .. } = Running::open(settings, more).await?;
    let (house, grace) = (Arc::new(house), settings.server.shutdown_grace);
    let mut started = AuditEvent::new(Timestamp::now(), EventCode::ServerStarted, Outcome::Ok);
    started.detail = Some(started_detail(settings, &house.services.tokens, "stdio").into());
    house.services.audit.record(started).await?;
    let mut session = Session::open(Arc::clone(&house), key, ends).map_err(AppError::Serving)?;
    let mut signals = Signals::install().map_err(AppError::Serving)?;
    let admitted = session.admit().await.map_err(AppError::NotAdmitted);
    if admitted.is_ok() {
        tokio::select! {
            signal = signals.next() => tracing::info!(signal, "stopping"),
            () = session.serve(grace) => tracing::info!("the client has ended: stopping"),
        }
    }
    let impatient = actix::spawn(signals.exit_at_the_next());
    let stopped = stop::in_order(&house, session.drain(grace), true).await;
    threads.stop();
    impatient.abort();
    admitted?;
    Ok(stopped?)
}
