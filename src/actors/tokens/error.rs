//! Why a token does not hold, or could not be made.

use std::time::Duration;

use crate::{
    actors::kit::ActorError,
    error::{Code, Coded},
    store::StoreError,
};

/// Why a token does not hold, or could not be made. Says nothing of its text.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not a token that we would read: size, segments, encoding, header.
    #[error("the token is not a well-formed access token of this server")]
    Malformed,
    /// It names a key that we do not have, or that has retired.
    #[error("the token is signed with no key that counts here")]
    UnknownKey,
    /// The signature is not ours.
    #[error("the token's signature does not verify")]
    Signature,
    /// A claim is missing, doubled, of another type or out of its range.
    #[error("a claim of the token does not hold")]
    Claims,
    /// Signed by us, but no access token.
    #[error("this is not an access token")]
    WrongType,
    /// For another resource.
    #[error("the token is for another resource")]
    WrongAudience,
    /// Of another issuer.
    #[error("the token is of another issuer")]
    UnknownIssuer,
    /// Over.
    #[error("the token has expired")]
    Expired,
    /// Taken back.
    #[error("the token has been revoked")]
    Revoked,
    /// Revocations may be older than the bound that we promise.
    #[error("revocations cannot be checked")]
    Stale,
    /// A life that we do not give.
    #[error("the lifetime must be between 1s and jwt.max_ttl")]
    Lifetime,
    /// What it should say does not fit into a token.
    #[error("the client must be 1 to 128 visible ASCII characters, roles and permissions at most 128 each")]
    Unfit,
    /// The key that signs has retired: until another is put first, nobody gets a token.
    #[error("the signing key has retired: put a new key first in jwt.keys")]
    Retired,
    /// The keys do not make a ring.
    #[error("each key needs a kid of its own, 1 to 64 of A-Z a-z 0-9 . _ -")]
    Keys,
    /// The key did not sign: our fault.
    #[error("the token could not be signed")]
    Signing,
    /// The actor is down.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for TokenError {
    fn code(&self) -> Code {
        match self {
            Self::Malformed | Self::UnknownKey | Self::Signature | Self::Claims => Code::InvalidToken,
            Self::WrongType => Code::WrongTokenType,
            Self::WrongAudience => Code::WrongAudience,
            Self::UnknownIssuer => Code::UnknownIssuer,
            Self::Expired => Code::ExpiredToken,
            Self::Revoked => Code::RevokedToken,
            Self::Stale => Code::StoreUnavailable,
            Self::Lifetime | Self::Unfit => Code::InvalidParams,
            Self::Retired | Self::Keys | Self::Signing => Code::Internal,
            Self::Actor(e) => e.code(),
            Self::Store(e) => e.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Stale => Some(Duration::from_secs(1)),
            Self::Actor(e) => e.retry_after(),
            Self::Store(e) => e.retry_after(),
            _ => None,
        }
    }
}
