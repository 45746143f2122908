//! The text of a token: its three segments and its header, read before anything is computed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::MAX_TOKEN_BYTES;
use crate::{
    actors::tokens::TokenError,
    domain::{REFRESH_HEADER_TYPE, TOKEN_HEADER_TYPE},
};

/// Longest header segment, base64url characters.
const MAX_HEADER_CHARS: usize = 1_024;

/// The segments of a token, none of them decoded.
#[derive(Clone, Copy)]
pub(super) struct Segments<'a> {
    header: &'a str,
    /// What the payload is encoded as.
    pub(super) payload: &'a str,
    /// What is signed.
    pub(super) message: &'a str,
    /// The signature.
    pub(super) signature: &'a str,
}

impl<'a> Segments<'a> {
    /// The segments of `token`.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] for a token that is too long or has not three of them.
    pub(super) fn of(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') || header.len() > MAX_HEADER_CHARS {
            return Err(TokenError::Malformed);
        }
        Ok(Self { header, payload, message, signature })
    }

    /// The header, decoded.
    pub(super) fn header(&self) -> Result<Vec<u8>, TokenError> {
        decode(self.header)
    }
}

/// What one segment stands for.
pub(super) fn decode(segment: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| TokenError::Malformed)
}

/// The header members that decide anything. Whatever points to a key elsewhere, or changes how the token
/// is to be read, refuses the token: `crit` (RFC 7515 §4.1.11), `jku`, `jwk`, `x5u`, `x5c`.
#[derive(Deserialize)]
pub(super) struct TokenHeader<'a> {
    /// The algorithm that the token claims; the key's own is the one that counts.
    pub(super) alg: &'a str,
    /// The key that the token claims. A name with an escape in it does not parse, and is none of ours.
    #[serde(default, deserialize_with = "named")]
    pub(super) kid: Option<&'a str>,
    typ: Option<&'a str>,
    crit: Option<serde::de::IgnoredAny>,
    b64: Option<serde::de::IgnoredAny>,
    jku: Option<serde::de::IgnoredAny>,
    jwk: Option<serde::de::IgnoredAny>,
    x5u: Option<serde::de::IgnoredAny>,
    x5c: Option<serde::de::IgnoredAny>,
}

/// A `kid` that stands there must be a text; `null` is none.
fn named<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de str>, D::Error> {
    <&str>::deserialize(from).map(Some)
}

/// What the `typ` header says that a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
    /// Something else that we signed, or nothing in particular.
    Other,
}

impl<'a> TokenHeader<'a> {
    /// The header in `bytes`.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, TokenError> {
        let header: Self = serde_json::from_slice(bytes).map_err(|_| TokenError::Malformed)?;
        let others = [&header.crit, &header.b64, &header.jku, &header.jwk, &header.x5u, &header.x5c];
        if others.into_iter().all(Option::is_none) { Ok(header) } else { Err(TokenError::Malformed) }
    }

    /// Its type, with or without the `application/` that RFC 7515 §4.1.9 lets one leave out.
    pub(super) fn kind(&self) -> TokenKind {
        let lower = self.typ.unwrap_or_default().to_ascii_lowercase();
        match lower.strip_prefix("application/").unwrap_or(&lower) {
            TOKEN_HEADER_TYPE => TokenKind::Access,
            REFRESH_HEADER_TYPE => TokenKind::Refresh,
            _ => TokenKind::Other,
        }
    }
}
