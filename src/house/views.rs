//! Answers that do not depend on arguments: who we are, and `tools/list` per set of permissions.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::json;

use crate::{
    domain::{PermissionSet, Principal},
    policy::{self, CallTool},
    protocol::{Dress, Revision, SUPPORTED},
    tools::Registry,
};

/// Most lists that are kept; there are never more than sets of permissions in use.
const MAX_LISTS: usize = 1_024;
/// How long a client may keep a list, milliseconds. A hint: every call is checked anyway (C5).
const LIST_TTL_MS: u32 = 60_000;
/// How long a client may keep what the server says of itself, milliseconds.
const DISCOVER_TTL_MS: u32 = 3_600_000;

/// Precomputed parts of answers.
#[derive(Debug)]
pub struct Views {
    /// The members of the answer to `server/discover`.
    pub discover: String,
    /// The members of the answer to `initialize`, the revision aside.
    introduction: String,
    /// The `_meta` member that every result of the modern era carries (M7).
    stamp: String,
    /// Every permission that some tool needs: two callers who agree on these see the same list.
    relevant: PermissionSet,
    /// One for each shape that a list has.
    lists: [Lists; 3],
}

/// What this server tells subscriptions of, beside its tools.
#[derive(Debug, Default, Clone, Copy)]
pub struct Told {
    /// Which prompts there are.
    pub prompts: bool,
    /// Which resources there are, and what they hold.
    pub resources: bool,
}

impl Told {
    /// Whether `caller` may be told what the resource of that URI holds.
    pub fn sees(self, _caller: &Arc<Principal>, _uri: &str) -> bool {
        self.resources
    }
}

/// Lists of one shape.
type Lists = RwLock<HashMap<PermissionSet, Bytes>>;

impl Views {
    /// Views of a server called `name` that has these tools.
    pub fn new(name: &str, registry: &Registry) -> Self {
        let info = json!({ "name": name, "version": env!("CARGO_PKG_VERSION") });
        let versions = json!(SUPPORTED);
        let instructions = json!(
            "Every tool call is authenticated, authorised and recorded. tools/list shows exactly the tools that \
             your credential may call; a refusal names what is missing."
        );
        let shared = format!("\"instructions\":{instructions}");
        Self {
            discover: format!(
                "\"supportedVersions\":{versions},\"capabilities\":{{\"tools\":{{\"listChanged\":true}}}},{shared},\"ttlMs\":{DISCOVER_TTL_MS},\"cacheScope\":\"public\""
            ),
            introduction: format!("\"capabilities\":{{\"tools\":{{}}}},{shared},\"serverInfo\":{info}"),
            stamp: format!("\"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{info}}}"),
            relevant: registry.iter().map(crate::tools::Entry::needs).collect(),
            lists: Default::default(),
        }
    }

    /// How results of `revision` look.
    pub fn dress(&self, revision: Revision) -> Dress<'_> {
        Dress { revision, stamp: &self.stamp }
    }

    /// What subscriptions are told of beside the tools.
    pub fn told(&self) -> Told {
        Told::default()
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

    /// The members of the answer to a handshake that agrees on `revision`.
    pub fn introduction(&self, revision: Revision) -> String {
        format!("\"protocolVersion\":\"{}\",{}", revision.name(), self.introduction)
    }

    /// The members of the answer to `tools/list` for `caller`: exactly the tools that it may call, by the
    /// same decision, in the order of their names.
    pub fn tools(&self, caller: &Arc<Principal>, registry: &Registry, revision: Revision) -> Bytes {
        let [modern, titled, plain] = &self.lists;
        let lists = match (revision.is_modern(), revision.has_structure()) {
            (true, _) => modern,
            (false, true) => titled,
            (false, false) => plain,
        };
        let key = caller.permissions.intersection(self.relevant);
        if let Some(list) = lists.read().get(&key) {
            return list.clone();
        }
        let callable =
            registry.iter().filter(|entry| policy::decide::<CallTool>(caller, entry.needs()).is_ok());
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
