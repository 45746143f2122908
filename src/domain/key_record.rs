//! What is known of an API key beside its digest.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Subject, Timestamp};

/// Most characters of a key's name.
const MAX_NAME: usize = 100;

/// The id of a key: it may stand in logs, records and commands, and opens nothing. Ordered by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Uuid);

impl KeyId {
    /// A new one (UUID version 7, RFC 9562 §5.7).
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for KeyId {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidKeyId)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// What its owner calls a key: 1 to 100 characters that can be shown as they stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    fn from_str(text: &str) -> Result<Self, InvalidKeyName> {
        let fits = (1..=MAX_NAME).contains(&text.chars().count()) && !text.chars().any(is_deceptive);
        if fits { Ok(Self(text.into())) } else { Err(InvalidKeyName) }
    }
}

/// Control characters, and those that change the direction or the looks of what stands around them.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Whether a key may be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It may.
    Active,
    /// Not until it is enabled again.
    Disabled,
    /// Never again.
    Revoked,
}

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Active, Self::Disabled, Self::Revoked];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }
}

/// Everything that is known of one key; nothing in it opens anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whom it speaks for: an account, or a service without one.
    pub owner: Subject,
    /// What its owner calls it.
    pub name: KeyName,
    /// Names of the permissions that it carries, at most what its owner holds.
    pub permissions: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Not valid from then on.
    pub expires_at: Timestamp,
    /// When it was last used, as far as that has been written down.
    pub last_used: Option<Timestamp>,
    /// How often it was used, as far as that has been written down.
    pub usage_count: u64,
    /// Whether it may be used.
    pub state: KeyState,
    /// Who made it: a subject, or `key:` and the id of the key that it succeeds.
    pub created_by: String,
    /// From where it may be used; from anywhere, if empty.
    pub cidrs: Vec<IpNet>,
    /// The key that it succeeds.
    pub predecessor: Option<KeyId>,
    /// What its own rotation led to.
    pub rotation: Option<Rotated>,
}

/// A key has a successor: the two live side by side until the grace ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// The key to use from now on.
    pub successor: KeyId,
    /// Since when there is one.
    pub at: Timestamp,
    /// Until when the old key still holds.
    pub grace_until: Timestamp,
}

impl ApiKey {
    /// From when on it does not hold any more, whatever comes first.
    pub fn ends_at(&self) -> Timestamp {
        self.rotation.map_or(self.expires_at, |rotated| rotated.grace_until.min(self.expires_at))
    }

    /// Whether it may be used from `address`; from an unknown one only if it may from anywhere.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        admits(&self.cidrs, address)
    }
}

/// Whether `address` is in one of `networks`, or there are none.
fn admits(networks: &[IpNet], address: Option<IpAddr>) -> bool {
    networks.is_empty() || address.is_some_and(|address| networks.iter().any(|net| net.contains(&address)))
}

/// A text that is no id of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of a key: a UUID, as `key list` shows it")]
pub struct InvalidKeyId;

/// A name that could not be shown honestly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {MAX_NAME} characters, none of them invisible or a control character")]
pub struct InvalidKeyName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_it_looks_like() {
        let long = "é".repeat(100);
        for name in ["a", "build server", "クライアント 7", &long] {
            assert_eq!(name.parse::<KeyName>().unwrap().as_str(), name);
        }
        let longer = "é".repeat(101);
        for name in
            ["", &longer, "a\nb", "a\0", "\u{202e}nimda", "a\u{2066}b", "a\u{200b}", "\u{feff}a", "a\u{7f}"]
        {
            assert_eq!(name.parse::<KeyName>(), Err(InvalidKeyName), "{name:?}");
        }
    }

    #[test]
    fn a_key_without_networks_is_pinned_to_nothing_and_one_with_some_needs_an_address() {
        let nets: Vec<IpNet> = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap()).into();
        let at = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert!(admits(&[], None) && admits(&[], at("9.9.9.9")));
        assert!(admits(&nets, at("10.255.0.1")) && admits(&nets, at("2001:db8::1")));
        assert!(
            !admits(&nets, at("11.0.0.1")) && !admits(&nets, at("::ffff:10.0.0.1")) && !admits(&nets, None)
        );
    }

    #[test]
    fn ids_are_uuids_and_come_in_the_order_of_their_making() {
        let ids: Vec<_> = (0..100).map(|_| KeyId::new()).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].to_string().parse(), Ok(ids[0]));
        assert_eq!("7".parse::<KeyId>(), Err(InvalidKeyId));
    }
}
