//! Answers that do not depend on arguments: `server/discover`, and `tools/list` per set of permissions.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::json;

use crate::{
    domain::{PermissionSet, Principal},
    policy::{self, CallTool},
    protocol::SUPPORTED,
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
    /// The `_meta` member that every result carries (M7).
    pub stamp: String,
    /// Every permission that some tool needs: two callers who agree on these see the same list.
    relevant: PermissionSet,
    lists: RwLock<HashMap<PermissionSet, Bytes>>,
}

impl Views {
    /// Views of a server called `name` that has these tools.
    pub fn new(name: &str, registry: &Registry) -> Self {
        let info = json!({ "name": name, "version": env!("CARGO_PKG_VERSION") });
        let versions = json!(SUPPORTED);
        let instructions = json!(
            "Every tool call is authenticated, authorised and recorded. tools/list shows exactly the tools that \
             your credential may call; a refusal names what is missing."
        );
        let discover = format!(
            "\"supportedVersions\":{versions},\"capabilities\":{{\"tools\":{{}}}},\"instructions\":{instructions},\
             \"ttlMs\":{DISCOVER_TTL_MS},\"cacheScope\":\"public\""
        );
        Self {
            discover,
            stamp: format!("\"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{info}}}"),
            relevant: registry.iter().map(crate::tools::Entry::needs).collect(),
            lists: RwLock::default(),
        }
    }

    /// The members of the answer to `tools/list` for `caller`: exactly the tools that it may call, by the
    /// same decision, in the order of their names.
    pub fn tools(&self, caller: &Arc<Principal>, registry: &Registry) -> Bytes {
        let key = caller.permissions.intersection(self.relevant);
        if let Some(list) = self.lists.read().get(&key) {
            return list.clone();
        }
        let callable =
            registry.iter().filter(|entry| policy::decide::<CallTool>(caller, entry.needs()).is_ok());
        let tools: Vec<&str> = callable.map(crate::tools::Entry::descriptor).collect();
        let list =
            format!("\"tools\":[{}],\"ttlMs\":{LIST_TTL_MS},\"cacheScope\":\"private\"", tools.join(","));
        let list = Bytes::from(list);
        let mut lists = self.lists.write();
        if lists.len() < MAX_LISTS {
            lists.insert(key, list.clone());
        }
        list
    }
}
