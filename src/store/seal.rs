//! What the store keeps and only somebody who knows a text that is not there can read.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What is sealed: by whom it can be read, and where it belongs.
#[derive(Clone, Copy)]
pub struct Seal<'a> {
    /// What the key is for: no other key is ever made of the same text.
    pub purpose: &'a [u8],
    /// The text that whoever opens it knows, and the store does not.
    pub known: &'a [u8],
    /// What it belongs to, and can be read of alone.
    pub of: &'a str,
}

impl Seal<'_> {
    /// Seals `body`: nonce, ciphertext, tag. `None` without random bytes.
    pub fn seal(self, body: &str) -> Option<Vec<u8>> {
        let mut text = body.as_bytes().to_vec();
        let nonce = self.key()?.seal_in_place_append_tag(Aad::from(self.of), &mut text).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Some(sealed)
    }

    /// What [`seal`](Self::seal) was given; `None` if anything is not as it was then.
    pub fn open(self, sealed: &[u8]) -> Option<String> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let opened = self.key()?.open_in_place(nonce, Aad::from(self.of), &mut text).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }

    fn key(self) -> Option<RandomizedNonceKey> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.known).ok()?;
        mac.update(self.purpose);
        let bytes = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        RandomizedNonceKey::new(&AES_256_GCM, bytes.as_slice()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_purpose_text_and_place_open_it_and_no_byte_may_change() {
        let seal = Seal { purpose: b"p", known: b"a text", of: "here" };
        let sealed = seal.seal("a body").unwrap();
        assert_eq!(seal.open(&sealed).as_deref(), Some("a body"));
        assert_eq!(Seal { purpose: b"q", ..seal }.open(&sealed), None);
        assert_eq!(Seal { known: b"a texu", ..seal }.open(&sealed), None);
        assert_eq!(Seal { of: "there", ..seal }.open(&sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(&changed), None, "byte {at}");
        }
        assert_eq!(seal.open(&[]), None);
        assert_ne!(sealed, seal.seal("a body").unwrap(), "a nonce of its own");
    }
}
