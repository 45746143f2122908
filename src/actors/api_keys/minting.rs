//! How a key comes to be.

use std::time::Duration;

use ipnet::IpNet;

use crate::domain::{ApiKey, ApiKeySecret, KeyId, KeyName, KeyState, NoRandomBytes, Subject, Timestamp};

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// Whom it speaks for.
    pub owner: Subject,
    /// What its owner calls it.
    pub name: KeyName,
    /// The permissions that it carries.
    pub permissions: Vec<String>,
    /// How long it lives.
    pub life: Duration,
    /// From where it may be used; from anywhere, if empty.
    pub cidrs: Vec<IpNet>,
    /// Who makes it.
    pub created_by: String,
}

impl KeyRequest {
    /// A key of this kind, made at `now`: its text, and everything else that is known of it. It opens
    /// nothing until it is in the store.
    ///
    /// # Errors
    /// [`NoRandomBytes`].
    pub fn mint(self, now: Timestamp) -> Result<(ApiKeySecret, ApiKey), NoRandomBytes> {
        let secret = ApiKeySecret::generate()?;
        let key = ApiKey {
            id: KeyId::new(),
            owner: self.owner,
            name: self.name,
            permissions: self.permissions,
            created_at: now,
            expires_at: now.plus(self.life),
            last_used: None,
            usage_count: 0,
            state: KeyState::Active,
            created_by: self.created_by,
            cidrs: self.cidrs,
            predecessor: None,
            rotation: None,
        };
        Ok((secret, key))
    }
}
