//! The text of an API key, and the digest that is all we keep of it.

use std::{fmt, str::FromStr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Characters after the prefix that are looked up: what we make has 43, keys from elsewhere may differ a little.
const BODY: std::ops::RangeInclusive<usize> = 36..=56;

/// The text of an API key, alive only between a request's header and its [`KeyDigest`].
///
/// What we make is `mcp_` and 32 random bytes in base64url: 256 bits, so one SHA-256 is a sound digest and
/// no password hash is needed. Zeroed on drop; `Debug` shows nothing; there is no `Display`.
pub struct ApiKeySecret(SecretString);

impl ApiKeySecret {
    /// What every key begins with, so that people and leak scanners know one when they see it.
    pub const PREFIX: &str = "mcp_";

    /// A new one.
    ///
    /// # Errors
    /// [`NoRandomBytes`]: there is no key then.
    pub fn generate() -> Result<Self, NoRandomBytes> {
        let mut random = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(random.as_mut_slice()).map_err(|_unspecified| NoRandomBytes)?;
        let mut text = String::with_capacity(Self::PREFIX.len() + 43);
        text.push_str(Self::PREFIX);
        URL_SAFE_NO_PAD.encode_string(random.as_slice(), &mut text);
        Ok(Self(text.into()))
    }

    /// The text itself, to be handed out once.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is kept of it.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest(Sha256::digest(self.expose()).into())
    }
}

impl FromStr for ApiKeySecret {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        if is_well_formed(text) { Ok(Self(text.into())) } else { Err(MalformedKey) }
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeySecret(..)")
    }
}

/// Whether `text` could be a key: the prefix and 36 to 56 characters of base64url.
fn is_well_formed(text: &str) -> bool {
    text.strip_prefix(ApiKeySecret::PREFIX).is_some_and(|body| {
        BODY.contains(&body.len()) && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    })
}

/// The SHA-256 of a key's text: finds the key, and does not lead back to it.
#[derive(Clone, Copy, Eq)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Of a text that a caller shows, without a copy of it.
    ///
    /// # Errors
    /// [`MalformedKey`]: nothing of that shape is ever looked up.
    pub fn of(text: &str) -> Result<Self, MalformedKey> {
        if is_well_formed(text) { Ok(Self(Sha256::digest(text).into())) } else { Err(MalformedKey) }
    }

    /// From the bytes that are kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes that are kept.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// In constant time: how much of a digest fits is nobody's business.
impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl std::hash::Hash for KeyDigest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(..)")
    }
}

/// A text that is no API key of anybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not mcp_ and 36 to 56 characters of base64url")]
pub struct MalformedKey;

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes to be had")]
pub struct NoRandomBytes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_prefix_and_256_bits_and_shows_nothing_of_them() {
        let (one, two) = (ApiKeySecret::generate().unwrap(), ApiKeySecret::generate().unwrap());
        let body = one.expose().strip_prefix("mcp_").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(body).unwrap().len(), 32);
        assert_ne!(one.expose(), two.expose());
        assert_ne!(one.digest(), two.digest());
        assert_eq!(format!("{one:?} {:?}", one.digest()), "ApiKeySecret(..) KeyDigest(..)");
        assert_eq!(one.expose().parse::<ApiKeySecret>().unwrap().digest(), one.digest());
        assert_eq!(KeyDigest::of(one.expose()), Ok(one.digest()));
    }

    #[test]
    fn only_what_has_the_shape_of_a_key_is_looked_up() {
        for fits in [36, 43, 56] {
            assert!(KeyDigest::of(&format!("mcp_{}", "a-_Z9".repeat(12).split_at(fits).0)).is_ok(), "{fits}");
        }
        let long = "a".repeat(43);
        for text in [
            String::new(),
            "mcp_".into(),
            format!("mcp_{}", "a".repeat(35)),
            format!("mcp_{}", "a".repeat(57)),
            format!("MCP_{long}"),
            format!("{long}mcp_"),
            format!("mcp_{long} "),
            format!(" mcp_{long}"),
            format!("mcp_{long}\n"),
            format!("mcp_{long}%20"),
            format!("mcp_{long}="),
            format!("mcp_{}é", "a".repeat(41)),
            format!("mcp_{long}\0"),
        ] {
            assert_eq!(KeyDigest::of(&text), Err(MalformedKey), "{text:?}");
            assert!(text.parse::<ApiKeySecret>().is_err(), "{text:?}");
        }
    }
}
