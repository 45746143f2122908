//! The store: what outlives a process, behind one port per need; the URL's scheme chooses the backend.
//!
//! A backend implements every port. Reads and writes are futures that need no runtime of any kind,
//! and never block the thread that polls them. A write is under way once its future has been polled:
//! dropping the future after that gives up the answer, not the write.

mod adoption;
mod error;
mod families;
mod feed;
mod fleet_log;
mod hex;
mod keys;
mod leases;
mod memory;
pub mod moving;
mod quota;
mod redis;
mod reports;
mod revocations;
mod rings;
mod seal;
mod sessions;
mod sqlite;
mod tasks;
mod users;

use std::{fmt, pin::Pin, sync::Arc};

pub use adoption::{Adoption, Kept, Moved, Unconfirmed};
pub use error::StoreError;
pub use families::{
    Families, Family, FamilyAccess, FamilyOf, MOST_ACCESS, MOST_FAMILIES, MadeRoom, Rotated, Rotation,
};
pub use feed::{Change, ChangeKind, FEED_PAGE, Feed, FeedWatch};
pub use fleet_log::{FleetAppended, FleetBatch, FleetChain, FleetCounts, FleetEnd, FleetLog, FleetRow};
pub use keys::{KEY_PAGE_MAX, KeyRotation, KeyUse, Keys, Lookup, RotateOutcome, UseBatch};
pub use leases::{Granted, LEASED_FOR, LeaseAsk, Leases};
pub use quota::{Level, Quota};
pub use redis::{ACCOUNT_NEEDS, RedisTls, RedisUse};
pub use reports::{MOST_AHEAD, MOST_REPORTS, Report, Reports, city_key};
pub use revocations::{Revocation, RevocationTarget, Revocations};
pub use rings::{IDENTITY_RING, Rings, identity};
pub use seal::Seal;
pub use sessions::{
    SessionAnswer, SessionDigest, SessionLook, SessionQuestion, SessionRoom, SessionRow, SessionUse,
    SessionWish, SharedSessions, Wished,
};
pub use tasks::{EndedTask, LostTask, TaskEnd, TaskMade, TaskRoom, TaskRow, Tasks};
pub(crate) use users::AN_ACCOUNT;
pub use users::{PAGE_SIZE_MAX, User, UserChange, Users};

use self::moving::Moving;
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
    /// What happens to a shared store behind our back; `None` where nobody shares it.
    pub adoption: Option<Arc<dyn Adoption>>,
    /// Counts what was taken back and may be lost with one node of the store.
    pub unconfirmed: Unconfirmed,
    /// Sessions of older revisions that several servers share; `None` where each has its own.
    pub sessions: Option<Arc<dyn SharedSessions>>,
    /// Copies of what several servers have recorded; `None` where each has only its own log.
    pub fleet_log: Option<Arc<dyn FleetLog>>,
    /// Calls that go on after their answer.
    pub tasks: Arc<dyn Tasks>,
    /// All of it, to move it elsewhere.
    pub moving: Arc<dyn Moving>,
    /// How often it did not do as asked: counted by those who ask.
    pub failures: StoreFailures,
}

impl Stores {
    /// All ports of one backend.
    fn of<B>(backend: B) -> Self
    where
        B: Revocations + Quota + Users + Families + Keys + Feed + Reports + Rings + Tasks + Moving + 'static,
    {
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
            tasks: Arc::<B>::clone(&backend),
            moving: backend,
            leases: None,
            adoption: None,
            unconfirmed: Unconfirmed::default(),
            sessions: None,
            fleet_log: None,
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
        Some(("sqlite", path)) => {
            let opened = sqlite::Sqlite::open(path)?;
            let failures = opened.failures();
            Ok(Stores { failures, ..Stores::of(opened) })
        }
        Some(("memory", "")) => {
            let opened = memory::Memory::default();
            let sessions: Arc<dyn SharedSessions> = Arc::new(opened.clone());
            Ok(Stores { sessions: Some(sessions), ..Stores::of(opened) })
        }
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
        let adoption: Arc<dyn Adoption> = Arc::new(opened.clone());
        let fleet_log: Arc<dyn FleetLog> = Arc::new(opened.clone());
        let sessions: Arc<dyn SharedSessions> = Arc::new(opened.clone());
        let (unconfirmed, failures) = (opened.unconfirmed(), opened.failures());
        Ok(Stores {
            leases: Some(leases),
            adoption: Some(adoption),
            fleet_log: Some(fleet_log),
            sessions: Some(sessions),
            unconfirmed,
            failures,
            ..Stores::of(opened)
        })
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
