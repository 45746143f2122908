//! What a tool asks of the client, or of the person behind it, in the middle of a call (MRTR).
//!
//! Nothing waits for an answer: a tool that has none yet passes [`ToolError::Unanswered`] on and so ends, the
//! client is sent what was asked and calls again with the answers, and the tool runs anew from its beginning.

mod answers;
mod form;

use std::cell::RefCell;

pub use answers::Answers;
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use self::form::Form;
use super::{Call, ToolError, hygiene};
use crate::protocol::{Kind, Tree};

/// What can be asked; each is something that a client says it can answer, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A person fills in a form.
    User,
    /// The client's model completes a text.
    Model,
    /// The folders that the client works in.
    Roots,
}

impl Ask {
    /// The capability that a client must declare.
    pub const fn capability(self) -> &'static str {
        match self {
            Self::User => "elicitation",
            Self::Model => "sampling",
            Self::Roots => "roots",
        }
    }

    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::User => "elicitation/create",
            Self::Model => "sampling/createMessage",
            Self::Roots => "roots/list",
        }
    }
}

/// What a person said to a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said<T> {
    /// This.
    Accepted(T),
    /// No.
    Declined,
    /// Nothing: the form was closed.
    Cancelled,
}

/// A folder that the client works in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Root {
    /// Its URI.
    pub uri: String,
    /// Its name, if it has one.
    pub name: Option<String>,
}

/// One thing that is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// What the answer will be known by.
    pub key: &'static str,
    /// As the protocol names it.
    pub method: &'static str,
    /// What it says.
    pub params: Value,
    /// Whether its answer counts for one run.
    pub is_once: bool,
}

/// What one call can ask, was answered before, and asks now.
#[derive(Debug, Default)]
pub struct Asking<'a> {
    /// The client's declaration, JSON text.
    capabilities: &'a str,
    answers: Answers,
    questions: RefCell<Vec<Question>>,
}

impl<'a> Asking<'a> {
    /// For a client with these `capabilities`, JSON text, that has given these `answers` before.
    pub fn new(capabilities: &'a str, answers: Answers) -> Self {
        Self { capabilities, answers, ..Self::default() }
    }

    /// What the tool asks and was not answered; and the answers that stay good beside.
    pub fn into_parts(self) -> (Vec<Question>, Answers) {
        let questions = self.questions.into_inner();
        let mut answers = self.answers;
        questions.iter().for_each(|question| answers.forget(question.key));
        (questions, answers)
    }

    /// Whether the client knows tasks.
    pub(super) fn knows_tasks(&self) -> bool {
        declares_tasks(self.capabilities)
    }

    fn can_be_asked(&self, ask: Ask) -> bool {
        let Ok(declared) = Tree::of_text(self.capabilities) else { return false };
        let Some(capability) = declared.root().member(ask.capability()) else { return false };
        // One that names only other ways of asking a person has no form (M15).
        ask != Ask::User || capability.is_empty() || capability.member("form").is_some()
    }

    /// The answer to this question as `read` takes it; else it is asked.
    fn answer<T>(
        &self,
        ask: Ask,
        (key, is_once): (&'static str, bool),
        params: impl FnOnce() -> Value,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ToolError> {
        if !self.can_be_asked(ask) {
            return Err(ToolError::CannotAsk(ask));
        }
        if let Some(answer) = self.answers.find(key, is_once).and_then(read) {
            return Ok(answer);
        }
        let mut questions = self.questions.borrow_mut();
        if questions.iter().all(|known| known.key != key) {
            questions.push(Question { key, method: ask.method(), params: params(), is_once });
        }
        Err(ToolError::Unanswered)
    }
}

/// The extension by which a call goes on as a task.
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Whether a client with these `capabilities`, JSON text, knows tasks.
pub fn declares_tasks(capabilities: &str) -> bool {
    let Ok(declared) = Tree::of_text(capabilities) else { return false };
    let extensions = declared.root().member("extensions");
    let tasks = extensions.and_then(|extensions| extensions.member(TASKS_EXTENSION));
    tasks.is_some_and(|tasks| tasks.kind() == Kind::Object)
}

/// A person's word.
#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    /// Whether to go on.
    confirmed: bool,
}

impl<D> Call<'_, D> {
    /// Whether the client has said that it can answer this.
    pub fn can_ask(&self, ask: Ask) -> bool {
        self.asking().is_some_and(|asking| asking.can_be_asked(ask))
    }

    /// Has a person fill in the form of `T`: an object of texts, numbers, truth values and choices, nothing
    /// nested. `key` names the question within this tool.
    ///
    /// Never ask for a secret: clients show and keep what is said.
    ///
    /// # Errors
    /// [`ToolError::Unanswered`], [`ToolError::CannotAsk`], to be passed on; [`ToolError::Output`] if `T` is no
    /// such object.
    pub fn elicit<T>(&self, key: &'static str, message: &str) -> Result<Said<T>, ToolError>
    where
        T: DeserializeOwned + JsonSchema,
    {
        self.form((key, false), message)
    }

    /// Asks a person whether to go on; their yes counts for one run, and only if they were asked.
    ///
    /// # Errors
    /// Those of [`elicit`](Self::elicit).
    pub fn confirm(&self, key: &'static str, message: &str) -> Result<bool, ToolError> {
        let said = self.form::<Confirmation>((key, true), message)?;
        Ok(matches!(said, Said::Accepted(Confirmation { confirmed: true })))
    }

    /// Has the client's model go on after `text`, in at most `most` tokens.
    ///
    /// # Errors
    /// [`ToolError::Unanswered`], [`ToolError::CannotAsk`], to be passed on.
    pub fn sample(&self, key: &'static str, text: &str, most: u32) -> Result<String, ToolError> {
        let message = || json!({ "role": "user", "content": { "type": "text", "text": shown(text) } });
        let params = || json!({ "messages": [message()], "maxTokens": most });
        let read = |answer: &str| {
            let answer: Value = serde_json::from_str(answer).ok()?;
            Some(answer.pointer("/content/text")?.as_str()?.to_owned())
        };
        self.ask(Ask::Model)?.answer(Ask::Model, (key, false), params, read)
    }

    /// The folders that the client works in. They are what it says, and no permission.
    ///
    /// # Errors
    /// [`ToolError::Unanswered`], [`ToolError::CannotAsk`], to be passed on.
    pub fn roots(&self, key: &'static str) -> Result<Vec<Root>, ToolError> {
        #[derive(Deserialize)]
        struct Roots {
            roots: Vec<Root>,
        }
        let read = |answer: &str| serde_json::from_str::<Roots>(answer).ok().map(|answer| answer.roots);
        self.ask(Ask::Roots)?.answer(Ask::Roots, (key, false), || json!({}), read)
    }

    fn form<T>(&self, key: (&'static str, bool), message: &str) -> Result<Said<T>, ToolError>
    where
        T: DeserializeOwned + JsonSchema,
    {
        let asking = self.ask(Ask::User)?;
        let form = Form::<T>::of().map_err(|error| {
            tracing::error!(key = key.0, %error, "a tool asks for what no form can hold");
            ToolError::Output
        })?;
        let params =
            || json!({ "mode": "form", "message": shown(message), "requestedSchema": form.schema() });
        asking.answer(Ask::User, key, params, |answer| form.read(answer))
    }

    fn ask(&self, ask: Ask) -> Result<&Asking<'_>, ToolError> {
        self.asking().ok_or(ToolError::CannotAsk(ask))
    }
}

/// `text` as it may be shown to a person.
fn shown(text: &str) -> String {
    hygiene::failure(text).0
}

#[cfg(test)]
mod tests;
