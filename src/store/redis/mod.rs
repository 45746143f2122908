//! The Redis backend, for a fleet: what every replica has to know, on one node, a cluster, or behind sentinels.
//!
//! Records are JSON texts under names that operators can read; see [`names`]. Whatever changes more than one of
//! them is planned here and settled by one script there ([`plan`]), so several replicas never see half of it.

mod db;
mod families;
mod feed;
mod keys;
mod leases;
mod link;
mod names;
mod place;
mod plan;
mod quota;
mod records;
mod reports;
mod revocations;
mod rings;
mod runner;
mod tasks;
mod users;

use std::{sync::Arc, time::Duration};

use deadpool_redis::redis;
use uuid::Uuid;

use self::{db::Db, link::Link, names::Names, place::Place, runner::Runner};
use super::{StoreError, StoreFuture};

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
}

impl Default for RedisUse {
    fn default() -> Self {
        Self { prefix: "portcullis:".into(), connections: 8, timeout: Duration::from_millis(400) }
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
}

impl Redis {
    /// Opens the Redis of `url`; an empty one becomes a store of ours. Blocks for as long as one question may take.
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
        let (connections, timeout) = (how.connections, how.timeout);
        let opened = async move || {
            let db = Db::new(Link::open(&place, connections)?, names.clone(), timeout);
            let watched = Db::new(Link::open(&place, 1)?, names, timeout);
            let generation = generation(&db).await?;
            Ok((Arc::new(db.bound_to(generation.clone())), Arc::new(watched.bound_to(generation))))
        };
        let (db, watched) = runner.wait_for(opened)?;
        Ok(Self(Arc::new(Inner { runner, db, watched })))
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
    let (found,): (String,) = db.together(&questions).await?;
    let schema = found.split_once(':').and_then(|(schema, _)| schema.parse::<i64>().ok());
    match schema.ok_or(StoreError::Corrupt("its generation"))? {
        found if found > SCHEMA => Err(StoreError::Newer { found, known: SCHEMA }),
        _ => Ok(found),
    }
}
