//! One thread that speaks to Redis for everybody: questions go to it as closures, answers come back by oneshot.
//!
//! Whoever asks needs no runtime, and whoever stops waiting gives up the answer, not the work.

use std::{
    pin::Pin,
    sync::{Arc, mpsc as blocking},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::LocalSet,
};

use crate::store::{StoreError, StoreFuture};

/// Questions that may be under way; one more is [`StoreError::Busy`].
const UNDER_WAY: u32 = 1_024;
/// How long the end waits for them: longer than any of them may take.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Makes, on the thread, the work that stays there.
type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The thread and the way to it. Dropping it waits until everything asked before is done.
pub(super) struct Runner {
    jobs: Option<UnboundedSender<Job>>,
    places: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Runner {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the system has no thread left.
    pub(super) fn start() -> Result<Self, StoreError> {
        let failed = |e: std::io::Error| StoreError::Unavailable(format!("no thread: {}", e.kind()).into());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let places = Arc::new(Semaphore::new(UNDER_WAY as usize));
        let (jobs, waiting) = unbounded_channel();
        let all = Arc::clone(&places);
        let serve = move || serve(&runtime, waiting, &all);
        let thread = thread::Builder::new().name("store".into()).spawn(serve).map_err(failed)?;
        Ok(Self { jobs: Some(jobs), places, thread: Some(thread) })
    }

    /// Has `work` done on the thread. A panic in it is an answer too.
    pub(super) fn ask<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> StoreFuture<'_, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + 'static,
    {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.begin(Some(self.place()?), work, |done| drop(reply.send(done)))?;
            answer.await.unwrap_or_else(|_dropped| Err(no_answer()))
        })
    }

    /// Has `work` done, and blocks until it is. It takes no place: whoever blocks asks one thing at a time, and has to
    /// be heard however many others ask.
    ///
    /// # Errors
    /// Those of `work`.
    pub(super) fn wait_for<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + 'static,
    {
        let (reply, answer) = blocking::sync_channel(1);
        self.begin(None, work, move |done| drop(reply.send(done)))?;
        answer.recv().unwrap_or_else(|_dropped| Err(no_answer()))
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_full| StoreError::Busy)
    }

    /// `reply` is told what came of it, if anything does. The caller may have gone by then; what was done stays done.
    fn begin<T, F>(
        &self,
        place: Option<OwnedSemaphorePermit>,
        work: impl FnOnce() -> F + Send + 'static,
        reply: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + 'static,
        T: 'static,
    {
        let job = move || -> Pin<Box<dyn Future<Output = ()>>> {
            let work = work();
            Box::pin(async move {
                let done = work.await;
                drop(place);
                reply(done);
            })
        };
        let jobs = self.jobs.as_ref().ok_or_else(no_answer)?;
        jobs.send(Box::new(job)).map_err(|_gone| no_answer())
    }
}

/// Begins each job as it comes; once there can be no more, waits for those under way.
fn serve(runtime: &Runtime, mut waiting: UnboundedReceiver<Job>, all: &Semaphore) {
    LocalSet::new().block_on(runtime, async {
        while let Some(job) = waiting.recv().await {
            drop(tokio::task::spawn_local(job()));
        }
        // Each is bounded by its own deadline.
        _ = tokio::time::timeout(LAST_WAIT, all.acquire_many(UNDER_WAY)).await;
    });
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // An error is a panic that was reported when it happened.
            drop(thread.join());
        }
    }
}

fn no_answer() -> StoreError {
    StoreError::Unavailable("its thread gave no answer".into())
}
