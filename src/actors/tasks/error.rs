//! Why there is no task.

use std::time::Duration;

use crate::{
    actors::{audit::AuditError, kit::ActorError},
    error::{Code, Coded},
    store::StoreError,
};

/// Wait that is told where all places are taken: nobody knows when one ends.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// Why there is no task, or nothing to be said of one.
#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    /// The principal has as many as one may have.
    #[error("you have as many tasks as one caller may have; wait for one of them or cancel it")]
    OfOne,
    /// There are as many as there may be.
    #[error("there are as many tasks as there may be")]
    OfAll,
    /// No id can be made: our fault.
    #[error("no random bytes to be had")]
    Random,
    /// The actor is down.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// Its end could not be recorded.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for TasksError {
    fn code(&self) -> Code {
        match self {
            Self::OfOne => Code::RateLimited,
            Self::OfAll => Code::Overloaded,
            Self::Random => Code::Internal,
            Self::Actor(error) => error.code(),
            Self::Audit(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::OfOne | Self::OfAll => Some(ROOM_WAIT),
            Self::Random => None,
            Self::Actor(error) => error.retry_after(),
            Self::Audit(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
        }
    }
}
