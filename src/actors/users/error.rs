//! Why nobody is let in.

use std::time::Duration;

use crate::{
    actors::kit::ActorError,
    domain::UnfitPassword,
    error::{Code, Coded},
    store::StoreError,
};

/// Why nobody is let in. Says the same of a name that nobody has, a wrong password and a disabled account.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// Wrong, whatever of it.
    #[error("the username or the password is wrong")]
    Wrong,
    /// No password could be written like that.
    #[error(transparent)]
    Unfit(#[from] UnfitPassword),
    /// Too many tries for one name, whether or not anybody has it.
    #[error("too many tries for this username, wait {} s", .0.as_millis().div_ceil(1_000))]
    Wait(Duration),
    /// More logins at once than can be checked.
    #[error("too many logins at once")]
    Busy,
    /// A digest could not be computed: our fault.
    #[error("a password digest could not be computed")]
    Hash,
    /// The actor is down.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for UsersError {
    fn code(&self) -> Code {
        match self {
            Self::Wrong => Code::InvalidLogin,
            Self::Unfit(_) => Code::InvalidRequest,
            Self::Wait(_) | Self::Busy => Code::RateLimited,
            Self::Hash => Code::Internal,
            Self::Actor(e) => e.code(),
            Self::Store(e) => e.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Wait(wait) => Some(*wait),
            Self::Busy => Some(Duration::from_secs(1)),
            Self::Actor(e) => e.retry_after(),
            Self::Store(e) => e.retry_after(),
            Self::Wrong | Self::Unfit(_) | Self::Hash => None,
        }
    }
}
