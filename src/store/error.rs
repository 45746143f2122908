//! Why the store did not do as asked.

use std::{borrow::Cow, time::Duration};

use crate::error::{Code, Coded};

/// Wait that is told to callers when the store is down or behind.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the store did not do as asked. A failed write may be tried again: all of them are idempotent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is locked, full, gone or closing; nothing is known of what it holds.
    #[error("the store is unavailable: {0}")]
    Unavailable(Cow<'static, str>),
    /// It is not the store that was opened: nothing in it counts until an operator says so.
    #[error(
        "the store was emptied, restored or replaced: revocations may be missing; `portcullis store adopt` takes it over"
    )]
    Replaced,
    /// More is waiting for it than it can take in soon.
    #[error("the store's queue is full")]
    Busy,
    /// Something in it does not parse; trying again will not help.
    #[error("{0} in the store does not read")]
    Corrupt(&'static str),
    /// What must be unique is somebody else's already.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// What should be changed is not there.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// Nobody could administer the server any more.
    #[error("this is the last active administrator: give somebody else that role first")]
    LastAdministrator,
    /// Written by a newer version of this program; nothing was touched.
    #[error("the store has schema {found}, this program knows up to {known}: use the newer program")]
    Newer {
        /// Its schema's version.
        found: i64,
        /// The newest version that we can read.
        known: i64,
    },
    /// What the setting names cannot be a store.
    #[error("store.url {0}")]
    Config(Cow<'static, str>),
}

impl Coded for StoreError {
    fn code(&self) -> Code {
        match self {
            // A record that does not read may have been a revocation: the check cannot be made.
            Self::Unavailable(_) | Self::Replaced | Self::Corrupt(_) => Code::StoreUnavailable,
            Self::Busy => Code::Overloaded,
            Self::Taken(_)
            | Self::Missing(_)
            | Self::LastAdministrator
            | Self::Newer { .. }
            | Self::Config(_) => Code::Internal,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Unavailable(_) | Self::Replaced | Self::Busy).then_some(RETRY_AFTER)
    }
}
