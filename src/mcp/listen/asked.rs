//! What a client wants to be told of, and what of that it is.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{
    domain::{Change, Principal},
    error::Code,
    house::House,
    mcp::refusal::Refusal,
    policy::{self, ReadResource},
    protocol::{Kind, Node, Raw, Tree},
};

/// Most resources of one subscription.
const MOST_URIS: usize = 64;
/// Longest URI, bytes.
const MOST_URI_BYTES: usize = 2_048;

/// What a client wants to be told of, or is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Which tools there are.
    pub(super) tools: bool,
    /// Which prompts there are.
    pub(super) prompts: bool,
    /// Which resources there are.
    pub(super) resources: bool,
    /// What these resources hold.
    pub(super) uris: Vec<Arc<str>>,
    /// Whether single tasks are named: what becomes of them is asked for, not told, so none is honoured.
    pub(super) tasks: bool,
}

impl Wishes {
    /// Reads `params.notifications`.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn read(notifications: Option<Raw<'_>>) -> Result<Self, Refusal> {
        let malformed = |what: &str| Refusal::new(Code::InvalidParams, format!("params.notifications{what}"));
        let tree = notifications.and_then(|raw| Tree::of_text(raw.text()).ok());
        let tree = tree.filter(|tree| tree.root().kind() == Kind::Object);
        let tree = tree.ok_or_else(|| malformed(" must be an object"))?;
        let flag = |name: &str| match tree.root().member(name) {
            None => Ok(false),
            Some(flag) if flag.kind() == Kind::Bool => Ok(flag.text() == "true"),
            Some(_) => Err(malformed(&format!(".{name} must be true or false"))),
        };
        let uris = match tree.root().member("resourceSubscriptions") {
            None => Vec::new(),
            Some(list) if list.kind() == Kind::Array && list.len() <= MOST_URIS => list
                .elements()
                .map(uri_of)
                .collect::<Option<_>>()
                .ok_or_else(|| malformed(".resourceSubscriptions must hold URIs"))?,
            Some(_) => {
                let text = format!(".resourceSubscriptions must be a list of at most {MOST_URIS} URIs");
                return Err(malformed(&text));
            }
        };
        Ok(Self {
            tools: flag("toolsListChanged")?,
            prompts: flag("promptsListChanged")?,
            resources: flag("resourcesListChanged")?,
            uris,
            tasks: tree.root().member("taskIds").is_some(),
        })
    }

    /// As much of it as `caller` may see: of single resources those that it may read.
    pub(super) fn honoured(self, house: &House, caller: &Arc<Principal>) -> Self {
        let may_read = |uri: &Arc<str>| {
            let entry = house.resources.of(uri);
            entry.is_some_and(|entry| policy::decide::<ReadResource>(caller, entry.needs()).is_ok())
        };
        Self { uris: self.uris.into_iter().filter(may_read).collect(), ..self }
    }

    /// As the acknowledgement says it.
    pub(super) fn to_value(&self) -> Value {
        let flags = [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ];
        let set = flags.into_iter().filter(|(_, is_set)| *is_set);
        let mut all: Map<String, Value> = set.map(|(name, _)| (name.to_owned(), Value::Bool(true))).collect();
        if !self.uris.is_empty() {
            all.insert(
                "resourceSubscriptions".into(),
                json!(self.uris.iter().map(|uri| &**uri).collect::<Vec<_>>()),
            );
        }
        Value::Object(all)
    }

    /// What of it has changed with `change`.
    pub(super) fn touched(&self, change: &Change) -> Touched {
        match change {
            Change::Tools if self.tools => Touched::Flag(Flags::TOOLS),
            Change::Prompts if self.prompts => Touched::Flag(Flags::PROMPTS),
            Change::Resources if self.resources => Touched::Flag(Flags::RESOURCES),
            Change::Resource(uri) => {
                self.uris.iter().position(|known| known == uri).map_or(Touched::Nothing, Touched::Uri)
            }
            _ => Touched::Nothing,
        }
    }
}

