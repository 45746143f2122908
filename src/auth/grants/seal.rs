//! A pair in the store that only the token which it was given for can open.
//!
//! Whoever reads the store learns nothing: the key is made of the old token's text, which is not there.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What the key is for: no other key is ever made of the same token.
const PURPOSE: &[u8] = b"portcullis refresh successor 1";

/// Seals `body` under the text of `token`, for `family` alone: nonce, ciphertext, tag. `None` without random
/// bytes.
pub(super) fn seal(token: &str, family: &str, body: &str) -> Option<Vec<u8>> {
    let mut text = body.as_bytes().to_vec();
    let nonce = key(token)?.seal_in_place_append_tag(Aad::from(family), &mut text).ok()?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.append(&mut text);
    Some(sealed)
}

/// What [`seal`] was given; `None` for another token or family, or if a byte has changed.
pub(super) fn open(token: &str, family: &str, sealed: Vec<u8>) -> Option<String> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let opened = key(token)?.open_in_place(nonce, Aad::from(family), &mut text).ok()?;
    String::from_utf8(opened.to_vec()).ok()
}

fn key(token: &str) -> Option<RandomizedNonceKey> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).ok()?;
    mac.update(PURPOSE);
    let bytes = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
    RandomizedNonceKey::new(&AES_256_GCM, bytes.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_and_family_open_it_and_no_byte_may_change() {
        let sealed = seal("old.token.text", "family", "the pair").unwrap();
        assert_eq!(open("old.token.text", "family", sealed.clone()).as_deref(), Some("the pair"));
        assert_eq!(open("old.token.texu", "family", sealed.clone()), None);
        assert_eq!(open("old.token.text", "familz", sealed.clone()), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open("old.token.text", "family", changed), None, "byte {at}");
        }
        assert_eq!(open("old.token.text", "family", Vec::new()), None);
        assert_ne!(sealed, seal("old.token.text", "family", "the pair").unwrap(), "a nonce of its own");
    }
}
