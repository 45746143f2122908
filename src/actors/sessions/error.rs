//! Why there is no session.

use std::time::Duration;

use crate::{
    actors::kit::ActorError,
    error::{Code, Coded},
    store::StoreError,
};

/// Wait that is told where there is no place: nobody knows when a session ends.
const PLACE_WAIT: Duration = Duration::from_secs(5);

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The caller has as many as one may have.
    #[error("at most {0} sessions may be open at once; end one of them")]
    OfOne(u32),
    /// There are as many as there may be.
    #[error("there are as many sessions as there may be")]
    OfAll,
    /// It has ended a moment ago.
    #[error("the session has ended")]
    Over,
    /// There are no random bytes.
    #[error("no random bytes to be had")]
    Random,
    /// The store that all servers share did not do as asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The actor gave no answer.
    #[error(transparent)]
    Actor(#[from] ActorError),
}

impl Coded for SessionError {
    fn code(&self) -> Code {
        match self {
            Self::OfOne(_) => Code::RateLimited,
            Self::OfAll => Code::Overloaded,
            Self::Over => Code::InvalidRequest,
            Self::Random => Code::Internal,
            Self::Store(error) => error.code(),
            Self::Actor(error) => error.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::OfOne(_) | Self::OfAll => Some(PLACE_WAIT),
            Self::Over | Self::Random => None,
            Self::Store(error) => error.retry_after(),
            Self::Actor(error) => error.retry_after(),
        }
    }
}
