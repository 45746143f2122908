//! Records as JSON texts, and back. Each carries the version of its shape; one of a newer shape does not read.

use base64::{Engine, engine::general_purpose::STANDARD};
use ipnet::IpNet;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    domain::{ApiKey, KeyId, KeyState, Rotated, Subject, Timestamp},
    store::{
        Family, FamilyAccess, StoreError, User,
        moving::{UsedRefresh, WholeFamily},
    },
};

/// The version of all shapes below.
const VERSION: u8 = 1;

/// A record: `V` beside the version of its shape.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u8,
    #[serde(flatten)]
    record: T,
}

/// The text of `record`.
///
/// # Errors
/// [`StoreError::Corrupt`]; does not happen to records of this file.
pub(super) fn write<T: Serialize>(record: &T, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(&Versioned { v: VERSION, record }).map_err(|_unwritable| StoreError::Corrupt(what))
}

/// The record of `text`.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(super) fn read<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    let found: Versioned<T> = serde_json::from_str(text).map_err(|_unreadable| StoreError::Corrupt(what))?;
    if found.v == VERSION { Ok(found.record) } else { Err(StoreError::Corrupt(what)) }
}

/// An account, with its password's digest.
#[derive(Serialize, Deserialize)]
pub(super) struct UserRecord {
    id: Uuid,
    username: Subject,
    roles: Vec<String>,
    active: bool,
    created_at: Timestamp,
    last_login: Option<Timestamp>,
    /// As a PHC string.
    pub(super) hash: Option<String>,
}

impl UserRecord {
    pub(super) fn new(user: &User, hash: Option<String>) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            roles: user.roles.clone(),
            active: user.active,
            created_at: user.created_at,
            last_login: user.last_login,
            hash,
        }
    }

    /// The account and the digest.
    pub(super) fn parts(self) -> (User, Option<String>) {
        let Self { id, username, roles, active, created_at, last_login, hash } = self;
        (User { id, username, roles, active, created_at, last_login }, hash)
    }
}

/// An API key without its uses, which are counted apart.
#[derive(Serialize, Deserialize)]
pub(super) struct KeyRecord {
    id: KeyId,
    owner: Subject,
    name: String,
    permissions: Vec<String>,
    created_at: Timestamp,
    expires_at: Timestamp,
    state: String,
    created_by: String,
    cidrs: Vec<IpNet>,
    predecessor: Option<KeyId>,
    rotation: Option<(KeyId, Timestamp, Timestamp)>,
    /// What was used when it came from another store: added to what is counted here.
    usage_count: u64,
    last_used: Option<Timestamp>,
    /// Whether its end has been told of.
    pub(super) told_ended: bool,
}

impl KeyRecord {
    pub(super) fn new(key: &ApiKey, told_ended: bool) -> Self {
        Self {
            id: key.id,
            owner: key.owner.clone(),
            name: key.name.as_str().to_owned(),
            permissions: key.permissions.clone(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            state: key.state.as_str().to_owned(),
            created_by: key.created_by.clone(),
            cidrs: key.cidrs.clone(),
            predecessor: key.predecessor,
            rotation: key.rotation.map(|rotated| (rotated.successor, rotated.at, rotated.grace_until)),
            usage_count: key.usage_count,
            last_used: key.last_used,
            told_ended,
        }
    }

    /// The key, with what it was used before.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub(super) fn into_key(self) -> Result<ApiKey, StoreError> {
        let corrupt = || StoreError::Corrupt("an API key");
        let rotated = |(successor, at, grace_until)| Rotated { successor, at, grace_until };
        Ok(ApiKey {
            id: self.id,
            owner: self.owner,
            name: self.name.parse().map_err(|_| corrupt())?,
            permissions: self.permissions,
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used: self.last_used,
            usage_count: self.usage_count,
            state: KeyState::ALL
                .into_iter()
                .find(|state| state.as_str() == self.state)
                .ok_or_else(corrupt)?,
            created_by: self.created_by,
            cidrs: self.cidrs,
            predecessor: self.predecessor,
            rotation: self.rotation.map(rotated),
        })
    }
}

/// A refresh family with what hangs on it.
#[derive(Serialize, Deserialize)]
pub(super) struct FamilyRecord {
    id: String,
    subject: Subject,
    client: String,
    roles: Vec<String>,
    permissions: Vec<String>,
    has_account: bool,
    /// The refresh token that counts.
    pub(super) refresh: String,
    /// The end of it.
    pub(super) expires_at: Timestamp,
    /// When it was founded or exchanged last.
    pub(super) used_at: Timestamp,
    /// Its access tokens, and until when each of them needs a revocation.
    pub(super) access: Vec<(String, Timestamp)>,
    /// Refresh tokens that were exchanged a moment ago: which, when, and the sealed successors in Base64.
    pub(super) used: Vec<(String, Timestamp, String)>,
}

impl FamilyRecord {
    pub(super) fn new(family: &Family, access: &FamilyAccess, used_at: Timestamp) -> Self {
        Self {
            id: family.id.clone(),
            subject: family.subject.clone(),
            client: family.client.clone(),
            roles: family.roles.clone(),
            permissions: family.permissions.clone(),
            has_account: family.has_account,
            refresh: family.refresh.clone(),
            expires_at: family.expires_at,
            used_at,
            access: vec![(access.jti.clone(), access.until)],
            used: Vec::new(),
        }
    }

    /// One that was elsewhere.
    pub(super) fn of(whole: &WholeFamily) -> Self {
        let WholeFamily { family, used_at, access, used } = whole;
        let none = FamilyAccess { jti: String::new(), until: *used_at };
        Self {
            access: access.iter().map(|access| (access.jti.clone(), access.until)).collect(),
            used: used
                .iter()
                .map(|used| (used.jti.clone(), used.at, STANDARD.encode(&used.sealed)))
                .collect(),
            ..Self::new(family, &none, *used_at)
        }
    }

    /// All of it, for elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub(super) fn whole(&self) -> Result<WholeFamily, StoreError> {
        let mut used = Vec::with_capacity(self.used.len());
        for (jti, at, sealed) in &self.used {
            let sealed = STANDARD.decode(sealed).map_err(|_| StoreError::Corrupt("a family"))?;
            used.push(UsedRefresh { jti: jti.clone(), at: *at, sealed });
        }
        let access = self.access.iter().map(|(jti, until)| FamilyAccess { jti: jti.clone(), until: *until });
        let (family, used_at, access) = (self.family(), self.used_at, access.collect());
        Ok(WholeFamily { family, used_at, access, used }.sorted())
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn subject(&self) -> &str {
        self.subject.as_str()
    }

    pub(super) fn client(&self) -> &str {
        &self.client
    }

    pub(super) fn family(&self) -> Family {
        Family {
            id: self.id.clone(),
            subject: self.subject.clone(),
            client: self.client.clone(),
            roles: self.roles.clone(),
            permissions: self.permissions.clone(),
            has_account: self.has_account,
            refresh: self.refresh.clone(),
            expires_at: self.expires_at,
        }
    }
}
