//! What a tool shows beside, or instead of, its structured result (specification, `server/tools`).

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Revision, render::push_string};

/// One block of a tool's `content`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text for the model.
    Text(String),
    /// A picture.
    Image {
        /// Its bytes, as they are.
        data: Vec<u8>,
        /// Its media type, for example `image/png`.
        mime_type: String,
    },
    /// A sound.
    Audio {
        /// Its bytes, as they are.
        data: Vec<u8>,
        /// Its media type, for example `audio/wav`.
        mime_type: String,
    },
    /// A resource with what is in it.
    Resource(Resource),
    /// Where a resource is. Revisions that have no links get it as text.
    Link(Link),
}

/// A resource with what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its URI.
    pub uri: String,
    /// Its media type, if known.
    pub mime_type: Option<String>,
    /// What is in it.
    pub body: ResourceBody,
}

/// What is in a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceBody {
    /// Text.
    Text(String),
    /// Bytes, as they are.
    Blob(Vec<u8>),
}

/// Where a resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its URI.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// What it is, for the model.
    pub description: Option<String>,
    /// Its media type, if known.
    pub mime_type: Option<String>,
}

impl Resource {
    /// Writes it as an object.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"uri\":");
        push_string(out, &self.uri);
        push_member(out, "mimeType", self.mime_type.as_deref());
        match &self.body {
            ResourceBody::Text(text) => push_member(out, "text", Some(text)),
            ResourceBody::Blob(data) => push_member(out, "blob", Some(&STANDARD.encode(data))),
        }
        out.push(b'}');
    }

    /// Bytes of its body.
    pub fn size(&self) -> usize {
        match &self.body {
            ResourceBody::Text(text) => text.len(),
            ResourceBody::Blob(data) => data.len(),
        }
    }

    /// As an object, JSON text.
    pub fn json(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Content {
    /// As an object of `revision`, JSON text.
    pub fn json(&self, revision: Revision) -> String {
        let mut out = Vec::new();
        self.write(&mut out, revision);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Bytes of text and data in it, before they are written.
    pub fn size(&self) -> usize {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::Text(text) => text.len(),
            Self::Image { data, mime_type } | Self::Audio { data, mime_type } => data.len() + mime_type.len(),
            Self::Resource(resource) => {
                let body = match &resource.body {
                    ResourceBody::Text(text) => text.len(),
                    ResourceBody::Blob(data) => data.len(),
                };
                resource.uri.len() + of(&resource.mime_type) + body
            }
            Self::Link(link) => {
                link.uri.len() + link.name.len() + of(&link.description) + of(&link.mime_type)
            }
        }
    }

    /// The texts in it that people and models read.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let (first, second) = match self {
            Self::Text(text) => (Some(text), None),
            Self::Image { .. } | Self::Audio { .. } => (None, None),
            Self::Resource(resource) => match &mut resource.body {
                ResourceBody::Text(text) => (Some(text), None),
                ResourceBody::Blob(_) => (None, None),
            },
            Self::Link(link) => (Some(&mut link.name), link.description.as_mut()),
        };
        first.into_iter().chain(second)
    }

    /// The URI in it, which people and models read too.
    pub fn uri_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Resource(resource) => Some(&mut resource.uri),
            Self::Link(link) => Some(&mut link.uri),
            Self::Text(_) | Self::Image { .. } | Self::Audio { .. } => None,
        }
    }

    /// Writes it as an object of `revision`.
    pub(super) fn write(&self, out: &mut Vec<u8>, revision: Revision) {
        match self {
            Self::Text(text) => write_text(out, text),
            Self::Image { data, mime_type } => write_data(out, "image", (data, mime_type)),
            Self::Audio { data, mime_type } => write_data(out, "audio", (data, mime_type)),
            Self::Resource(resource) => {
                out.extend_from_slice(b"{\"type\":\"resource\",\"resource\":");
                resource.write(out);
                out.push(b'}');
            }
            Self::Link(link) if revision.has_structure() => {
                out.extend_from_slice(b"{\"type\":\"resource_link\",\"uri\":");
                push_string(out, &link.uri);
                push_member(out, "name", Some(&link.name));
                push_member(out, "description", link.description.as_deref());
                push_member(out, "mimeType", link.mime_type.as_deref());
                out.push(b'}');
            }
            Self::Link(link) => write_text(out, &format!("{}: {}", link.name, link.uri)),
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
    push_string(out, text);
    out.push(b'}');
}

fn write_data(out: &mut Vec<u8>, kind: &str, (data, mime_type): (&[u8], &str)) {
    // Writing into a Vec cannot fail; base64 needs no escaping.
    let _written = write!(out, "{{\"type\":\"{kind}\",\"data\":\"{}\"", STANDARD.encode(data));
    push_member(out, "mimeType", Some(mime_type));
    out.push(b'}');
}

/// `,"name":"text"`, if there is a text; the name needs no escaping.
fn push_member(out: &mut Vec<u8>, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        let _written = write!(out, ",\"{name}\":");
        push_string(out, text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(content: &Content, revision: Revision) -> Value {
        let mut out = Vec::new();
        content.write(&mut out, revision);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn every_block_is_written_as_the_specification_shows_it() {
        let link = Link {
            uri: "file:///a \"b\"".into(),
            name: "a".into(),
            description: None,
            mime_type: Some("text/plain".into()),
        };
        let resource = |body| Content::Resource(Resource { uri: "test://x".into(), mime_type: None, body });
        let cases = [
            (Content::Text("a\n\"".into()), json!({ "type": "text", "text": "a\n\"" })),
            (
                Content::Image { data: vec![0, 255, 62], mime_type: "image/png".into() },
                json!({ "type": "image", "data": "AP8+", "mimeType": "image/png" }),
            ),
            (
                Content::Audio { data: Vec::new(), mime_type: "audio/wav".into() },
                json!({ "type": "audio", "data": "", "mimeType": "audio/wav" }),
            ),
            (
                resource(ResourceBody::Text("t".into())),
                json!({ "type": "resource", "resource": { "uri": "test://x", "text": "t" } }),
            ),
            (
                resource(ResourceBody::Blob(vec![1])),
                json!({ "type": "resource", "resource": { "uri": "test://x", "blob": "AQ==" } }),
            ),
            (
                Content::Link(link.clone()),
                json!({ "type": "resource_link", "uri": "file:///a \"b\"", "name": "a", "mimeType": "text/plain" }),
            ),
        ];
        for (content, expected) in cases {
            assert_eq!(written(&content, Revision::July2026), expected);
        }
        let told = written(&Content::Link(link), Revision::March2025);
        assert_eq!(told, json!({ "type": "text", "text": "a: file:///a \"b\"" }));
    }
}
