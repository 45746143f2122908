//! What is given to a client to bring back, and only it: sealed, so that neither is it read nor changed.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, Salt},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Longest sealed text that is looked at.
pub const MAX_SEALED: usize = 8 * 1024;
/// What a sealed text begins with: names the key, so that another may follow it.
const VERSION: &str = "k1.";

/// Seals and opens for one purpose, with a key that all replicas have.
pub struct Seal(RandomizedNonceKey);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// One for `purpose`, of a `secret` that may serve others as well: none opens what another has sealed.
    /// `None` only if the library cannot make a key of 32 bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32], purpose: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        let purpose = [purpose.as_bytes()];
        let derived = Salt::new(HKDF_SHA256, b"portcullis seal 1").extract(secret);
        derived.expand(&purpose, HKDF_SHA256).ok()?.fill(key.as_mut_slice()).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).ok().map(Self)
    }

    /// `body` as text for whoever is named in `bound` (principal, method, digest of params): it opens for
    /// the same `bound` alone. `None` without random bytes.
    #[must_use]
    pub fn seal(&self, bound: &[u8], body: &[u8]) -> Option<String> {
        let mut text = body.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(bound), &mut text).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Some(format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// What [`Seal::seal`] was given; `None` if a character has changed, or for another `bound` or purpose.
    #[must_use]
    pub fn open(&self, bound: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let text = sealed.strip_prefix(VERSION).filter(|_| sealed.len() <= MAX_SEALED)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(bound), &mut text).ok()?.len();
        text.truncate(opened);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(purpose: &str) -> Seal {
        Seal::new(&[7; 32], purpose).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_the_same_purpose_and_bound_alone() {
        let sealed = seal("cursor").seal(b"alice", b"page 2").unwrap();
        assert!(sealed.starts_with("k1.") && sealed.is_ascii());
        assert_eq!(seal("cursor").open(b"alice", &sealed).as_deref(), Some(b"page 2".as_slice()));
        assert_eq!(seal("cursor").open(b"bob", &sealed), None);
        assert_eq!(seal("state").open(b"alice", &sealed), None);
        assert_eq!(Seal::new(&[8; 32], "cursor").unwrap().open(b"alice", &sealed), None);
        assert_ne!(seal("cursor").seal(b"alice", b"page 2"), Some(sealed), "a nonce of its own");
    }

    #[test]
    fn no_character_may_change_and_nothing_else_opens() {
        let sealed = seal("cursor").seal(b"", b"body").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(seal("cursor").open(b"", &changed), None, "character {at}");
        }
        for nonsense in ["", "k1.", "k1.AAAA", "k2.AAAA", "k1.=", &format!("k1.{}", "A".repeat(MAX_SEALED))] {
            assert_eq!(seal("cursor").open(b"", nonsense), None);
        }
    }
}
