//! A resource or a template as it stands in a list.

use serde_json::{Map, Value, json};

use super::{Icon, Template};
use crate::{domain::Timestamp, protocol::Revision};

/// One resource in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Its URI.
    pub uri: String,
    /// Its name, for example that of a file without its folders.
    pub name: String,
    /// The name people read, where that is another one.
    pub title: Option<String>,
    /// What it is, for the model.
    pub about: Option<String>,
    /// Its media type, if known.
    pub mime_type: Option<String>,
    /// Bytes in it, if known.
    pub size: Option<u64>,
    /// When it last changed, if known.
    pub modified: Option<Timestamp>,
    /// For whom it is, if for somebody above all.
    pub audience: Vec<Audience>,
    /// How much it matters in percent, if known: 100 is needed, 0 is beside the point.
    pub priority: Option<u8>,
    /// Pictures for it.
    pub icons: Vec<Icon>,
}

/// For whom a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A person.
    User,
    /// A model.
    Assistant,
}

impl Audience {
    const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl Descriptor {
    /// One of which no more is known.
    pub fn new(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            name: name.into(),
            title: None,
            about: None,
            mime_type: None,
            size: None,
            modified: None,
            audience: Vec::new(),
            priority: None,
            icons: Vec::new(),
        }
    }

    /// As `revision` shows it.
    pub fn json(&self, revision: Revision) -> Value {
        let mut shown = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                shown.insert(name.to_owned(), value);
            }
        };
        put("uri", Some(json!(self.uri)));
        put("name", Some(json!(self.name)));
        put("title", self.title.as_ref().filter(|_| revision.has_structure()).map(|title| json!(title)));
        put("description", self.about.as_ref().map(|about| json!(about)));
        put("mimeType", self.mime_type.as_ref().map(|mime_type| json!(mime_type)));
        put("size", self.size.map(|size| json!(size)));
        let annotations = self.annotations(revision);
        put("annotations", (!annotations.is_empty()).then_some(Value::Object(annotations)));
        let icons: Vec<&Icon> = self.icons.iter().filter(|icon| icon.is_sound()).collect();
        put("icons", (revision.has_icons() && !icons.is_empty()).then(|| json!(icons)));
        Value::Object(shown)
    }
}

impl Descriptor {
    fn annotations(&self, revision: Revision) -> Map<String, Value> {
        let mut all = Map::new();
        if !self.audience.is_empty() {
            let audience: Vec<_> = self.audience.iter().map(|one| one.as_str()).collect();
            all.insert("audience".into(), json!(audience));
        }
        if let Some(priority) = self.priority {
            all.insert("priority".into(), json!(f64::from(priority.min(100)) / 100.0));
        }
        if let Some(at) = self.modified.filter(|_| revision.has_structure()) {
            all.insert("lastModified".into(), json!(at.to_string()));
        }
        all
    }
}

/// A template as `revision` shows it.
pub(super) fn template(template: &Template, revision: Revision) -> Value {
    let mut shown = Map::new();
    let mut put = |name: &str, value: &str| shown.insert(name.to_owned(), json!(value));
    put("uriTemplate", template.uri);
    put("name", template.name);
    put("description", template.about);
    if revision.has_structure() {
        put("title", template.title);
    }
    if let Some(mime_type) = template.mime_type {
        put("mimeType", mime_type);
    }
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_shown_as_far_as_the_revision_knows_its_members() {
        let resource = Descriptor {
            title: Some("A".into()),
            about: Some("what it is".into()),
            mime_type: Some("text/plain".into()),
            size: Some(7),
            modified: Some(Timestamp::from_secs(1)),
            icons: vec![Icon::at("https://example.org/a.png"), Icon::at("javascript:alert(1)")],
            ..Descriptor::new("test://a", "a")
        };
        let plain = json!({ "uri": "test://a", "name": "a", "description": "what it is", "mimeType": "text/plain",
                            "size": 7 });
        assert_eq!(resource.json(Revision::March2025), plain);
        let mut titled = plain;
        titled["title"] = json!("A");
        titled["annotations"] = json!({ "lastModified": "1970-01-01T00:00:01.000000Z" });
        assert_eq!(resource.json(Revision::June2025), titled);
        titled["icons"] = json!([{ "src": "https://example.org/a.png" }]);
        assert_eq!(resource.json(Revision::July2026), titled);
        let noted = Descriptor {
            audience: vec![Audience::User, Audience::Assistant],
            priority: Some(150),
            ..resource.clone()
        };
        let said = json!({ "audience": ["user", "assistant"], "priority": 1.0 });
        assert_eq!(noted.json(Revision::March2025)["annotations"], said);
        let quarter = Descriptor { priority: Some(25), ..Descriptor::new("x:y", "y") };
        assert_eq!(quarter.json(Revision::July2026)["annotations"], json!({ "priority": 0.25 }));
        assert_eq!(
            Descriptor::new("x:y", "y").json(Revision::July2026),
            json!({ "uri": "x:y", "name": "y" })
        );
    }
}
