//! Why a pair is not given, exchanged or ended.

use std::time::Duration;

use crate::{
    actors::tokens::TokenError,
    domain::Subject,
    error::{Code, Coded},
    store::StoreError,
};

/// Why a pair is not given, exchanged or ended. Says nothing of a token's text.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The token's family has ended, or its account may not be used.
    #[error("the token has been revoked")]
    Revoked,
    /// A refresh token of this subject was used before: its family has ended now.
    #[error("the token has been revoked")]
    Reused {
        /// Whose.
        subject: Subject,
        /// The family that has ended.
        family: String,
    },
    /// A token of another kind than the one that belongs here.
    #[error("this is not a token of the kind that belongs here")]
    WrongType,
    /// Not a token of this server for this server.
    #[error("the token does not hold")]
    Invalid,
    /// The successors could not be sealed: our fault.
    #[error("the pair could not be sealed")]
    Seal,
    /// Any other failure of the token or of its manager.
    #[error(transparent)]
    Token(TokenError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TokenError> for GrantError {
    /// What is wrong with a token in four words; the rest are failures of ours.
    fn from(error: TokenError) -> Self {
        match error.code() {
            Code::RevokedToken => Self::Revoked,
            Code::WrongTokenType => Self::WrongType,
            Code::InvalidToken | Code::WrongAudience | Code::UnknownIssuer => Self::Invalid,
            _ => Self::Token(error),
        }
    }
}

impl Coded for GrantError {
    fn code(&self) -> Code {
        match self {
            Self::Revoked | Self::Reused { .. } => Code::RevokedToken,
            Self::WrongType => Code::WrongTokenType,
            Self::Invalid => Code::InvalidToken,
            Self::Seal => Code::Internal,
            Self::Token(e) => e.code(),
            Self::Store(e) => e.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Token(e) => e.retry_after(),
            Self::Store(e) => e.retry_after(),
            _ => None,
        }
    }
}
