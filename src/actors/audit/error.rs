//! Why something cannot be recorded, or a log cannot be read.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    actors::kit::ActorError,
    error::{Code, Coded},
};

/// Why something cannot be recorded, or a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk refuses, the writer is being rebuilt or closed, or no commit came in time: what would
    /// have to be recorded must not happen.
    #[error("the audit log cannot record this now")]
    Unavailable,
    /// This worker has as many events on their way as it may.
    #[error("too many audit events are waiting to be written")]
    Full,
    /// The file system refused at start or while reading.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried, an infinitive.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key that signs checkpoints cannot be trusted as it lies there.
    #[error("{} {problem}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },
    /// More processes write below this data directory than there are slots.
    #[error("every slot below {} is taken by another process", .0.display())]
    NoSlot(PathBuf),
}

impl AuditError {
    /// For `map_err`: names what was tried on which file.
    pub(super) fn file<'a, P>(doing: &'static str, path: &'a P) -> impl FnOnce(io::Error) -> Self + use<'a, P>
    where
        P: AsRef<Path> + ?Sized,
    {
        move |source| Self::File { doing, path: path.as_ref().into(), source }
    }
}

impl From<ActorError> for AuditError {
    fn from(error: ActorError) -> Self {
        match error {
            ActorError::Full(_) => Self::Full,
            ActorError::Stopped(_) | ActorError::Late(_) => Self::Unavailable,
        }
    }
}

impl Coded for AuditError {
    fn code(&self) -> Code {
        match self {
            Self::Full => Code::Overloaded,
            _ => Code::AuditUnavailable,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}
