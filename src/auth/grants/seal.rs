//! A pair in the store that only the token which it was given for can open.
//!
//! Whoever reads the store learns nothing: the key is made of the old token's text, which is not there.

use crate::store::Seal;

/// What the key is for: no other key is ever made of the same token.
const PURPOSE: &[u8] = b"portcullis refresh successor 1";

/// Seals `body` under the text of `token`, for `family` alone. `None` without random bytes.
pub(super) fn seal(token: &str, family: &str, body: &str) -> Option<Vec<u8>> {
    under(token, family).seal(body)
}

/// What [`seal`] was given; `None` for another token or family, or if a byte has changed.
pub(super) fn open(token: &str, family: &str, sealed: &[u8]) -> Option<String> {
    under(token, family).open(sealed)
}

fn under<'a>(token: &'a str, family: &'a str) -> Seal<'a> {
    Seal { purpose: PURPOSE, known: token.as_bytes(), of: family }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_and_family_open_it() {
        let sealed = seal("old.token.text", "family", "the pair").unwrap();
        assert_eq!(open("old.token.text", "family", &sealed).as_deref(), Some("the pair"));
        assert_eq!(open("old.token.texu", "family", &sealed), None);
        assert_eq!(open("old.token.text", "familz", &sealed), None);
    }
}
