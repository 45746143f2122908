//! Answers that do not depend on arguments: who we are, and `tools/list` per set of permissions.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    domain::{PermissionSet, Principal},
    policy::{self, CallTool},
    protocol::{Dress, Icon, Revision, SUPPORTED},
    tools::{Entry, InTask, Registry, TASKS_EXTENSION},
};

/// Most lists that are kept; there are never more than sets of permissions in use.
const MAX_LISTS: usize = 1_024;
/// How long a client may keep a list, milliseconds. A hint: every call is checked anyway (C5).
const LIST_TTL_MS: u32 = 60_000;
/// How long a client may keep what the server says of itself, milliseconds.
const DISCOVER_TTL_MS: u32 = 3_600_000;

/// What the server can do: exactly what it answers (D3). The one place that says so.
const CAPABILITIES: &str = r#"{"completions":{},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}}"#;
/// The same in older revisions, whose clients have no stream on which they could be told of changes; and in their
/// sessions, where they have one.
const OLDER_CAPABILITIES: &str = r#"{"completions":{},"prompts":{},"resources":{},"tools":{}}"#;
const SESSION_CAPABILITIES: &str = r#"{"completions":{},"logging":{},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}}"#;

/// Precomputed parts of answers.
#[derive(Debug)]
pub struct Views {
    /// The members of the answer to `server/discover`.
    pub discover: String,
    /// The members of the answer to `initialize`, the revision, the capabilities and who we are aside.
    introduction: String,
    /// Who we are, as each revision says it.
    info: Info,
    /// The `_meta` member of the answer to `server/discover`, which says all of that.
    whole_stamp: String,
    /// The `_meta` member that every result of the modern era carries (M7).
    stamp: String,
    /// Every permission that some tool needs: two callers who agree on these see the same list.
    relevant: PermissionSet,
    /// What tells these tools from others.
    generation: u64,
    /// Whether a tool may answer with a task.
    has_tasks: bool,
    /// One for each shape that a list has.
    lists: [Lists; 4],
}

/// What a server says of itself beside its name.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The name people read.
    pub title: Option<String>,
    /// Where more of it is told.
    pub website: Option<String>,
    /// Pictures for it, of `https:` or `data:`.
    pub icons: Vec<Icon>,
}

/// Who we are, as each revision says it.
#[derive(Debug)]
struct Info {
    plain: Value,
    titled: Value,
    whole: Value,
}

fn stamp(info: &Value) -> String {
    format!("\"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{info}}}")
}

/// Lists of one shape.
type Lists = RwLock<HashMap<PermissionSet, Bytes>>;

impl Views {
    /// Views of a server called `name` that has these tools.
    pub fn new(name: &str, registry: &Registry) -> Self {
        let info = json!({ "name": name, "version": env!("CARGO_PKG_VERSION") });
        let versions = json!(SUPPORTED);
        let instructions = json!(
            "Every tool call is authenticated, authorised and recorded. Lists show exactly what your \
             credential may call, read and get; a refused call names what is missing."
        );
        let shared = format!("\"instructions\":{instructions}");
        Self {
            discover: format!(
                "\"supportedVersions\":{versions},\"capabilities\":{CAPABILITIES},{shared},\"ttlMs\":{DISCOVER_TTL_MS},\"cacheScope\":\"public\""
            ),
            introduction: shared.clone(),
            stamp: stamp(&info),
            whole_stamp: stamp(&info),
            info: Info { plain: info.clone(), titled: info.clone(), whole: info },
            relevant: registry.iter().map(Entry::needs).collect(),
            generation: generation(registry),
            has_tasks: false,
            lists: Default::default(),
        }
    }

    /// The same, saying that a tool may answer with a task; the modern era alone knows that.
    #[must_use]
    pub fn offering_tasks(mut self, are_offered: bool) -> Self {
        self.has_tasks = are_offered;
        if are_offered {
            let extensions = format!("{{\"extensions\":{{\"{TASKS_EXTENSION}\":{{}}}},");
            let more = CAPABILITIES.replacen('{', &extensions, 1);
            self.discover = self.discover.replacen(CAPABILITIES, &more, 1);
        }
        self
    }

    /// What tells the tools of this server from those of another: the same on every replica of one build and
    /// settings.
    pub fn tools_generation(&self) -> u64 {
        self.generation
    }