fn uri_of(node: Node<'_>) -> Option<Arc<str>> {
    let uri = node.string()?;
    (uri.len() <= MOST_URI_BYTES && url::Url::parse(&uri).is_ok()).then(|| uri.as_ref().into())
}

/// What of a subscription a change touches.
pub(super) enum Touched {
    /// Nothing.
    Nothing,
    /// A list.
    Flag(Flags),
    /// The resource that was named at this place.
    Uri(usize),
}

/// What has changed and was not told yet.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags {
    lists: u8,
    uris: u64,
}

impl Flags {
    pub(super) const TOOLS: Self = Self { lists: 1, uris: 0 };
    pub(super) const PROMPTS: Self = Self { lists: 2, uris: 0 };
    pub(super) const RESOURCES: Self = Self { lists: 4, uris: 0 };

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.lists & other.lists != 0
    }

    pub(super) fn has_uri(self, at: usize) -> bool {
        self.uris >> at & 1 == 1
    }

    pub(super) fn add(&mut self, touched: &Touched) {
        match touched {
            Touched::Nothing => {}
            Touched::Flag(flag) => self.lists |= flag.lists,
            Touched::Uri(at) => self.uris |= 1 << at,
        }
    }

    /// Everything that `wishes` names.
    pub(super) fn all_of(wishes: &Wishes) -> Self {
        let mut all = Self::default();
        for change in [Change::Tools, Change::Prompts, Change::Resources] {
            all.add(&wishes.touched(&change));
        }
        (0..wishes.uris.len()).for_each(|at| all.add(&Touched::Uri(at)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Envelope;

    fn read(notifications: &str) -> Result<Wishes, Refusal> {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"notifications":{notifications}}}}}"#
        );
        Wishes::read(Envelope::parse(text.as_bytes()).unwrap().params.notifications())
    }

    #[test]
    fn what_is_asked_for_is_read_and_nonsense_is_refused() {
        let wishes = read(
            r#"{"toolsListChanged":true,"promptsListChanged":false,"taskIds":[1],"resourceSubscriptions":["file:///a"]}"#,
        );
        let expected =
            Wishes { tools: true, uris: vec!["file:///a".into()], tasks: true, ..Wishes::default() };
        assert_eq!(wishes.unwrap(), expected);
        assert_eq!(read("{}").unwrap(), Wishes::default());
        for wrong in [
            "null",
            "[]",
            r#"{"toolsListChanged":1}"#,
            r#"{"resourceSubscriptions":"file:///a"}"#,
            r#"{"resourceSubscriptions":[1]}"#,
            r#"{"resourceSubscriptions":["no uri"]}"#,
        ] {
            assert_eq!(read(wrong).unwrap_err().code, Code::InvalidParams, "{wrong}");
        }
        assert_eq!(Wishes::read(None).unwrap_err().code, Code::InvalidParams);
    }

    #[test]
    fn resources_are_bounded_in_number_and_length() {
        let many = |n: usize, bytes: usize| {
            let uri = format!("file:///{}", "x".repeat(bytes - "file:///".len()));
            read(&json!({ "resourceSubscriptions": vec![uri; n] }).to_string())
        };
        assert_eq!(many(MOST_URIS, MOST_URI_BYTES).unwrap().uris.len(), MOST_URIS);
        assert!(many(MOST_URIS + 1, 20).is_err() && many(1, MOST_URI_BYTES + 1).is_err());
    }

    #[test]
    fn a_change_touches_only_what_was_asked_for() {
        let wishes = Wishes { tools: true, uris: vec!["a:a".into(), "b:b".into()], ..Wishes::default() };
        let mut flags = Flags::default();
        for change in [Change::Prompts, Change::Resources, Change::Resource("c:c".into())] {
            flags.add(&wishes.touched(&change));
        }
        assert!(flags.is_empty());
        flags.add(&wishes.touched(&Change::Tools));
        flags.add(&wishes.touched(&Change::Resource("b:b".into())));
        assert!(flags.has(Flags::TOOLS) && !flags.has(Flags::PROMPTS));
        assert!(flags.has_uri(1) && !flags.has_uri(0));
        assert!(Flags::all_of(&wishes).has_uri(0));
    }
}
