//! What a prompt is: the trait that authors implement, and what one gives.

use std::{collections::BTreeMap, time::Duration};

use super::{PromptSpec, spec::Argument};
use crate::{
    policy::GetPrompt,
    protocol::Content,
    tools::{Call, LocalFuture, ToolError, clean_to},
};

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// What a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// This.
    Content(Content),
    /// What the resource of this URI holds, as far as the caller may read it.
    Embedded(String),
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What it says.
    pub block: Block,
}

impl Message {
    /// A text of the person.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, block: Block::Content(Content::Text(text.into())) }
    }
}

/// The values of a prompt's arguments: those that must be there are, none is longer than it may be, and every
/// character that steers something or cannot be seen is written as an escape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, String>);

impl Values {
    /// Checks what a client `said`, by name, against the `arguments` of a prompt.
    ///
    /// # Errors
    /// What is wrong, without a value of it.
    pub fn check(
        arguments: &[Argument],
        said: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for (name, value) in said {
            let Some(argument) = arguments.iter().find(|argument| argument.name == name) else {
                return Err(format!("there is no argument {}", clean_to(&name, 64)));
            };
            if value.chars().count() > argument.max_length {
                return Err(format!("{name} is longer than {} characters", argument.max_length));
            }
            // An escape takes ten characters at most.
            values.insert(name, clean_to(&value, 10 * argument.max_length));
        }
        match arguments.iter().find(|argument| argument.required && !values.contains_key(&argument.name)) {
            Some(missing) => Err(format!("the argument {} is missing", missing.name)),
            None => Ok(Self(values)),
        }
    }

    /// The value of the argument `name`; nothing where it was left out.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// A prompt of a program. Its future is dropped when the client leaves or the deadline passes.
pub trait Prompt: Send + Sync + 'static {
    /// The facts about it; the same whenever it is asked.
    fn spec(&self) -> &PromptSpec;

    /// Longest time that it takes.
    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Its messages with these values. `call` proves that the caller may have it, says who it is, and asks it what else
    /// there is to know, as a tool does.
    fn get<'a>(
        &'a self,
        values: &'a Values,
        call: &'a Call<'a, GetPrompt>,
    ) -> LocalFuture<'a, Result<Vec<Message>, ToolError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_are_those_that_the_prompt_takes_and_are_data() {
        let optional = Argument { required: false, max_length: 3, ..Argument::required("b", "another one") };
        let arguments = [Argument::required("a", "one"), optional];
        let check = |pairs: &[(&str, &str)]| Values::check(&arguments, said(pairs));
        let values = check(&[("a", "x\ny\u{202e}{b}"), ("b", "123")]).unwrap();
        assert_eq!((values.get("a"), values.get("b")), ("x\\u{a}y\\u{202e}{b}", "123"));
        assert_eq!(check(&[("a", "")]).unwrap().get("b"), "");
        assert_eq!(check(&[("b", "")]).unwrap_err(), "the argument a is missing");
        assert_eq!(check(&[("a", ""), ("b", "1234")]).unwrap_err(), "b is longer than 3 characters");
        assert_eq!(check(&[("a", ""), ("c\n", "")]).unwrap_err(), "there is no argument c\\u{a}");
        let longest = "\u{e0001}".repeat(1_000);
        assert_eq!(check(&[("a", &longest)]).unwrap().get("a"), "\\u{e0001}".repeat(1_000));
    }
}