    /// How results of `revision` look.
    pub fn dress(&self, revision: Revision) -> Dress<'_> {
        Dress { revision, stamp: &self.stamp }
    }

    /// Whether whoever may do `one` sees other tools than whoever may do `other`.
    pub fn tools_differ(&self, one: PermissionSet, other: PermissionSet) -> bool {
        one.intersection(self.relevant) != other.intersection(self.relevant)
    }

    /// The `_meta` member of the result that ends the subscription `id`, JSON text.
    pub fn stamp_with(&self, id: &str) -> String {
        let open = self.stamp.strip_suffix('}').unwrap_or_default();
        format!("{open},\"io.modelcontextprotocol/subscriptionId\":{id}}}")
    }

    /// The same, saying more of the server where that is asked: in the handshake, as far as its revision knows it, and
    /// in `server/discover`. Every other result says name and version alone.
    #[must_use]
    pub fn introducing(mut self, about: &About) -> Self {
        if let (Some(title), Some(info)) = (&about.title, self.info.titled.as_object_mut()) {
            info.insert("title".into(), json!(title));
        }
        self.info.whole = self.info.titled.clone();
        if let Some(info) = self.info.whole.as_object_mut() {
            if let Some(website) = &about.website {
                info.insert("websiteUrl".into(), json!(website));
            }
            if !about.icons.is_empty() {
                info.insert("icons".into(), json!(about.icons));
            }
        }
        self.whole_stamp = stamp(&self.info.whole);
        self
    }

    /// How the answer to `server/discover` looks.
    pub fn dress_of_discover(&self) -> Dress<'_> {
        Dress { revision: Revision::July2026, stamp: &self.whole_stamp }
    }

    /// The members of the answer to a handshake that agrees on `revision`.
    pub fn introduction(&self, revision: Revision) -> String {
        self.introduced(revision, OLDER_CAPABILITIES)
    }

    /// The same in a session.
    pub fn introduction_in_session(&self, revision: Revision) -> String {
        self.introduced(revision, SESSION_CAPABILITIES)
    }

    fn introduced(&self, revision: Revision, capabilities: &str) -> String {
        let info = match (revision.has_icons(), revision.has_structure()) {
            (true, _) => &self.info.whole,
            (false, true) => &self.info.titled,
            (false, false) => &self.info.plain,
        };
        let (name, members) = (revision.name(), &self.introduction);
        format!(
            "\"protocolVersion\":\"{name}\",\"capabilities\":{capabilities},{members},\"serverInfo\":{info}"
        )
    }

    /// Whether a list of `revision` shows `entry` to `caller`: what is listed is callable. Older revisions know no
    /// tasks, so that a tool which has to be one is not for their clients.
    pub fn shows(&self, entry: &Entry, caller: &Arc<Principal>, revision: Revision) -> bool {
        let is_bound = self.has_tasks && matches!(entry.in_task(), InTask::Must(_));
        (revision.is_modern() || !is_bound) && policy::decide::<CallTool>(caller, entry.needs()).is_ok()
    }

    /// The members of the answer to `tools/list` for `caller`: exactly the tools that it may call, by the
    /// same decision, in the order of their names.
    pub fn tools(&self, caller: &Arc<Principal>, registry: &Registry, revision: Revision) -> Bytes {
        let [modern, pictured, titled, plain] = &self.lists;
        let lists = match revision {
            Revision::July2026 => modern,
            Revision::November2025 => pictured,
            Revision::June2025 => titled,
            Revision::March2025 => plain,
        };
        let key = caller.permissions.intersection(self.relevant);
        if let Some(list) = lists.read().get(&key) {
            return list.clone();
        }
        let callable = registry.iter().filter(|entry| self.shows(entry, caller, revision));
        let tools: Vec<&str> = callable.map(|entry| entry.descriptor(revision)).collect();
        let tools = tools.join(",");
        let list = if revision.is_modern() {
            format!("\"tools\":[{tools}],\"ttlMs\":{LIST_TTL_MS},\"cacheScope\":\"private\"")
        } else {
            format!("\"tools\":[{tools}]")
        };
        let list = Bytes::from(list);
        let mut lists = lists.write();
        if lists.len() < MAX_LISTS {
            lists.insert(key, list.clone());
        }
        list
    }
}

fn generation(registry: &Registry) -> u64 {
    let mut digest = Sha256::new();
    for entry in registry.iter() {
        digest.update(entry.descriptor(Revision::July2026));
    }
    let digest: [u8; 32] = digest.finalize().into();
    digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
