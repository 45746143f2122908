//! Everything that a store keeps, as plain records.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    domain::{ApiKey, KeyDigest, Timestamp},
    store::{
        EndedTask, Family, FamilyAccess, Level, Report, Revocation, RevocationTarget, StoreError, TaskEnd,
        TaskRow, User,
        hex::{hex, unhex},
    },
};

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A secret that is shared.
    Ring,
    /// Something that was taken back.
    Revocation,
    /// An account.
    User,
    /// An API key.
    Key,
    /// A refresh family.
    Family,
    /// What is used up of a limit.
    Level,
    /// A report of the weather.
    Report,
    /// A task.
    Task,
}

impl RecordKind {
    /// Every kind, in the order in which they are copied.
    pub const ALL: [Self; 8] = [
        Self::Ring,
        Self::Revocation,
        Self::User,
        Self::Key,
        Self::Family,
        Self::Level,
        Self::Report,
        Self::Task,
    ];

    /// What records of it are called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ring => "shared_secrets",
            Self::Revocation => "revocations",
            Self::User => "accounts",
            Self::Key => "api_keys",
            Self::Family => "refresh_families",
            Self::Level => "limit_levels",
            Self::Report => "weather_reports",
            Self::Task => "tasks",
        }
    }
}

/// One record, whole. It holds digests of passwords and sealed tokens, so `Debug` shows its kind alone.
#[derive(Clone, PartialEq, Eq)]
pub enum Record {
    /// A secret that is shared.
    Ring {
        /// Its name, which is the record's id.
        name: String,
        /// It.
        secret: [u8; 32],
    },
    /// Something that was taken back; by kind and name.
    Revocation(Revocation),
    /// An account, by its name.
    User {
        /// It.
        user: User,
        /// Its password's digest.
        hash: Option<String>,
    },
    /// An API key, by its id.
    Key {
        /// The digest of its text.
        digest: KeyDigest,
        /// It, with its uses.
        key: Box<ApiKey>,
        /// Whether its end has been told of.
        told_ended: bool,
    },
    /// A refresh family, by its id.
    Family(Box<WholeFamily>),
    /// What is used up of a limit; by scope and id.
    Level(Level),
    /// A report, by its city.
    Report(Report),
    /// A task, by the digest of its id.
    Task(Box<TaskRow>),
}

/// A family with all that hangs on it.
#[derive(Clone, PartialEq, Eq)]
pub struct WholeFamily {
    /// It.
    pub family: Family,
    /// When it was founded or exchanged last.
    pub used_at: Timestamp,
    /// Its access tokens, by their ids.
    pub access: Vec<FamilyAccess>,
    /// Refresh tokens that were exchanged, by their ids.
    pub used: Vec<UsedRefresh>,
}

impl WholeFamily {
    /// The same with its lists in their order.
    pub(in crate::store) fn sorted(mut self) -> Self {
        self.access.sort_by(|one, other| one.jti.cmp(&other.jti));
        self.used.sort_by(|one, other| one.jti.cmp(&other.jti));
        self
    }
}

/// A refresh token that was exchanged.
#[derive(Clone, PartialEq, Eq)]
pub struct UsedRefresh {
    /// Its id.
    pub jti: String,
    /// When.
    pub at: Timestamp,
    /// Its successors, sealed.
    pub sealed: Vec<u8>,
}

impl Record {
    /// What it is of.
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::Ring { .. } => RecordKind::Ring,
            Self::Revocation(_) => RecordKind::Revocation,
            Self::User { .. } => RecordKind::User,
            Self::Key { .. } => RecordKind::Key,
            Self::Family(_) => RecordKind::Family,
            Self::Level(_) => RecordKind::Level,
            Self::Report(_) => RecordKind::Report,
            Self::Task(_) => RecordKind::Task,
        }
    }

    /// What tells it from others of its kind.
    pub fn id(&self) -> String {
        match self {
            Self::Ring { name, .. } => name.clone(),
            Self::Revocation(revocation) => target_id(&revocation.target),
            Self::User { user, .. } => user.username.as_str().to_owned(),
            Self::Key { key, .. } => key.id.to_string(),
            Self::Family(whole) => whole.family.id.clone(),
            Self::Level(level) => level_id(&level.scope, &level.id),
            Self::Report(report) => report.key(),
            Self::Task(row) => hex(&row.digest),
        }
    }

    /// About how many bytes it has.
    pub(in crate::store) fn weight(&self) -> usize {
        /// What records have that hold nothing of anybody's choice.
        const SMALL: usize = 512;
        SMALL
            + match self {
                Self::Family(whole) => {
                    whole.used.iter().map(|used| used.sealed.len()).sum::<usize>() + 64 * whole.access.len()
                }
                Self::Task(row) => row.ended.as_ref().map_or(0, |end| end.body.len()),
                _ => 0,
            }
    }

    /// All of it as one text, which is the same whatever backend it comes from.
    pub(super) fn text(&self) -> String {
        let value = match self {
            Self::Ring { name, secret } => json!([name, hex(secret)]),
            Self::Revocation(revocation) => json!(revocation),
            Self::User { user, hash } => user_value(user, hash.as_deref()),
            Self::Key { digest, key, told_ended } => key_value(digest, key, *told_ended),
            Self::Family(whole) => family_value(whole),
            Self::Level(Level { scope, id, spent, at, until }) => json!([scope, hex(id), spent, at, until]),
            Self::Report(report) => json!(report),
            Self::Task(row) => task_value(row),
        };
        value.to_string()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({})", self.kind().as_str())
    }
}

