//! One thread that owns one connection: work goes to it as closures, answers come back by oneshot.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::place::Place;
use crate::store::{StoreError, StoreFuture};

/// Questions that may wait for one thread; one more is [`StoreError::Busy`].
const QUEUE: usize = 1_024;

/// Jobs on their way to a thread.
pub(super) type Jobs = Receiver<Box<dyn Job>>;

/// A thread and the way to it. Dropping it waits until everything asked before is done.
pub(super) struct Worker {
    jobs: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread `name`; `serve` handles the jobs until there can be no more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the system has no thread left.
    pub(super) fn start(
        name: &str,
        place: Place,
        conn: Connection,
        serve: fn(&Place, Connection, &Jobs),
    ) -> Result<Self, StoreError> {
        let (jobs, waiting) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(move || serve(&place, conn, &waiting))
            .map_err(|e| StoreError::Unavailable(format!("no thread: {}", e.kind()).into()))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has `work` done on the thread. A panic in it, or the thread's end, is an answer too.
    pub(super) fn ask<T, F>(&self, work: F) -> StoreFuture<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let job = Task { work: Some(work), result: Err(no_answer()), reply };
            let jobs = self.jobs.as_ref().ok_or_else(no_answer)?;
            jobs.try_send(Box::new(job)).map_err(|refused| match refused {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => no_answer(),
            })?;
            answer.await.unwrap_or_else(|_dropped| Err(no_answer()))
        })
    }

    /// Has `step` done, each time as a question of its own so that others get their turn, until it does less
    /// than `most`; how much it did in all.
    pub(super) fn in_steps<F>(&self, most: u32, step: F) -> StoreFuture<'_, u64>
    where
        F: Fn(&Connection) -> Result<u32, StoreError> + Copy + Send + 'static,
    {
        Box::pin(async move {
            let mut all = 0;
            loop {
                let done = self.ask(step).await?;
                all += u64::from(done);
                if done < most {
                    return Ok(all);
                }
            }
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // An error is a panic that was reported when it happened.
            drop(thread.join());
        }
    }
}

/// One piece of work: run at most once, then answered.
pub(super) trait Job: Send {
    /// Does it and says whether it went well; a panic ends here.
    fn run(&mut self, conn: &Connection) -> bool;

    /// Answers the caller: with its own result, unless what it stood in failed as a whole.
    fn reply(self: Box<Self>, whole: Result<(), StoreError>);
}

struct Task<T, F> {
    work: Option<F>,
    result: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F> Job for Task<T, F>
where
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, conn: &Connection) -> bool {
        if let Some(work) = self.work.take() {
            self.result =
                catch_unwind(AssertUnwindSafe(|| work(conn))).unwrap_or_else(|_panic| Err(no_answer()));
        }
        self.result.is_ok()
    }

    fn reply(self: Box<Self>, whole: Result<(), StoreError>) {
        let was_run = self.work.is_none();
        let answer = match (self.result, whole) {
            (Err(own), _) if was_run => Err(own),
            (_, Err(error)) => Err(error),
            (own, Ok(())) => own,
        };
        // The caller may have gone; what was done stays done.
        drop(self.reply.send(answer));
    }
}

fn no_answer() -> StoreError {
    StoreError::Unavailable("its thread gave no answer".into())
}
