//! Tasks: calls of tools that go on after their answer, for as long as they need and may.
//!
//! That a task exists is on disk before anybody is told of it, and so is how it ended; what it does meanwhile (that
//! it runs, what it asks) stands on a [board](board::Board) in memory. All of them run on one thread of their own,
//! each in a task of the runtime of its own; the actor begins them. The board outlives the actor, and so do the
//! tasks. Those that a server has not ended are ended by its next start, as failed: none is run twice.
//!
//! A task is known by the SHA-256 of its id, which only its owner has. It is looked at, answered and stopped in the
//! name of an owner; of somebody else's nothing is said.

mod actor;
mod board;
mod error;
mod life;
mod lost;
mod messages;
mod runner;
#[cfg(test)]
mod tests;
mod view;

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::ArbiterHandle;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, oneshot};

use self::{actor::TasksActor, board::Board, messages::Begin, view::Digest};
pub use self::{
    board::{Answered, Stop},
    error::TasksError,
    messages::{NewTask, Work},
    runner::Runner,
    view::{Ending, Question, State, View, status},
};
use super::{
    audit::Lane,
    kit::{self, ActorError, Fault, Seat, Vitals},
};
use crate::{
    domain::{Subject, Timestamp},
    store::{Stores, TaskRoom},
    telemetry::Metrics,
};

/// Longest wait for the ends of tasks that were stopped to be kept.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// How long tasks live, and how many there may be.
#[derive(Debug, Clone)]
pub struct TasksConfig {
    /// Longest life until the end.
    pub max_run: Duration,
    /// When a task is forgotten, counted from its beginning.
    pub ttl: Duration,
    /// Tasks that run at once, of one owner and in all.
    pub running: (usize, usize),
    /// Tasks that are kept at once.
    pub room: TaskRoom,
}

/// State that outlives the actor.
struct Shared {
    config: TasksConfig,
    runner: String,
    /// Says for as long as it is held that the runner lives.
    _lock: File,
    board: Mutex<Board>,
    left: Notify,
    closing: AtomicBool,
    stores: Stores,
    lane: Lane,
    metrics: Arc<Metrics>,
}

impl Shared {
    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

/// What the work of a task holds of it.
pub struct Desk {
    shared: Arc<Shared>,
    digest: Digest,
}

/// A handle to the tasks. Clones share everything.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
    seat: Arc<Seat<TasksActor>>,
}

impl Tasks {
    /// Ends what those have left unfinished who are gone and starts the actor on `arbiter`, a thread of its own, as
    /// `runner`. Ends are recorded on `lane` and counted in `metrics`.
    ///
    /// # Errors
    /// [`TasksError::Store`]: nobody could say any more of what was left that it runs no longer.
    /// [`TasksError::Audit`]: that it was ended may not be on record.
    pub async fn start(
        arbiter: &ArbiterHandle,
        (config, runner): (TasksConfig, Runner),
        stores: &Stores,
        (lane, metrics): (Lane, &Arc<Metrics>),
    ) -> Result<Self, TasksError> {
        lost::end(&runner.gone, stores, &lane).await?;
        let (runner, lock) = runner.settle();
        let (of_one, of_all) = config.running;
        let shared = Arc::new(Shared {
            config,
            runner,
            _lock: lock,
            board: Mutex::new(Board::new(of_one, of_all)),
            left: Notify::new(),
            closing: AtomicBool::new(false),
            stores: stores.clone(),
            lane,
            metrics: Arc::clone(metrics),
        });
        let state = Arc::clone(&shared);
        let build = move |life| Ok::<_, ActorError>(TasksActor { shared: Arc::clone(&state), _life: life });
        let seat = kit::keep("tasks", arbiter, build).await?;
        Ok(Self { shared, seat })
    }

    /// Begins a task; its id, and what it is now. On disk it is once this is answered.
    ///
    /// # Errors
    /// [`TasksError`]: there is none.
    pub async fn begin(&self, new: NewTask) -> Result<(String, View), TasksError> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| TasksError::Random)?;
        let id = URL_SAFE_NO_PAD.encode(bytes);
        let (told, kept) = oneshot::channel();
        self.seat.post(Begin { digest: digest_of(&id), new, told })?;
        // Dropped with the thread that tasks run on.
        let view = kept.await.unwrap_or(Err(ActorError::Stopped("tasks").into()))?;
        Ok((id, view))
    }

    /// The task `id` of `owner` as it is now; `None` also if it is somebody else's.
    ///
    /// # Errors
    /// [`TasksError::Store`].
    pub async fn look(&self, id: &str, owner: &Subject) -> Result<Option<View>, TasksError> {
        let digest = digest_of(id);
        if let Some(view) = self.shared.board.lock().look(&digest) {
            return Ok((view.owner == *owner).then(|| view.clone()));
        }
        let now = Timestamp::now();
        let found = self.shared.stores.tasks.find_task(&digest, now).await;
        let found = self.shared.stores.failures.note("tasks.find_task", found)?;
        let Some(mut row) = found.filter(|row| row.owner == *owner) else { return Ok(None) };
        // A task leaves the board once its end is kept; so whoever ran this one is gone, or is another server.
        if row.ended.is_none() && (row.runner == self.shared.runner || row.due < now) {
            row.ended = Some(life::lost().at(row.due.min(now)));
        }
        Ok(Some(row.into()))
    }

    /// Gives a task answers of its client, by what the client knows the questions by. For whoever has
    /// [looked](Self::look) at it. `false` if it does not run here: then nobody was told anything.
    #[must_use]
    pub fn answer(&self, id: &str, answers: Vec<(String, String)>) -> bool {
        self.shared.board.lock().answer(&digest_of(id), answers, Timestamp::now())
    }

    /// Tells a task to stop. For whoever has [looked](Self::look) at it. `false` if it does not run here: then
    /// nobody was told anything.
    #[must_use]
    pub fn cancel(&self, id: &str) -> bool {
        self.shared.board.lock().stop(&digest_of(id), Stop::Cancelled)
    }

    /// Waits until no task runs any more; those that wait for their client are stopped, since nobody can answer.
    pub async fn finish(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.board.lock().stop_all(true);
        self.emptied().await;
    }

    /// Stops every task, and waits until their ends are kept.
    pub async fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.board.lock().stop_all(false);
        if tokio::time::timeout(CLOSE_DEADLINE, self.emptied()).await.is_err() {
            tracing::error!("how some tasks ended was not kept; the next start ends them");
        }
    }

    async fn emptied(&self) {
        loop {
            // Before the look, so that no end falls between.
            let left = self.shared.left.notified();
            if self.shared.board.lock().len() == 0 {
                return;
            }
            left.await;
        }
    }

    /// Makes the actor panic.
    ///
    /// # Errors
    /// [`ActorError`] if it is down already.
    pub fn fault(&self) -> Result<(), ActorError> {
        self.seat.post(Fault)
    }

    /// What health and metrics read.
    pub fn vitals(&self) -> Vitals {
        self.seat.vitals()
    }
}

/// What the audit log calls the task `id`: enough to find its records by, and nothing to ask for it with.
pub fn recorded_as(id: &str) -> String {
    recorded(&digest_of(id))
}

fn recorded(digest: &Digest) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn digest_of(id: &str) -> Digest {
    Sha256::digest(id.as_bytes()).into()
}
