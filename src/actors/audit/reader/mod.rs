//! Reads the log offline: verify, search, follow. Needs no server, holds no lock, streams files of any size.

mod check;
mod follow;
mod lines;
mod query;
mod verify;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use follow::{Follower, tail};
pub use query::{Filter, Query, Usage, query, usage};
pub(super) use verify::trusted_head;
pub use verify::{Problem, Report, SlotReport, verify};

pub(super) use self::lines::{End, Lines};
use super::{error::AuditError, head::SignedHead, home::audit_dir};

/// One record as it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The writer's id.
    pub chain: String,
    /// Its number in the chain, from 1.
    pub seq: u64,
    /// RFC 3339, UTC, microseconds.
    pub time: String,
    /// The stable code of what happened.
    pub event: String,
    /// How it ended.
    pub outcome: String,
    /// Why, for whatever is not `ok`.
    pub reason: Option<String>,
    /// Who.
    pub principal: Option<RecordedPrincipal>,
    /// From where.
    pub ip: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The HTTP path.
    pub path: Option<String>,
    /// The MCP method.
    pub method: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The permission that was missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Where one record stands for several requests: which limit they reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Likewise: how many they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Likewise: the ids of the first 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_ids: Vec<String>,
    /// Members that only this kind of event has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
    /// In `audit.checkpoint` records: the signature over everything before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<SignedHead>,
    /// Whether something was cut to keep the record short.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// `hmac-sha256:` and the keyed digest of the arguments.
    pub arguments_digest: Option<String>,
    /// Which request.
    pub request_id: Option<String>,
    /// How long it took, microseconds.
    pub duration_us: Option<u64>,
    /// Hash of the record before.
    pub prev: String,
    /// Hash of this record.
    pub hash: String,
}

/// Who did it, as it stands in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedPrincipal {
    /// The subject.
    pub id: String,
    /// How it was proved.
    pub kind: String,
    /// The client that acted for it.
    pub client: String,
    /// The roles that counted.
    pub roles: Vec<String>,
    /// The credential's own id.
    pub credential: String,
}

/// One record that was found: its line, unchanged, and what it says.
#[derive(Debug, Clone)]
pub struct Found {
    /// The line, without its end.
    pub line: String,
    /// What it says.
    pub record: Record,
}

impl Found {
    /// Reads a line; `None` if it is no record, which is for `verify` to complain about.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let record = serde_json::from_slice(line).ok()?;
        Some(Self { line: String::from_utf8(line.to_vec()).ok()?, record })
    }
}

/// The slots below a data directory, by number; none if there is no log.
///
/// # Errors
/// [`AuditError::File`].
pub(super) fn slots(dir: &Path) -> Result<Vec<(u32, PathBuf)>, AuditError> {
    let audit = audit_dir(dir);
    let entries = match std::fs::read_dir(&audit) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(AuditError::file("read", &audit))?,
    };
    let mut slots = Vec::new();
    for entry in entries {
        let entry = entry.map_err(AuditError::file("read", &audit))?;
        if let Some(slot) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            slots.push((slot, entry.path()));
        }
    }
    slots.sort_unstable();
    Ok(slots)
}
