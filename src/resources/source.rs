//! What a family of resources is: the trait that authors implement.

use std::time::Duration;

use super::{Descriptor, Resource};
use crate::{
    policy::{Permit, ReadResource},
    tools::{Call, LocalFuture, ToolError},
};

/// Fixed facts about one source.
#[derive(Debug, Clone, Copy)]
pub struct SourceSpec {
    /// What the URIs of all of its resources begin with, and those of no other source: `scheme:` at least.
    pub prefix: &'static str,
    /// The permission that a caller needs to see and to read any of them; in the server's catalogue.
    pub needs: &'static str,
    /// Whether texts are given as they are. Otherwise what looks like a credential is replaced in them.
    pub verbatim: bool,
    /// Longest time for one list, read or completion.
    pub deadline: Duration,
    /// How its resources are named, for clients that fill in the rest.
    pub templates: &'static [Template],
}

/// A URI with variables in it (RFC 6570).
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// It begins with the prefix of its source, for example `file:///{+path}`.
    pub uri: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The name people read.
    pub title: &'static str,
    /// What the resources are, for the model.
    pub about: &'static str,
    /// The media type of all of them, if they have one in common.
    pub mime_type: Option<&'static str>,
}

impl Template {
    /// Whether `name` is one of its variables: `{name}` or, where slashes may stand in it, `{+name}`.
    pub fn has(&self, name: &str) -> bool {
        let is_word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        is_word && [format!("{{{name}}}"), format!("{{+{name}}}")].iter().any(|part| self.uri.contains(part))
    }
}

/// Values that an argument may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suggestions {
    /// Those that begin as it is written so far, the first hundred at most.
    pub values: Vec<String>,
    /// How many there are, if that is known.
    pub total: Option<u64>,
    /// Whether there are more than are told.
    pub has_more: bool,
}

impl Suggestions {
    /// Most values that one answer holds (specification, completion).
    pub const MOST: usize = 100;

    /// Those of `all` that begin with `beginning`, whatever the case.
    pub fn among<S: AsRef<str>>(all: impl IntoIterator<Item = S>, beginning: &str) -> Self {
        let beginning = beginning.to_lowercase();
        let fits = |value: &S| value.as_ref().to_lowercase().starts_with(&beginning);
        let mut values: Vec<String> =
            all.into_iter().filter(fits).map(|value| value.as_ref().to_owned()).collect();
        let total = values.len();
        values.truncate(Self::MOST);
        Self { values, total: u64::try_from(total).ok(), has_more: total > Self::MOST }
    }
}

/// A family of resources below one prefix. Everything that it is asked comes with a permit, which only the
/// decision makes: there is no way to it unchecked.
///
/// Futures are dropped when the client leaves or the deadline passes. [`ToolError::NotFound`] and
/// [`ToolError::Arguments`] mean that there is no such resource, which callers without the permission are told of
/// every one.
pub trait Source: Send + Sync + 'static {
    /// Fixed facts about it.
    fn spec(&self) -> SourceSpec;

    /// The first `most` resources behind the URI `after`, in an order that stays the same, and whether there are
    /// more; `after` may be gone by now, and without it the list begins. None of them, if they are too many or too
    /// fleeting to be listed.
    fn list<'a>(
        &'a self,
        after: Option<&'a str>,
        most: usize,
        permit: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<(Vec<Descriptor>, bool), ToolError>>;

    /// The resource of `uri`, which begins with the prefix and holds what nobody has checked. `call` proves that the
    /// caller may read it, and asks it what else there is to know, as a tool does; where the resource is embedded in a
    /// prompt nobody can be asked.
    fn read<'a>(
        &'a self,
        uri: &'a str,
        call: &'a Call<'a, ReadResource>,
    ) -> LocalFuture<'a, Result<Resource, ToolError>>;

    /// Values for a variable of one of its templates that begin with `beginning`.
    fn complete<'a>(
        &'a self,
        _template: &'a Template,
        (_variable, _beginning): (&'a str, &'a str),
        _permit: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<Suggestions, ToolError>> {
        Box::pin(async { Ok(Suggestions::default()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_the_variables_that_stand_in_it() {
        let uri = "test://{id}/{+path}";
        let template = Template { uri, name: "x", title: "X", about: "x", mime_type: None };
        assert!(template.has("id") && template.has("path"));
        for other in ["", "i", "id}/{+path", "+path", "{id}", "PATH"] {
            assert!(!template.has(other), "{other}");
        }
    }

    #[test]
    fn a_hundred_values_are_told_and_that_there_are_more() {
        let all: Vec<String> = (0..101).map(|n| format!("Value {n:03}")).collect();
        let some = Suggestions::among(&all, "vAl");
        assert_eq!((some.values.len(), some.total, some.has_more), (100, Some(101), true));
        let few = Suggestions::among(&all[..100], "");
        assert_eq!((few.values.len(), few.total, few.has_more), (100, Some(100), false));
        assert_eq!(Suggestions::among(&all, "Value 1").values, ["Value 100"]);
    }
}
