//! Why a key opens nothing, or could not be made.

use std::time::Duration;

use crate::{
    actors::kit::ActorError,
    domain::{KeyId, NoRandomBytes},
    error::{Code, Coded},
    store::StoreError,
};

/// What is wrong with a key: for the record, never for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyRefused {
    /// It has not the shape of a key, so it was not even looked up.
    Malformed,
    /// There is no such key.
    Unknown,
    /// Its record does not read.
    Unreadable,
    /// It is over, by itself or because it was rotated.
    Expired,
    /// It was taken back.
    Revoked,
    /// It is disabled.
    Disabled,
    /// It may not be used from there.
    Address,
    /// The account of its owner is disabled.
    Owner,
}

impl WhyRefused {
    /// The word for it in audit records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::Address => "address",
            Self::Owner => "owner_disabled",
        }
    }
}

/// Why a key opens nothing, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It holds not, or not here, or not now: one answer, whatever the reason.
    #[error("the API key is not valid")]
    Refused {
        /// The reason.
        why: WhyRefused,
        /// The key, where there is one.
        key: Option<KeyId>,
    },
    /// It has a successor already.
    #[error("this key has a successor already")]
    AlreadyRotated,
    /// It lives too long yet to be given a successor.
    #[error("this key cannot be rotated yet: it can in its last {} days", .0.as_secs() / 86_400)]
    NotDue(Duration),
    /// More keys are in use at once than there is room for.
    #[error("too many keys are in use")]
    Full,
    /// There is nothing to make a key of.
    #[error(transparent)]
    NoRandomBytes(#[from] NoRandomBytes),
    /// The actor is down.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// The store did not do as asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyError {
    /// A refusal.
    pub const fn refused(why: WhyRefused, key: Option<KeyId>) -> Self {
        Self::Refused { why, key }
    }
}

impl Coded for KeyError {
    fn code(&self) -> Code {
        match self {
            Self::Refused { .. } => Code::InvalidApiKey,
            Self::AlreadyRotated => Code::AlreadyRotated,
            Self::NotDue(_) => Code::RotationNotDue,
            Self::Full => Code::Overloaded,
            Self::NoRandomBytes(_) => Code::Internal,
            Self::Actor(e) => e.code(),
            Self::Store(e) => e.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full => Some(Duration::from_secs(1)),
            Self::Actor(e) => e.retry_after(),
            Self::Store(e) => e.retry_after(),
            _ => None,
        }
    }
}
