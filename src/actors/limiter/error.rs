//! Why a request was not let through.

use std::{fmt, time::Duration};

use super::bucket::Short;
use crate::{
    actors::{audit::AuditError, kit::ActorError},
    error::{Code, Coded, Quota},
    store::StoreError,
};

/// Whose limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everybody at one address.
    Address,
    /// Failed authentications from one address.
    Failures,
    /// One principal, whatever it shows.
    User,
    /// One API key.
    Key,
    /// One tool, whoever calls it.
    Tool,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Address, Self::Failures, Self::User, Self::Key, Self::Tool];

    /// The word for it in metrics, records and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Failures => "failures",
            Self::User => "user",
            Self::Key => "key",
            Self::Tool => "tool",
        }
    }

    /// The word for it in headers: failures are an address's too.
    const fn shown(self) -> &'static str {
        match self {
            Self::Failures => "address",
            other => other.as_str(),
        }
    }
}

/// A bucket that holds too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Whose.
    pub scope: Scope,
    /// Most calls at once.
    pub capacity: u64,
    /// Seconds in which all of them come back.
    pub window_secs: u64,
    /// Whole calls that are left.
    pub remaining: u64,
    /// Whole milliseconds until the same request would be let in.
    pub retry_after: Duration,
}

impl From<Short> for Exceeded {
    fn from(short: Short) -> Self {
        Self {
            scope: short.scope,
            capacity: short.limit.capacity.into(),
            window_secs: short.limit.window_secs(),
            remaining: short.remaining,
            retry_after: short.wait,
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.scope {
            Scope::Address => "requests from this address",
            Scope::Failures => "failed authentications from this address",
            Scope::User => "requests of this user",
            Scope::Key => "requests with this key",
            Scope::Tool => "calls of this tool",
        };
        write!(f, "too many {whose}, retry in {} ms", self.retry_after.as_millis())
    }
}

/// Why a request was not let through.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// Over a limit; the same request is let in after the wait.
    #[error("{0}")]
    Exceeded(Exceeded),
    /// No wait would help: the bucket is too small even when it is full.
    #[error("this call costs {cost} and the caller's bucket holds {capacity}: it takes a role with more")]
    TooCostly {
        /// What the call takes.
        cost: u32,
        /// What the bucket holds.
        capacity: u32,
    },
    /// A new identity, and the limiter is down.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// The refusal cannot be recorded.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What was used up before the start cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for LimitError {
    fn code(&self) -> Code {
        match self {
            Self::Exceeded(_) => Code::RateLimited,
            Self::TooCostly { .. } => Code::Forbidden,
            Self::Actor(error) => error.code(),
            Self::Audit(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Exceeded(exceeded) => Some(exceeded.retry_after),
            Self::TooCostly { .. } => None,
            Self::Actor(error) => error.retry_after(),
            Self::Audit(error) => error.retry_after(),
            Self::Store(error) => error.retry_after(),
        }
    }

    fn quota(&self) -> Option<Quota> {
        let Self::Exceeded(exceeded) = self else { return None };
        Some(Quota {
            name: exceeded.scope.shown(),
            capacity: exceeded.capacity,
            window_secs: exceeded.window_secs,
            remaining: exceeded.remaining,
        })
    }
}
