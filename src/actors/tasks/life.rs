//! One task from its beginning to its end: kept before anybody is told of it, recorded before its end is kept.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::{
    Desk, Ending, Shared, Stop, TasksError, View,
    board::Full,
    messages::{Begin, NewTask, Work},
    view::{Digest, State, status},
};
use crate::{
    actors::audit::Slot,
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
    protocol::code,
    store::{TaskMade, TaskRow},
};

/// How long it is waited before an end that could not be kept is tried again.
const KEEP_AGAIN: Duration = Duration::from_millis(500);

/// Keeps the task, tells, does its work and keeps how it ended.
pub(super) async fn live(shared: Arc<Shared>, Begin { digest, new, told }: Begin) {
    let (began, now) = (Instant::now(), Timestamp::now());
    let most = new.most.min(shared.config.max_run);
    let row = row_of(&shared, (digest, &new), (now, most));
    let until = row.until;
    let (stop, stopped) = oneshot::channel();
    let kept = keep(&shared, &row, stop).await;
    let (view, slot) = match kept {
        Ok(kept) => kept,
        Err(error) => return drop(told.send(Err(error))),
    };
    let record = EndRecord { slot: Some(slot), event: event_of(&digest, &new), began };
    let ending = if told.send(Ok(view)).is_ok() {
        run(&shared, (digest, new.work), (stopped, most)).await
    } else {
        // Nobody knows its id, so nobody can ask for it.
        Ending::cancelled("the client left before it was told of the task")
    };
    let ending = record.write(ending).await;
    shared.metrics.task_ended(status(ending.how));
    let ended = ending.at(Timestamp::now());
    while Timestamp::now() < until {
        let kept = shared.stores.tasks.end_task(&digest, ended.clone()).await;
        if shared.stores.failures.note("tasks.end_task", kept).is_ok() {
            break;
        }
        tokio::time::sleep(KEEP_AGAIN).await;
    }
    shared.leave(&digest);
}

fn row_of(shared: &Shared, (digest, new): (Digest, &NewTask), (now, most): (Timestamp, Duration)) -> TaskRow {
    TaskRow {
        digest,
        owner: new.principal.id.clone(),
        tool: new.tool.to_owned(),
        runner: shared.runner.clone(),
        created_at: now,
        due: now.plus(most),
        until: now.plus(shared.config.ttl),
        ended: None,
    }
}

/// Takes places for the task: to run, in the log for its end, and in the store.
async fn keep(
    shared: &Arc<Shared>,
    row: &TaskRow,
    stop: oneshot::Sender<Stop>,
) -> Result<(View, Slot), TasksError> {
    let slot = shared.lane.reserve()?;
    let view = View::from(row.clone());
    shared.enter(row.digest, view.clone(), stop).map_err(|full| match full {
        Full::OfOne => TasksError::OfOne,
        Full::OfAll => TasksError::OfAll,
    })?;
    let kept = shared.stores.tasks.create_task(row, shared.config.room).await;
    match shared.stores.failures.note("tasks.create_task", kept) {
        Ok(TaskMade::Kept) => Ok((view, slot)),
        refused => {
            shared.leave(&row.digest);
            Err(match refused {
                Ok(TaskMade::OfOne) => TasksError::OfOne,
                Ok(_) => TasksError::OfAll,
                Err(error) => error.into(),
            })
        }
    }
}

/// Does the work until it ends, somebody stops it, or its time is over. Dropping it cancels the tool.
async fn run(
    shared: &Arc<Shared>,
    (digest, work): (Digest, Work),
    (stopped, most): (oneshot::Receiver<Stop>, Duration),
) -> Ending {
    let desk = Desk { shared: Arc::clone(shared), digest };
    let work = AssertUnwindSafe(async move { work(desk).await }).catch_unwind();
    tokio::select! {
        biased;
        why = stopped => match why {
            Ok(Stop::Cancelled) => Ending::cancelled("its owner has cancelled it"),
            // The other end is dropped with the board alone.
            Ok(Stop::Closing) | Err(_) => closing(),
        },
        ended = tokio::time::timeout(most, work) => match ended {
            Ok(Ok(ending)) => ending,
            Ok(Err(_panic)) => Ending::failed(Outcome::Failed, (code::INTERNAL_ERROR, "internal error", "internal")),
            Err(_elapsed) => {
                let message = "the task did not end in time";
                Ending::failed(Outcome::Timeout, (code::UNAVAILABLE, message, "request_timeout"))
            }
        },
    }
}

