//! What goes out: whole lines one after the other, written on a thread of its own as fast as somebody reads them.

use std::{
    io::{self, Write},
    thread,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::house::Place;

/// Lines that may wait to be written.
const WAITING: usize = 16;

/// What is to be written.
enum Task {
    /// Whole lines, and the places that they take up until they are written.
    Lines(Bytes, Vec<Place>),
    /// Nothing more; whoever waits for that is told.
    End(oneshot::Sender<()>),
}

/// The way out. Whoever says something waits while nobody reads.
pub(super) struct Out(mpsc::Sender<Task>);

impl Out {
    /// To `output`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn to(mut output: impl Write + Send + 'static) -> io::Result<Self> {
        let (say, mut said) = mpsc::channel(WAITING);
        let work = move || {
            while let Some(task) = said.blocking_recv() {
                let (lines, _places) = match task {
                    Task::Lines(lines, places) => (lines, places),
                    Task::End(told) => {
                        // Whoever waited may have given up.
                        let _told = told.send(());
                        return;
                    }
                };
                if let Err(error) = output.write_all(&lines).and_then(|()| output.flush()) {
                    return tracing::info!(%error, "nobody reads standard output any more");
                }
            }
        };
        thread::Builder::new().name("stdout".into()).spawn(work)?;
        Ok(Self(say))
    }

    /// Has `lines` written, which take up `places` until then. Where nobody can read them any more that is no error:
    /// then everything ends.
    pub(super) async fn say(&self, lines: Bytes, places: Vec<Place>) {
        let _gone = self.0.send(Task::Lines(lines, places)).await;
    }

    /// Waits until nobody can read any more.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }

    /// Waits until all is written, `until` then at most.
    pub(super) async fn finish(&self, until: Instant) {
        let (told, written) = oneshot::channel();
        let all = async {
            if self.0.send(Task::End(told)).await.is_ok() {
                let _gone = written.await;
            }
        };
        if timeout_at(until, all).await.is_err() {
            tracing::warn!("some answers were not read");
        }
    }
}
