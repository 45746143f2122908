//! What the client of a session was asked and has not answered yet.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::session::Session;
use crate::domain::PermissionSet;

/// Most questions of one session that wait for an answer.
const MOST_ASKED: usize = 32;

/// What a client has answered to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// This, JSON text.
    Result(Box<str>),
    /// That it cannot.
    Error,
}

/// A question that waits for its answer.
pub(super) struct Asked {
    /// What whoever asks might do: nobody who may less answers.
    had: PermissionSet,
    /// Whether other servers take its answer too.
    everywhere: bool,
    waits: oneshot::Sender<Reply>,
}

/// Whether a question waits for its answer, and who takes that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// This server does.
    Here,
    /// Every server does; it is waited for here.
    Everywhere,
    /// It is not waited for here.
    Elsewhere,
    /// Nobody does from somebody who may as little.
    InVain,
}

impl Session {
    /// Begins to wait for the answer to a question on behalf of whoever `had` these permissions; gives the id that the
    /// question must have. `None` if there are too many, or it has ended.
    pub fn ask(self: &Arc<Self>, had: PermissionSet) -> Option<Question> {
        let id: Box<str> = format!("{:032x}", rand::random::<u128>()).into();
        let (answers, answer) = oneshot::channel();
        let mut state = self.state.lock();
        if state.is_over || state.asked.len() >= MOST_ASKED {
            return None;
        }
        state.asked.insert(id.clone(), Asked { had, everywhere: false, waits: answers });
        drop(state);
        Some(Question { session: Arc::clone(self), id, answer })
    }

    /// Other servers take the answer to the question `id` too.
    pub(super) fn is_asked_everywhere(&self, id: &str) {
        if let Some(asked) = self.state.lock().asked.get_mut(id) {
            asked.everywhere = true;
        }
    }

    /// Whether the question `id` waits here for its answer.
    pub(super) fn is_asking(&self, id: &str) -> bool {
        self.state.lock().asked.contains_key(id)
    }

    /// The questions that wait here and other servers take answers to.
    pub(super) fn asked_elsewhere(&self) -> Vec<Box<str>> {
        let state = self.state.lock();
        state.asked.iter().filter(|(_, asked)| asked.everywhere).map(|(id, _)| id.clone()).collect()
    }

    /// Whether the question `id` waits for an answer of somebody who `has` these permissions.
    pub(super) fn waits_for(&self, id: &str, has: PermissionSet) -> Waits {
        match self.state.lock().asked.get(id) {
            None => Waits::Elsewhere,
            Some(asked) if asked.had.intersection(has) != asked.had => Waits::InVain,
            Some(Asked { everywhere: true, .. }) => Waits::Everywhere,
            Some(_) => Waits::Here,
        }
    }

    /// Brings an answer that another server has taken, of somebody who may give it.
    pub(super) fn answered_elsewhere(&self, id: &str, reply: Reply) {
        let asked = self.state.lock().asked.remove(id);
        // An error says that nobody waits any more.
        asked.into_iter().for_each(|asked| _ = asked.waits.send(reply.clone()));
    }

    /// Brings the answer to the question `id`; `false` if nobody waits for it, or not for one of somebody who `has` less
    /// than whoever asked. One is taken once.
    pub fn answer(&self, id: &str, reply: Reply, has: PermissionSet) -> bool {
        let mut state = self.state.lock();
        if state.asked.get(id).is_none_or(|asked| asked.had.intersection(has) != asked.had) {
            return false;
        }
        let waits = state.asked.remove(id);
        drop(state);
        waits.is_some_and(|asked| asked.waits.send(reply).is_ok())
    }

    /// How many questions wait for an answer.
    pub fn asked(&self) -> usize {
        self.state.lock().asked.len()
    }
}

/// A question that waits for its answer; dropped, nobody does.
#[derive(Debug)]
pub struct Question {
    session: Arc<Session>,
    id: Box<str>,
    answer: oneshot::Receiver<Reply>,
}

impl Question {
    /// The id that it must be asked under.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The answer; `None` once the session has ended.
    pub async fn answered(mut self) -> Option<Reply> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.session.state.lock().asked.remove(&self.id);
    }
}
