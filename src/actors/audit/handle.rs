//! The handle: what the rest of the house holds of the log.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actix::ArbiterHandle;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    actor::{AuditActor, Close},
    config::AuditConfig,
    disk::{Disk, RealDisk},
    error::AuditError,
    home::Home,
    journal::Desk,
    keys::Signer,
    lane::Lane,
    shared::{CommitHook, Shared, Status},
};
use crate::{
    actors::kit::{Fault, keep},
    domain::AuditEvent,
};

/// Longest wait for the last commit.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is looked whether everything is settled: once in a process's life, so no event is made for it.
const SETTLE_POLL: Duration = Duration::from_millis(5);

/// The audit log of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit {
    shared: Arc<Shared>,
    /// For events that are too rare to have a worker's lane.
    own: Lane,
}

impl Audit {
    /// Takes a slot below `config.dir` and starts the writer on `arbiter`, a thread of its own.
    ///
    /// # Errors
    /// [`AuditError`]: a log that cannot be written at start refuses to start.
    pub async fn start(arbiter: &ArbiterHandle, config: AuditConfig) -> Result<Self, AuditError> {
        Self::start_on(arbiter, config, Arc::new(RealDisk)).await
    }

    pub(super) async fn start_on(
        arbiter: &ArbiterHandle,
        config: AuditConfig,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, AuditError> {
        let signer = Signer::load_or_generate(&config.dir)?;
        let home = Home::claim(&config.dir)?;
        let shared = Arc::new(Shared::new(Desk::new(home, signer, disk, config)));
        let kept = Arc::clone(&shared);
        let seat = keep("audit", arbiter, move |life| AuditActor::build(&kept, life)).await?;
        // Nobody else can have set it: the handle is not out yet.
        let _ = shared.seat.set(seat);
        let own = Lane::new(shared.open_lane());
        Ok(Self { shared, own })
    }

    /// A way into the log for one worker thread.
    #[must_use]
    pub fn lane(&self) -> Lane {
        Lane::new(self.shared.open_lane())
    }

    /// Records one rare event, and waits for the disk in durable mode.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] or [`AuditError::Full`]: it cannot be relied on.
    pub async fn record(&self, event: AuditEvent) -> Result<(), AuditError> {
        self.own.reserve()?.write(event).committed().await
    }

    /// Writes down everything, vouches for it and lets go of the slot; nothing is recorded afterwards.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] if the disk refuses or takes longer than 10 s.
    pub async fn close(&self) -> Result<(), AuditError> {
        let Some(seat) = self.shared.seat.get() else { return Err(AuditError::Unavailable) };
        self.shared.shut();
        seat.retire();
        let (done, closed) = oneshot::channel();
        seat.post(Close { done })?;
        match timeout(CLOSE_DEADLINE, closed).await {
            Ok(Ok(finished)) => finished,
            Ok(Err(_)) | Err(_) => Err(AuditError::Unavailable),
        }
    }

    /// Waits until no lane holds a place that is reserved or not yet on disk; for the shutdown, when
    /// nothing new is let in and what runs may still end in order. False if that lasts longer than
    /// `deadline`.
    pub async fn settled(&self, deadline: Duration) -> bool {
        let settles = async {
            while !self.shared.is_settled() {
                sleep(SETTLE_POLL).await;
            }
        };
        timeout(deadline, settles).await.is_ok()
    }

    /// How the log stands.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Whether the writer is there; false while it is rebuilt after a panic.
    pub fn is_alive(&self) -> bool {
        self.shared.is_alive()
    }

    /// How often the writer was rebuilt after a panic.
    pub fn restarts(&self) -> u64 {
        self.shared.seat.get().map_or(0, |seat| seat.restarts())
    }

    /// Events that are on their way to the disk.
    pub fn depth(&self) -> u64 {
        self.shared.waiting().load(Ordering::Relaxed)
    }

    /// Events recorded since the start.
    pub fn events_total(&self) -> u64 {
        self.shared.total()
    }

    /// Calls `hook` after every commit, on the writer's thread, with its duration and its number of
    /// records. The first hook stays.
    pub fn on_commit(&self, hook: CommitHook) {
        let _ = self.shared.hook.set(hook);
    }

    /// Makes the writer panic: fault injection.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] if it is down already.
    pub fn fault(&self) -> Result<(), AuditError> {
        let seat = self.shared.seat.get().ok_or(AuditError::Unavailable)?;
        Ok(seat.post(Fault)?)
    }

    /// What workers and the writer share; for the insight.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    #[cfg(test)]
    pub(super) fn shared_for_tests(&self) -> &Shared {
        &self.shared
    }
}
