//! Who is calling, once a credential has been verified.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PermissionSet, Timestamp};

/// The name of an account or a service: 1 to 64 of `[A-Za-z0-9._@-]`, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(Arc<str>);

impl Subject {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b));
        fits.then(|| Self(text.into())).ok_or(InvalidSubject)
    }
}

impl TryFrom<String> for Subject {
    type Error = InvalidSubject;

    fn try_from(text: String) -> Result<Self, InvalidSubject> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0.as_ref().into()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a name that we give to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of the characters A-Z a-z 0-9 . _ @ -")]
pub struct InvalidSubject;

/// How a principal proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// By an access token.
    Jwt,
    /// By an API key.
    ApiKey,
    /// By running our own command on this machine.
    Local,
    /// That is not known any more: the store keeps of a task who has begun it, not by what credential.
    Unknown,
}

impl PrincipalKind {
    /// The word for it in audit records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
            Self::Local => "local",
            Self::Unknown => "unknown",
        }
    }
}

/// A caller whose credential has been verified. Shared by every request that shows the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who: the subject of the credential.
    pub id: Subject,
    /// How it was proved.
    pub kind: PrincipalKind,
    /// The client that acts for it, `client_id` of the token.
    pub client: Box<str>,
    /// The credential's own id (`jti`), never the credential.
    pub credential: Box<str>,
    /// Roles that count: those of the token that this server knows.
    pub roles: Vec<Box<str>>,
    /// Everything that it may do, roles and single permissions together.
    pub permissions: PermissionSet,
    /// Everything that a wider token of the same subject could give it. The same as its permissions where a
    /// wider credential would not help.
    pub reach: PermissionSet,
    /// How the audit log writes it.
    pub recorded: Recorded,
}

/// What the audit log writes of a principal, once it has: each of its requests writes the same. It is no
/// part of who somebody is, so any two are equal.
#[derive(Default)]
pub struct Recorded(OnceLock<(Box<[u8]>, bool)>);

impl Recorded {
    /// The text, and whether something of the principal was left out of it; made by `write` the first time.
    pub fn or_write(&self, write: impl FnOnce() -> (Box<[u8]>, bool)) -> (&[u8], bool) {
        let (text, truncated) = self.0.get_or_init(write);
        (text, *truncated)
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorded(..)")
    }
}

impl Clone for Recorded {
    /// Nothing yet: whoever copies a principal may be about to change it.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Recorded {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Recorded {}

/// The id of one request, ours and never the client's; finds the audit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A new one.
    pub fn new() -> Self {
        Self::at(Timestamp::now())
    }

    /// A new one of that moment: they are ordered by the millisecond (UUID version 7, RFC 9562 §5.7).
    pub fn at(moment: Timestamp) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(moment.millis(), &rand::random()).into_uuid())
    }

    /// Its text, written into `buffer`.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; 36]) -> &'b str {
        self.0.as_hyphenated().encode_lower(buffer)
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_taken_as_it_stands_or_not_at_all() {
        assert_eq!("Ann.b@x-1".parse::<Subject>().unwrap().as_str(), "Ann.b@x-1");
        let long = "a".repeat(65);
        for text in ["", " ", "a b", "a\0", "\u{202e}a", "é", &long] {
            assert_eq!(text.parse::<Subject>(), Err(InvalidSubject), "{text:?}");
        }
        assert!("a".repeat(64).parse::<Subject>().is_ok());
    }
}