/// The end of what the server's own end has cut off.
pub(super) fn closing() -> Ending {
    let message =
        "the server stopped before the task had ended; whether it has changed anything is not known";
    Ending::failed(Outcome::Failed, (code::UNAVAILABLE, message, "shutting_down"))
}

/// The end of what was running when its server went away without a word.
pub(super) fn lost() -> Ending {
    let message = "the server ended before the task had; it was not resumed, and whether it has changed anything is not known";
    Ending::failed(Outcome::Failed, (code::UNAVAILABLE, message, "shutting_down"))
}

fn event_of(digest: &Digest, new: &NewTask) -> AuditEvent {
    let mut event = AuditEvent::new(Timestamp::now(), EventCode::TaskEnded, Outcome::Cancelled);
    event.principal = Some(Arc::clone(&new.principal));
    event.tool = Some(new.tool.into());
    event.request_id = Some(new.request);
    event.detail = Some(serde_json::json!({ "task": super::recorded(digest) }).to_string().into());
    event
}

/// The record of a task's end, whose place was reserved at its beginning. Dropping it writes it as cancelled.
struct EndRecord {
    slot: Option<Slot>,
    event: AuditEvent,
    began: Instant,
}

impl EndRecord {
    /// Writes how it ended. What cannot be recorded is told to nobody.
    async fn write(mut self, ending: Ending) -> Ending {
        let Some(slot) = self.slot.take() else { return ending };
        let event = self.event_at(ending.outcome);
        match slot.write(event).committed().await {
            Ok(()) => ending,
            Err(_unavailable) => {
                let message = "what the task came to could not be recorded, so it is not told";
                Ending::failed(Outcome::Failed, (code::UNAVAILABLE, message, "audit_unavailable"))
            }
        }
    }

    fn event_at(&self, outcome: Outcome) -> AuditEvent {
        let duration_us = u64::try_from(self.began.elapsed().as_micros()).ok();
        AuditEvent { time: Timestamp::now(), outcome, duration_us, ..self.event.clone() }
    }
}

impl Drop for EndRecord {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            drop(slot.write(self.event_at(Outcome::Cancelled)));
        }
    }
}

impl Shared {
    fn enter(&self, digest: Digest, view: View, stop: oneshot::Sender<Stop>) -> Result<(), Full> {
        let mut board = self.board.lock();
        board.enter(digest, view, stop)?;
        self.metrics.tasks_running(board.len());
        Ok(())
    }

    fn leave(&self, digest: &Digest) {
        let mut board = self.board.lock();
        board.leave(digest);
        self.metrics.tasks_running(board.len());
        drop(board);
        self.left.notify_waiters();
    }
}

impl Desk {
    /// Has the client asked `questions`; waits for the answers to all of them. `None` if the task has ended.
    pub async fn ask(&self, questions: Vec<super::Question>) -> Option<super::Answered> {
        let waits = self.shared.board.lock().ask(&self.digest, questions, Timestamp::now())?;
        if self.shared.is_closing() {
            // Nobody will answer any more.
            self.shared.board.lock().stop(&self.digest, Stop::Closing);
        }
        waits.await.ok()
    }

    /// Keeps what the tool says of how far it is.
    pub fn note(&self, message: String) {
        self.shared.board.lock().note(&self.digest, message, Timestamp::now());
    }
}

impl State {
    /// Whether it has ended.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}