fn user_value(user: &User, hash: Option<&str>) -> Value {
    let User { id, username, roles, active, created_at, last_login } = user;
    json!([id, username, roles, active, created_at, last_login, hash])
}

fn key_value(digest: &KeyDigest, key: &ApiKey, told_ended: bool) -> Value {
    let ApiKey {
        id,
        owner,
        name,
        permissions,
        created_at,
        expires_at,
        last_used,
        usage_count,
        state,
        created_by,
        cidrs,
        predecessor,
        rotation,
    } = key;
    let rotation = rotation.map(|rotated| json!([rotated.successor, rotated.at, rotated.grace_until]));
    let own = json!([id, owner, name.as_str(), permissions, created_at, expires_at, last_used, usage_count]);
    let state = json!([state.as_str(), created_by, cidrs, predecessor, rotation]);
    json!([hex(digest.as_bytes()), own, state, told_ended])
}

fn family_value(whole: &WholeFamily) -> Value {
    let WholeFamily { family, used_at, access, used } = whole;
    let Family { id, subject, client, roles, permissions, has_account, refresh, expires_at } = family;
    let access: Vec<_> = access.iter().map(|FamilyAccess { jti, until }| json!([jti, until])).collect();
    let used = used.iter().map(|UsedRefresh { jti, at, sealed }| json!([jti, at, STANDARD.encode(sealed)]));
    let used: Vec<_> = used.collect();
    let own = json!([id, subject, client, roles, permissions, has_account, refresh, expires_at]);
    json!([own, used_at, access, used])
}

fn task_value(row: &TaskRow) -> Value {
    let TaskRow { digest, owner, tool, runner, created_at, due, until, ended } = row;
    let ended = ended.as_ref().map(|EndedTask { how, at, message, body }| {
        let how = match how {
            TaskEnd::Completed => "completed",
            TaskEnd::Failed => "failed",
            TaskEnd::Cancelled => "cancelled",
        };
        json!([how, at, message, body])
    });
    json!([hex(digest), owner, tool, runner, created_at, due, until, ended])
}

/// The id of a revocation.
pub(in crate::store) fn target_id(target: &RevocationTarget) -> String {
    let (kind, name) = target_parts(target);
    format!("{kind}:{name}")
}

/// Kind and name of a target, in words.
pub(in crate::store) fn target_parts(target: &RevocationTarget) -> (&'static str, &str) {
    match target {
        RevocationTarget::Jti(name) => ("jti", name),
        RevocationTarget::Subject(name) => ("subject", name),
        RevocationTarget::Client(name) => ("client", name),
    }
}

/// The target with that id.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(in crate::store) fn target_of(id: &str) -> Result<RevocationTarget, StoreError> {
    match id.split_once(':') {
        Some(("jti", name)) => Ok(RevocationTarget::Jti(name.to_owned())),
        Some(("subject", name)) => Ok(RevocationTarget::Subject(name.to_owned())),
        Some(("client", name)) => Ok(RevocationTarget::Client(name.to_owned())),
        _ => Err(StoreError::Corrupt("a revocation")),
    }
}

/// The id of a level.
pub(in crate::store) fn level_id(scope: &str, id: &[u8; 16]) -> String {
    format!("{scope}:{}", hex(id))
}

/// Scope and id of the level with that id.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(in crate::store) fn level_of(id: &str) -> Result<(&str, [u8; 16]), StoreError> {
    let parts = id.rsplit_once(':').and_then(|(scope, id)| Some((scope, unhex(id)?)));
    parts.ok_or(StoreError::Corrupt("a level"))
}
