//! A task as its owner sees it.

use crate::{
    domain::{Outcome, Subject, Timestamp},
    store::{EndedTask, TaskEnd, TaskRow},
};

/// The SHA-256 of a task's id: what it is known by inside the house.
pub(super) type Digest = [u8; 32];

/// One task at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Who has called.
    pub owner: Subject,
    /// The tool.
    pub tool: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it is forgotten.
    pub until: Timestamp,
    /// How far it is.
    pub state: State,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It runs; this is what its tool says of that.
    Working(Option<String>),
    /// It waits for the answers to these questions.
    Asks(Vec<Question>),
    /// It has ended.
    Ended(EndedTask),
}

/// A question of a tool to its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What the tool knows it by.
    pub key: &'static str,
    /// What the client knows it by: no two questions of one task have the same.
    pub shown_as: String,
    /// As the protocol names it.
    pub method: &'static str,
    /// What it says, JSON text.
    pub params: String,
}

/// How a task came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How.
    pub how: TaskEnd,
    /// What the record says.
    pub outcome: Outcome,
    /// What people read of it.
    pub message: Option<String>,
    /// The result or the error, JSON text of an object.
    pub body: String,
}

impl Ending {
    /// Nobody wants it any more, or may have it: `message` says why.
    pub fn cancelled(message: &str) -> Self {
        let message = Some(message.to_owned());
        Self { how: TaskEnd::Cancelled, outcome: Outcome::Cancelled, message, body: String::new() }
    }

    /// An error of JSON-RPC.
    pub fn failed(outcome: Outcome, (code, message, reason): (i32, &str, &str)) -> Self {
        let error = serde_json::json!({ "code": code, "message": message, "data": { "reason": reason } });
        Self { how: TaskEnd::Failed, outcome, message: Some(message.to_owned()), body: error.to_string() }
    }

    /// As it is kept.
    pub(super) fn at(self, at: Timestamp) -> EndedTask {
        EndedTask { how: self.how, at, message: self.message, body: self.body }
    }
}

/// The word for an end in answers and metrics.
pub const fn status(how: TaskEnd) -> &'static str {
    match how {
        TaskEnd::Completed => "completed",
        TaskEnd::Failed => "failed",
        TaskEnd::Cancelled => "cancelled",
    }
}

impl From<TaskRow> for View {
    fn from(row: TaskRow) -> Self {
        let updated_at = row.ended.as_ref().map_or(row.created_at, |ended| ended.at);
        let state = row.ended.map_or(State::Working(None), State::Ended);
        let TaskRow { owner, tool, created_at, until, .. } = row;
        Self { owner, tool, created_at, updated_at, until, state }
    }
}
