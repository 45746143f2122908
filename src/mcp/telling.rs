//! What is told of a call that runs, in the order in which its client hears it; the answer is the last of it.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix_web::rt::task::JoinHandle;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::{
    answer::Answer,
    events,
    pace::{self, Pace},
    refusal::Refusal,
    settle::unrecorded,
};
use crate::{
    actors::{audit::Lane, sessions::Session},
    domain::RequestId,
    error::Code,
    house::Place,
    tools::{Note, Progress},
};

/// Longest silence.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// The task that answers.
pub(super) struct Running {
    pub(super) task: JoinHandle<Answer>,
    /// Whether it ends with whoever waits for it.
    pub(super) is_cancelled: bool,
    pub(super) id: RequestId,
    /// The session in which it can be cancelled, by the id that its client gave it, JSON text.
    pub(super) within: Option<(Arc<Session>, Box<str>)>,
    /// Where its record is written.
    pub(super) lane: Lane,
    /// Whether its client has cancelled it.
    pub(super) is_silent: bool,
}

impl Running {
    /// What it came to; `None` if its client has cancelled it, and that is recorded. Before there is an answer, this may
    /// be given up and asked for again.
    pub(super) async fn ended(&mut self) -> Option<Answer> {
        if !self.is_silent {
            match (&mut self.task).await {
                Ok(answer) => return Some(answer),
                // Its record was written when the task was dropped, on this lane.
                Err(error) if error.is_cancelled() => self.is_silent = true,
                // A panic has left its record when the task was dropped.
                Err(_panic) => {
                    let refusal = Refusal::new(Code::Internal, "internal error");
                    return Some(Answer::refused(&refusal, None, self.id));
                }
            }
        }
        self.lane.recorded().await.err().map(|error| unrecorded(error, self.id))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((session, id)) = &self.within {
            session.done(id, &self.task.abort_handle());
        }
        if self.is_cancelled {
            self.task.abort();
        }
    }
}

/// Something that is told.
pub(super) enum Told {
    /// A message, JSON text; one that must be heard, or one that need not be.
    Message(Bytes, bool),
    /// That there is nothing to tell.
    Beat,
    /// That it will take a while.
    Pause,
}

/// What is told of a call that runs.
pub(super) struct Telling {
    running: Running,
    progress: Rc<Progress>,
    /// JSON text.
    token: Option<Box<str>>,
    /// When the last notifications were sent.
    told: Pace,
    /// When something must be sent again.
    beat: Instant,
    /// The answer, once there is one.
    last: Option<Bytes>,
    is_over: bool,
    /// The places of what is large in it.
    pub(super) places: Vec<Place>,
}

impl Telling {
    pub(super) fn new(running: Running, progress: Rc<Progress>, token: Option<Box<str>>) -> Self {
        Self {
            running,
            progress,
            token,
            told: Pace::new(),
            beat: Instant::now() + HEARTBEAT,
            last: None,
            is_over: false,
            places: Vec::new(),
        }
    }

    /// What is told next; `None` after the answer.
    pub(super) async fn next(&mut self) -> Option<Told> {
        if self.is_over {
            return None;
        }
        if self.last.is_none() {
            let free_at = self.told.free_at();
            tokio::select! {
                biased;
                answer = self.running.ended() => match answer {
                    Some(mut answer) => self.last = Some(answer.take_body(&mut self.places).into()),
                    None => {
                        self.is_over = true;
                        return None;
                    }
                },
                () = pace::due(free_at, &self.progress) => {}
                () = sleep_until(self.beat) => {
                    self.beat = Instant::now() + HEARTBEAT;
                    return Some(Told::Beat);
                }
            }
        }
        // What was reached stands before the answer: none of it may come after.
        if let Some(note) = self.progress.next() {
            self.note();
            return Some(self.of(note));
        }
        self.is_over = self.last.is_some();
        self.last.take().map(|answer| Told::Message(answer, true))
    }

    fn of(&self, note: Note) -> Told {
        match note {
            Note::Step(step) => {
                Told::Message(events::progress(self.token.as_deref().unwrap_or("0"), &step), false)
            }
            Note::Log(line) => Told::Message(events::log(&line), false),
            Note::Request(text) => Told::Message(Bytes::from(text.into_string()), true),
            Note::Pause => Told::Pause,
        }
    }

    fn note(&mut self) {
        let now = Instant::now();
        self.told.note(now);
        self.beat = now + HEARTBEAT;
    }
}
