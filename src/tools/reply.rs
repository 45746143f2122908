//! What a tool's call may give: a structured result, content to show, or both.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Serialize;
use url::Url;

use super::{Schema, SchemaError, ToolError, hygiene::MAX_RESULT};
use crate::protocol::{Content, Resource};

/// Most blocks of content in one answer.
const MAX_BLOCKS: usize = 64;
/// Most bytes of content in one answer, before they are written.
const MAX_BYTES: usize = MAX_RESULT;

/// A type that a tool may answer with: whatever has a JSON Schema, or [`Shown`], or [`Beside`].
pub trait Reply {
    /// The schema of the structured part, compiled; `None` if there is none.
    ///
    /// # Errors
    /// [`SchemaError`] if the type has none that we accept.
    fn schema() -> Result<Option<Schema>, SchemaError>;

    /// As it will be checked and sent.
    ///
    /// # Errors
    /// [`ToolError::Output`] if it is nothing that can be sent.
    fn produce(self) -> Result<Produced, ToolError>;
}

impl<T: Serialize + JsonSchema> Reply for T {
    fn schema() -> Result<Option<Schema>, SchemaError> {
        Schema::output::<T>().map(Some)
    }

    fn produce(self) -> Result<Produced, ToolError> {
        Produced::of(&self)
    }
}

/// Content alone: text, pictures, sounds, resources, links.
///
/// At most 64 blocks and 4 MiB; more than that is an answer of a broken tool and never leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(pub Vec<Content>);

impl Reply for Shown {
    fn schema() -> Result<Option<Schema>, SchemaError> {
        Ok(None)
    }

    fn produce(self) -> Result<Produced, ToolError> {
        Ok(Produced { output: None, content: self.0 })
    }
}

/// A structured result, and content beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside<T> {
    /// The structured result, with a schema like any other.
    pub result: T,
    /// What is shown behind it, bounded as [`Shown`] is.
    pub content: Vec<Content>,
}

impl<T: Serialize + JsonSchema> Reply for Beside<T> {
    fn schema() -> Result<Option<Schema>, SchemaError> {
        Schema::output::<T>().map(Some)
    }

    fn produce(self) -> Result<Produced, ToolError> {
        Ok(Produced { content: self.content, ..Produced::of(&self.result)? })
    }
}

/// A structured result of the type `T` that was written on another thread, since it is large.
#[derive(Debug)]
pub struct Written<T> {
    text: Produced,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize> Written<T> {
    /// Of `result`.
    ///
    /// # Errors
    /// [`ToolError::Output`] if it is nothing that JSON can say.
    pub fn of(result: &T) -> Result<Self, ToolError> {
        let mut text = Produced::of(result)?;
        // It may wait for a while, and its buffer has been doubled until it fitted.
        text.output.iter_mut().for_each(String::shrink_to_fit);
        Ok(Self { text, of: PhantomData })
    }
}

impl<T: Serialize + JsonSchema> Reply for Written<T> {
    fn schema() -> Result<Option<Schema>, SchemaError> {
        Schema::output::<T>().map(Some)
    }

    fn produce(self) -> Result<Produced, ToolError> {
        Ok(self.text)
    }
}

/// What a tool gave, to be checked and then sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// The structured result, JSON text; there is one if, and only if, the tool has a schema for it.
    output: Option<String>,
    content: Vec<Content>,
}

impl Produced {
    /// Of a structured `output`.
    ///
    /// # Errors
    /// [`ToolError::Output`] if it is nothing that JSON can say.
    pub fn of(output: &impl Serialize) -> Result<Self, ToolError> {
        let text = serde_json::to_string(output).map_err(|_| ToolError::Output)?;
        Ok(Self { output: Some(text), content: Vec::new() })
    }

    pub(super) fn from_parts(output: Option<String>, content: Vec<Content>) -> Self {
        Self { output, content }
    }

    pub(super) fn into_parts(self) -> (Option<String>, Vec<Content>) {
        (self.output, self.content)
    }

    /// The structured result, JSON text.
    pub fn output(&self) -> Option<&str> {
        self.output.as_deref()
    }

    /// What else is shown.
    pub fn content(&self) -> &[Content] {
        &self.content
    }

    /// Bytes of all of it, before they are written.
    pub fn size(&self) -> usize {
        let output = self.output.as_ref().map_or(0, String::len);
        output.saturating_add(self.content.iter().map(Content::size).sum())
    }

    /// Whether its content is within the bounds, and each block of it is what it says.
    pub(super) fn has_sound_content(&self) -> bool {
        self.content.len() <= MAX_BLOCKS
            && self.content.iter().map(Content::size).sum::<usize>() <= MAX_BYTES
            && self.content.iter().all(is_sound)
    }
}

/// Whether media types and URIs are some.
fn is_sound(content: &Content) -> bool {
    let typed = |mime_type: &Option<String>| mime_type.as_deref().is_none_or(is_media_type);
    match content {
        Content::Text(_) => true,
        Content::Image { mime_type, .. } => is_media_type(mime_type) && mime_type.starts_with("image/"),
        Content::Audio { mime_type, .. } => is_media_type(mime_type) && mime_type.starts_with("audio/"),
        Content::Resource(Resource { uri, mime_type, .. }) => Url::parse(uri).is_ok() && typed(mime_type),
        Content::Link(link) => {
            Url::parse(&link.uri).is_ok() && !link.name.is_empty() && typed(&link.mime_type)
        }
    }
}

/// `type/subtype`, perhaps with parameters, of characters that a terminal only shows.
fn is_media_type(text: &str) -> bool {
    let has_both = text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
    has_both && text.len() <= 255 && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Link, ResourceBody};

    fn sound(content: Vec<Content>) -> bool {
        Shown(content).produce().unwrap().has_sound_content()
    }

    fn text(bytes: usize) -> Content {
        Content::Text("x".repeat(bytes))
    }

    #[test]
    fn content_is_bounded_in_blocks_and_in_bytes() {
        assert!(sound(Vec::new()));
        assert!(sound(vec![text(1); MAX_BLOCKS]));
        assert!(!sound(vec![text(1); MAX_BLOCKS + 1]));
        assert!(sound(vec![text(MAX_BYTES / 2); 2]));
        assert!(!sound(vec![text(MAX_BYTES / 2), text(MAX_BYTES / 2 + 1)]));
    }

    #[test]
    fn media_types_and_uris_are_some() {
        let image = |mime_type: &str| Content::Image { data: vec![1], mime_type: mime_type.into() };
        assert!(sound(vec![image("image/png")]));
        for wrong in [
            "",
            "image",
            "image/",
            "/png",
            "text/html",
            "image/p\u{1b}ng",
            &format!("image/{}", "x".repeat(250)),
        ] {
            assert!(!sound(vec![image(wrong)]), "{wrong}");
        }
        let audio = Content::Audio { data: vec![1], mime_type: "image/png".into() };
        assert!(!sound(vec![audio]));
        let resource = |uri: &str, mime_type: Option<&str>| {
            let body = ResourceBody::Text("x".into());
            Content::Resource(Resource { uri: uri.into(), mime_type: mime_type.map(Into::into), body })
        };
        assert!(sound(vec![resource("test://a", None), resource("file:///a", Some("text/plain"))]));
        assert!(!sound(vec![resource("a", None)]) && !sound(vec![resource("test://a", Some("x"))]));
        let link = |name: &str| {
            Content::Link(Link {
                uri: "test://a".into(),
                name: name.into(),
                description: None,
                mime_type: None,
            })
        };
        assert!(sound(vec![link("a")]) && !sound(vec![link("")]));
    }
}
