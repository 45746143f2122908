//! The tasks that have not ended: what each does, asks and was answered. Pure; time comes as a parameter.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::view::{Digest, Question, State, View};
use crate::domain::Timestamp;

/// Answers of a client by what the tool knows their questions by, JSON text each.
pub type Answered = Vec<(&'static str, String)>;

/// Why a task is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its owner has cancelled it.
    Cancelled,
    /// The server stops.
    Closing,
}

/// There is no place for another task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// For its owner.
    OfOne,
    /// For anybody.
    OfAll,
}

/// Tasks that have not ended, by the digest of their id.
#[derive(Debug)]
pub(super) struct Board {
    tasks: HashMap<Digest, Live>,
    most: (usize, usize),
}

#[derive(Debug)]
struct Live {
    view: View,
    stop: Option<oneshot::Sender<Stop>>,
    answered: Answered,
    waits: Option<oneshot::Sender<Answered>>,
    /// How often each question was asked.
    asked: HashMap<&'static str, u32>,
}

impl Board {
    /// With room for so many tasks of one owner, and so many in all.
    pub(super) fn new(of_one: usize, of_all: usize) -> Self {
        Self { tasks: HashMap::new(), most: (of_one, of_all) }
    }

    /// Takes a task in; `stop` is used at most once.
    ///
    /// # Errors
    /// [`Full`]: it is not in.
    pub(super) fn enter(
        &mut self,
        digest: Digest,
        view: View,
        stop: oneshot::Sender<Stop>,
    ) -> Result<(), Full> {
        let (of_one, of_all) = self.most;
        if self.tasks.len() >= of_all {
            return Err(Full::OfAll);
        }
        if self.tasks.values().filter(|live| live.view.owner == view.owner).count() >= of_one {
            return Err(Full::OfOne);
        }
        let stop = Some(stop);
        let live = Live { view, stop, answered: Vec::new(), waits: None, asked: HashMap::new() };
        self.tasks.insert(digest, live);
        Ok(())
    }

    /// Forgets a task: it has ended, and its end is kept.
    pub(super) fn leave(&mut self, digest: &Digest) {
        self.tasks.remove(digest);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// A task as it is now.
    pub(super) fn look(&self, digest: &Digest) -> Option<&View> {
        self.tasks.get(digest).map(|live| &live.view)
    }

    /// Keeps what the tool says of how far it is.
    pub(super) fn note(&mut self, digest: &Digest, message: String, now: Timestamp) {
        let Some(live) = self.tasks.get_mut(digest) else { return };
        if let State::Working(said) = &mut live.view.state {
            *said = Some(message);
            live.view.updated_at = now;
        }
    }

    /// Has the task wait for the answers to `questions`, which are told once all are there. What was asked before
    /// is shown under another name, so that no answer is taken for that to an earlier question.
    pub(super) fn ask(
        &mut self,
        digest: &Digest,
        mut questions: Vec<Question>,
        now: Timestamp,
    ) -> Option<oneshot::Receiver<Answered>> {
        let live = self.tasks.get_mut(digest)?;
        for question in &mut questions {
            let times = live.asked.entry(question.key).or_default();
            *times += 1;
            question.shown_as = match *times {
                1 => question.key.to_owned(),
                n => format!("{}#{n}", question.key),
            };
        }
        let (waits, answers) = oneshot::channel();
        live.waits = Some(waits);
        live.view.state = State::Asks(questions);
        live.view.updated_at = now;
        Some(answers)
    }

    /// Takes answers of the client by what it knows the questions by. What is not asked, or not any more, is
    /// ignored; with the last answer the task goes on. Whether there is such a task.
    pub(super) fn answer(&mut self, digest: &Digest, answers: Vec<(String, String)>, now: Timestamp) -> bool {
        let Some(live) = self.tasks.get_mut(digest) else { return false };
        let State::Asks(questions) = &mut live.view.state else { return true };
        let before = questions.len();
        for (shown_as, text) in answers {
            if let Some(at) = questions.iter().position(|question| question.shown_as == shown_as) {
                live.answered.push((questions.remove(at).key, text));
            }
        }
        if questions.len() == before {
            return true;
        }
        live.view.updated_at = now;
        if questions.is_empty() {
            live.view.state = State::Working(None);
            // Where nobody waits any more the task is about to end.
            let _told = live.waits.take().map(|waits| waits.send(std::mem::take(&mut live.answered)));
        }
        true
    }

    /// Tells a task to stop, unless it was told before. Whether there is such a task.
    pub(super) fn stop(&mut self, digest: &Digest, why: Stop) -> bool {
        let Some(live) = self.tasks.get_mut(digest) else { return false };
        let _told = live.stop.take().map(|stop| stop.send(why));
        true
    }

    /// Tells every task to stop; with `only_asking` those that wait for their client.
    pub(super) fn stop_all(&mut self, only_asking: bool) {
        for live in self.tasks.values_mut() {
            if !only_asking || matches!(live.view.state, State::Asks(_)) {
                let _told = live.stop.take().map(|stop| stop.send(Stop::Closing));
            }
        }
    }
}
