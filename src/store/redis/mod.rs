//! The Redis backend, for a fleet: what every replica has to know, on one node, a cluster, or behind sentinels.
//!
//! Records are JSON texts under names that operators can read; see [`names`]. Whatever changes more than one of
//! them is planned here and settled by one script there ([`plan`]), so several replicas never see half of it.

mod adoption;
mod circuit;
mod db;
mod families;
mod family_ends;
mod feed;
mod fleet_log;
mod guarded;
mod keys;
mod leases;
mod link;
mod making;
mod master;
mod moving;
mod names;
mod opener;
mod packed;
mod place;
mod plan;
mod quota;
mod records;
mod reports;
mod revocations;
mod rings;
mod runner;
mod session_questions;
mod sessions;
mod survey;
mod tasks;
mod users;
mod whole;
mod wire;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use deadpool_redis::redis;
use parking_lot::Mutex;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::{
    db::Db, guarded::Guarded, link::Link, master::Master, names::Names, opener::Target, place::Place,
    runner::Runner,
};
use super::{StoreError, StoreFuture, Unconfirmed};
use crate::telemetry::StoreFailures;

/// What our account in a Redis must be allowed, as the rules of an ACL.
pub const ACCOUNT_NEEDS: &str = "~portcullis:* ~{portcullis:}* +@read +@write +@scripting +@transaction +@connection \
                                 -@dangerous +info +role +time +cluster|slots";

/// The schema that this program writes.
const SCHEMA: i64 = 1;

/// How a Redis is used.
#[derive(Debug, Clone)]
pub struct RedisUse {
    /// What all our keys begin with.
    pub prefix: String,
    /// Most connections at once.
    pub connections: usize,
    /// How long one question may take, waiting for a connection included.
    pub timeout: Duration,
    /// Whom it is believed over TLS, and who we are there.
    pub tls: RedisTls,
}

/// Certificates for TLS, PEM. `Debug` shows none.
#[derive(Clone, Default)]
pub struct RedisTls {
    /// Who vouches for the server; `None` for whom the system believes.
    pub ca: Option<Vec<u8>>,
    /// Our own certificate, and its key.
    pub client: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisTls(..)")
    }
}

impl Default for RedisUse {
    fn default() -> Self {
        Self {
            prefix: "portcullis:".into(),
            connections: 8,
            timeout: Duration::from_millis(400),
            tls: RedisTls::default(),
        }
    }
}

/// An opened Redis. Clones share it.
#[derive(Clone)]
pub(super) struct Redis(Arc<Inner>);

struct Inner {
    runner: Runner,
    db: Arc<Db>,
    /// The same over a connection that only the feed's watches use.
    watched: Arc<Db>,
    /// Opens one more connection to the same place, bound to nothing yet.
    another: Box<dyn Fn() -> Result<Db, StoreError> + Send + Sync>,
    /// Shared secrets that were given out: whoever has one keeps it.
    rings: Arc<Mutex<BTreeMap<String, [u8; 32]>>>,
    /// Whether the feed was found to be that of another store.
    replaced: AtomicBool,
    unconfirmed: Unconfirmed,
    failures: StoreFailures,
}

impl Redis {
    /// Opens the Redis of `url`; an empty one becomes a store of ours. Blocks for as long as two questions may take.
    ///
    /// # Errors
    /// As [`super::open`].
    pub(super) fn open(url: &str, how: &RedisUse) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        if place.is_cluster() && how.prefix.is_empty() {
            return Err(StoreError::Config(
                "names a cluster, for which store.key_prefix must not be empty".into(),
            ));
        }
        let names = Names::new(&how.prefix, place.is_cluster());
        // One provider of cryptography for all of us; `Err` means that there is one already.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let runner = Runner::start()?;
        let (connections, timeout, tls) = (how.connections, how.timeout, how.tls.clone());
        let failures = StoreFailures::default();
        let unconfirmed = Unconfirmed::new(failures.clone());
        let (counted, failed) = (unconfirmed.clone(), failures.clone());
        let opened = async move || {
            let follows = match &place {
                Place::Sentinel { sentinels, service, .. } => {
                    let sentinels = opener::clients(sentinels, &tls).map_err(|_| link::no_way())?;
                    Some((sentinels, service.clone()))
                }
                Place::One(_) | Place::Cluster(_) => None,
            };
            let master = Master::new(follows.is_some());
            let followed = master.clone();
            let open = move |connections| {
                let (key, within) = (names.generation(), timeout);
                let target = Target { place: &place, tls: &tls, master: &master, key, within };
                let link = Link::open(target, connections)?;
                let link = Guarded::new(link, timeout, failed.clone());
                Ok(Db::new(link, names.clone(), counted.clone()))
            };
            let both = [open(connections)?, open(1)?].map(Arc::new);
            let generation = generation(&both[0]).await?;
            both.iter().for_each(|db| db.bind(&generation));
            if let Some(sentinels) = follows {
                let all = both.each_ref().map(Arc::downgrade);
                let forget =
                    move || all.iter().filter_map(Weak::upgrade).for_each(|db| db.forget_connections());
                // It ends with the thread.
                drop(tokio::task::spawn_local(master::follow(sentinels, followed, forget)));
            }
            let another: Box<dyn Fn() -> Result<Db, StoreError> + Send + Sync> = Box::new(move || open(1));
            Ok((both, another))
        };
        let ([db, watched], another) = runner.wait_for(opened)?;
        let (rings, replaced) = (Arc::default(), AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { runner, db, watched, another, rings, replaced, unconfirmed, failures })))
    }

    /// Where is counted what fails.
    pub(super) fn failures(&self) -> StoreFailures {
        self.0.failures.clone()
    }

    /// Counts what no replica has confirmed.
    pub(super) fn unconfirmed(&self) -> Unconfirmed {
        self.0.unconfirmed.clone()
    }

    fn ask<T, F>(&self, work: impl FnOnce(Arc<Db>) -> F + Send + 'static) -> StoreFuture<'_, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + 'static,
    {
        let db = Arc::clone(&self.0.db);
        self.0.runner.ask(move || work(db))
    }
}

/// Schema and identity of the store; made if there is none.
async fn generation(db: &Db) -> Result<String, StoreError> {
    let key = db.names.generation();
    let fresh = format!("{SCHEMA}:{}", Uuid::now_v7());
    let mut questions = redis::pipe();
    questions.cmd("SET").arg(&key).arg(fresh).arg("NX").ignore().get(&key);
    let (found,): (String,) = db.first(&questions).await?;
    check_schema(&found)?;
    Ok(found)
}

/// Whether we know the schema of the store of this generation.
fn check_schema(generation: &str) -> Result<(), StoreError> {
    let schema = generation.split_once(':').and_then(|(schema, _)| schema.parse::<i64>().ok());
    match schema.ok_or(StoreError::Corrupt("its generation"))? {
        found if found > SCHEMA => Err(StoreError::Newer { found, known: SCHEMA }),
        _ => Ok(()),
    }
}
