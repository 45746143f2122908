//! Stopping: on a signal, in order, within the grace; at once on a second one.

use std::{
    io,
    pin::pin,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    actors::audit::AuditError,
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
    error::Code,
    house::House,
};

/// Longest wait for the records of requests that were cut off.
const SETTLE_WITHIN: Duration = Duration::from_secs(3);

/// Longest wait for connections that were cut off.
const CUT_WITHIN: Duration = Duration::from_secs(1);

/// SIGTERM and SIGINT, from whom the second of either ends the process at once.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes both signals over.
    pub(super) fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them; gives its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ends the process at the next of them.
    pub(super) async fn exit_at_the_next(mut self) {
        let signal = self.next().await;
        tracing::warn!(signal, "stopping at once");
        std::process::exit(1);
    }
}

/// Serves on for `delay` and says that it is about to stop, so that load balancers and clients have looked for another
/// server by the time that it does: a request sent on a connection that is just being closed is lost.
pub(super) async fn leave(house: &House, delay: Duration) {
    house.leaving.store(true, Ordering::Relaxed);
    if !delay.is_zero() {
        tracing::info!(?delay, "not ready any more, serving on");
        tokio::time::sleep(delay).await;
    }
}

/// Takes nothing new, finishes what is in flight as `drain` does, keeps what was counted and used up, and
/// writes and signs the end of the audit log: every step is taken, whatever became of the one before.
/// `as_asked` is false if the server stops because it could not serve any more.
///
/// # Errors
/// [`AuditError`]: the log has no signed end.
pub(super) async fn in_order(
    house: &House,
    drain: impl Future<Output = ()>,
    as_asked: bool,
) -> Result<(), AuditError> {
    house.closing.store(true, Ordering::Release);
    drain.await;
    let services = &house.services;
    services.tasks.close().await;
    services.limiter.close().await;
    // What was cut off at the end of the grace is dropped on the workers' own threads, each writing its
    // record as it goes: the log must not end before they have.
    if !services.audit.settled(SETTLE_WITHIN).await {
        tracing::error!("some requests that were cut off have not been recorded");
    }
    services.keys.close().await;
    let outcome = if as_asked { Outcome::Ok } else { Outcome::Failed };
    let mut stopped = AuditEvent::new(Timestamp::now(), EventCode::ServerStopped, outcome);
    stopped.reason = (!as_asked).then(|| Code::Internal.reason());
    let recorded = services.audit.record(stopped).await;
    let closed = services.audit.close().await;
    if let Some(shipper) = &services.shipper {
        shipper.close().await;
    }
    closed.and(recorded)
}

/// Stops both listeners gracefully; what is not done within `grace`, errands and requests together, is cut off then,
/// and recorded as cancelled.
pub(super) async fn drain(house: &House, [main, second]: &[ServerHandle; 2], grace: Duration) {
    let began = Instant::now();
    // actix waits for connections only, and errands of whoever has hung up would end with their workers.
    let errands = async {
        tokio::join!(house.errands.finish(), house.detached.finish(), house.services.tasks.finish())
    };
    let _over = tokio::time::timeout(grace, errands).await;
    let left = grace.saturating_sub(began.elapsed());
    let mut graceful = pin!(async { tokio::join!(main.stop(true), second.stop(true)) });
    if tokio::time::timeout(left, graceful.as_mut()).await.is_ok() {
        return;
    }
    tracing::warn!("some requests did not end within server.shutdown_grace");
    // actix has the same grace from now on, and once it has begun to stop it does not hear that it shall hurry: but
    // without connections there is nothing that it waits for.
    house.cut.send_replace(true);
    if tokio::time::timeout(CUT_WITHIN, graceful).await.is_err() {
        tracing::error!("some connections did not end");
    }
}
