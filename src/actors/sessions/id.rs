//! The name of a session: a random number that nobody guesses. It finds a session, and proves nothing.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::store::SessionDigest;

/// Random bytes of a name; 192 bits are more than the 128 that the protocol asks for, and base64 without a rest.
const BYTES: usize = 24;

/// The name of a session, as `Mcp-Session-Id` carries it. `Debug` shows nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; BYTES]);

impl SessionId {
    /// A new one; `None` if there are no random bytes.
    pub(super) fn random() -> Option<Self> {
        let mut bytes = [0; BYTES];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The name that `text` is, in its one spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// What the store knows it by.
    pub(super) fn digest(&self) -> SessionDigest {
        SessionDigest::of(&self.0)
    }

    /// As it stands in a header: 32 of `[A-Za-z0-9_-]`.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling_and_is_never_shown() {
        let id = SessionId::random().unwrap();
        let text = id.encode();
        assert!(text.len() == 32 && text.bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(SessionId::parse(&text), Some(id));
        assert!(!format!("{id:?}").contains(&text));
        for wrong in
            ["", "x", &text[1..], &format!("{text}="), &format!("{text}AAAA"), &text.replace(&text[..1], "+")]
        {
            assert_eq!(SessionId::parse(wrong), None, "{wrong}");
        }
        assert_ne!(SessionId::random(), Some(id));
    }
}
