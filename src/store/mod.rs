//! The store: what outlives a process, behind one port per need; the URL's scheme chooses the backend.
//!
//! A backend implements every port. Reads and writes are futures that need no runtime of any kind,
//! and never block the thread that polls them. A write is under way once its future has been polled:
//! dropping the future after that gives up the answer, not the write.

mod error;
mod families;
mod feed;
mod keys;
mod leases;
mod memory;
mod quota;
mod redis;
mod reports;
mod revocations;
mod rings;
mod sqlite;
mod tasks;
mod users;

use std::{fmt, pin::Pin, sync::Arc};

pub use error::StoreError;
pub use families::{Families, Family, FamilyAccess, FamilyOf, MOST_FAMILIES, MadeRoom, Rotated, Rotation};
pub use feed::{Change, ChangeKind, FEED_PAGE, Feed, FeedWatch};
pub use keys::{KEY_PAGE_MAX, KeyRotation, KeyUse, Keys, Lookup, RotateOutcome, UseBatch};
pub use leases::{Granted, LEASED_FOR, LeaseAsk, Leases};
pub use quota::{Level, Quota};
pub use redis::RedisUse;
pub use reports::{MOST_AHEAD, MOST_REPORTS, Report, Reports, city_key};
pub use revocations::{Revocation, RevocationTarget, Revocations};
pub use rings::Rings;
pub use tasks::{EndedTask, LostTask, TaskEnd, TaskMade, TaskRoom, TaskRow, Tasks};
pub use users::{PAGE_SIZE_MAX, User, UserChange, Users};

use crate::telemetry::StoreFailures;

/// What every question to a port answers with: boxed, so that ports can be trait objects.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The ports of one opened store. Cloning shares it; dropping the last clone closes it.
///
/// Closing finishes what was asked before, and takes as long as that.
#[derive(Clone)]
pub struct Stores {
    /// Credentials that were taken back before their end.
    pub revocations: Arc<dyn Revocations>,
    /// How much of each limit is used up.
    pub quota: Arc<dyn Quota>,
    /// Accounts.
    pub users: Arc<dyn Users>,
    /// API keys.
    pub keys: Arc<dyn Keys>,
    /// Refresh families.
    pub families: Arc<dyn Families>,
    /// What changed, for every process that holds a copy in memory.
    pub feed: Arc<dyn Feed>,
    /// What stations report of the weather.
    pub reports: Arc<dyn Reports>,
    /// Secrets that all processes on this store share.
    pub rings: Arc<dyn Rings>,
    /// Limits that several servers share; `None` where each has its own.
    pub leases: Option<Arc<dyn Leases>>,
    /// Calls that go on after their answer.
    pub tasks: Arc<dyn Tasks>,
    /// How often it did not do as asked: counted by those who ask.
    pub failures: StoreFailures,
}

impl Stores {
    /// All ports of one backend.
    fn of<B: Revocations + Quota + Users + Families + Keys + Feed + Reports + Rings + Tasks + 'static>(
        backend: B,
    ) -> Self {
        let backend = Arc::new(backend);
        Self {
            revocations: Arc::<B>::clone(&backend),
            quota: Arc::<B>::clone(&backend),
            users: Arc::<B>::clone(&backend),
            keys: Arc::<B>::clone(&backend),
            families: Arc::<B>::clone(&backend),
            feed: Arc::<B>::clone(&backend),
            reports: Arc::<B>::clone(&backend),
            rings: Arc::<B>::clone(&backend),
            tasks: backend,
            leases: None,
            failures: StoreFailures::default(),
        }
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stores(..)")
    }
}

/// Opens the store that `url` (the setting `store.url`) names.
///
/// `sqlite:PATH` is a file, made (0600, its directory 0700) if it is not there and brought to the
/// present schema; any number of processes may have it open. `memory:` is a fresh one of this
/// process, for tests. Blocks, for as long as another process holds the file up to 5 s: call it
/// before serving.
///
/// # Errors
/// [`StoreError::Config`] for a URL or a file that cannot be a store of ours, [`StoreError::Newer`]
/// for a file of a newer program, [`StoreError::Corrupt`] for one that is damaged,
/// [`StoreError::Unavailable`] if it cannot be opened now.
pub fn open(url: &str) -> Result<Stores, StoreError> {
    match url.split_once(':') {
        Some(("sqlite", path)) => sqlite::Sqlite::open(path).map(Stores::of),
        Some(("memory", "")) => Ok(Stores::of(memory::Memory::default())),
        _ => open_shared(url, &RedisUse::default()),
    }
}

/// Opens the Redis of `url`, which several servers may share: `redis://`, `redis+cluster://` or `redis+sentinel://`,
/// and with `rediss` the same over TLS.
///
/// # Errors
/// As [`open`].
pub fn open_shared(url: &str, how: &RedisUse) -> Result<Stores, StoreError> {
    if url.starts_with("redis") {
        let opened = redis::Redis::open(url, how)?;
        let leases: Arc<dyn Leases> = Arc::new(opened.clone());
        Ok(Stores { leases: Some(leases), ..Stores::of(opened) })
    } else {
        // The text is not repeated: a URL of another scheme may hold a password.
        Err(StoreError::Config("must be sqlite:PATH, memory: or redis://HOST:PORT".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_another_scheme_is_refused_without_being_repeated() {
        for url in [
            "redis:hunter2",
            "valkey://:hunter2@host/",
            "memory:x",
            "memory",
            "",
            "sqlite:",
            "sqlite::memory:",
            "SQLITE:a",
        ] {
            let refused = open(url).unwrap_err();
            assert!(matches!(refused, StoreError::Config(_)), "{url}: {refused}");
            assert!(!refused.to_string().contains("hunter2"));
        }
    }
}
