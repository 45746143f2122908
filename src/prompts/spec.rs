//! The facts about one prompt, and how they stand in a list.

use serde_json::{Map, Value, json};

use crate::protocol::{Icon, Revision};

/// Longest value of an argument, characters, unless it says otherwise.
pub(super) const MAX_VALUE: usize = 1_000;

/// Everything the house must know of a prompt before it gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptSpec {
    /// The name clients ask for: 1 to 128 of `[A-Za-z0-9_.-]`, unique.
    pub name: String,
    /// The name people read.
    pub title: String,
    /// What it is for.
    pub about: String,
    /// The permission that a caller needs, for example `files:read`; must be in the server's catalogue.
    pub needs: String,
    /// What it takes.
    pub arguments: Vec<Argument>,
    /// Pictures for it, of `https:` or `data:`.
    pub icons: Vec<Icon>,
}

/// One argument of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name: 1 to 64 of `[A-Za-z0-9_]`.
    pub name: String,
    /// The name people read.
    pub title: String,
    /// What it is.
    pub about: String,
    /// Whether it must be there.
    pub required: bool,
    /// Longest value, characters.
    pub max_length: usize,
    /// Values that are offered while it is written; others are taken too.
    pub values: Vec<String>,
    /// The template of a resource whose variables have the values of this argument, for example
    /// `file:///{+path}`: what is offered then is what the caller may read.
    pub offers: Option<(String, String)>,
}

impl Argument {
    /// One that must be there, with any value of up to 1 000 characters.
    pub fn required(name: &str, about: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: name.to_owned(),
            about: about.to_owned(),
            required: true,
            max_length: MAX_VALUE,
            values: Vec::new(),
            offers: None,
        }
    }
}

impl PromptSpec {
    /// As `revision` shows it.
    pub(super) fn json(&self, revision: Revision) -> Value {
        let title = |shown: &mut Map<String, Value>, title: &str| {
            if revision.has_structure() {
                shown.insert("title".to_owned(), json!(title));
            }
        };
        let argument = |argument: &Argument| {
            let mut shown = Map::new();
            shown.insert("name".to_owned(), json!(argument.name));
            shown.insert("description".to_owned(), json!(argument.about));
            shown.insert("required".to_owned(), json!(argument.required));
            title(&mut shown, &argument.title);
            Value::Object(shown)
        };
        let mut shown = Map::new();
        shown.insert("name".to_owned(), json!(self.name));
        shown.insert("description".to_owned(), json!(self.about));
        shown.insert("arguments".to_owned(), self.arguments.iter().map(argument).collect());
        title(&mut shown, &self.title);
        if revision.has_icons() && !self.icons.is_empty() {
            shown.insert("icons".to_owned(), json!(self.icons));
        }
        Value::Object(shown)
    }

    /// The first thing about it that must not be, if any: its place, and what is wrong.
    pub(super) fn fault(&self) -> Option<(String, &'static str)> {
        if !is_name(&self.name, 128, b"_.-") {
            return Some(("name".into(), "is not 1 to 128 of the characters A-Z a-z 0-9 _ . -"));
        }
        if let Some(at) = self.icons.iter().position(|icon| !icon.is_sound()) {
            return Some((format!("icons[{at}]"), "is neither an https nor a data URI of up to 64 KiB"));
        }
        for (at, argument) in self.arguments.iter().enumerate() {
            if !is_name(&argument.name, 64, b"_") {
                let place = format!("arguments[{at}].name");
                return Some((place, "is not 1 to 64 of the characters A-Z a-z 0-9 _"));
            }
            if self.arguments.iter().take(at).any(|earlier| earlier.name == argument.name) {
                return Some((format!("arguments[{at}].name"), "is that of another argument too"));
            }
        }
        None
    }
}

fn is_name(name: &str, most: usize, more: &[u8]) -> bool {
    (1..=most).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
}
