//! What a client has answered so far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::protocol::{Kind, Tree};

/// Answers by the key of their question, each JSON text.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Answers(BTreeMap<String, Answer>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    text: Box<RawValue>,
    /// Whether it is known that the question was asked.
    was_asked: bool,
}

impl Answers {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds those of this round, the JSON text of an object; what was answered before and is said anew counts as
    /// it is said now. `asked` are the questions of which it is known that they were asked.
    ///
    /// # Errors
    /// It is no object.
    pub fn add(&mut self, round: &str, asked: &[String]) -> Result<(), NotAnswers> {
        let round = Tree::of_text(round).map_err(|_| NotAnswers)?;
        if round.root().kind() != Kind::Object {
            return Err(NotAnswers);
        }
        for (key, value) in round.root().members() {
            let key = key.string().unwrap_or_default().into_owned();
            let was_asked = asked.contains(&key);
            // Where it is known what was asked, anything else is no answer.
            if !asked.is_empty() && !was_asked {
                continue;
            }
            if let Ok(text) = RawValue::from_string(value.text().to_owned()) {
                self.0.insert(key, Answer { text, was_asked });
            }
        }
        Ok(())
    }

    /// The answer to the question `key`; with `only_asked`, only if it is known that it was asked.
    pub(super) fn find(&self, key: &str, only_asked: bool) -> Option<&str> {
        self.0.get(key).filter(|answer| answer.was_asked || !only_asked).map(|answer| answer.text.get())
    }

    /// Drops the answer to the question `key`.
    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }
}

/// What a client sent are no answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("params.inputResponses must be an object")]
pub struct NotAnswers;
