//! The audit log of a fleet: what each server records goes on to a store that all of them share.
//!
//! The files are the truth. One actor on a thread of its own looks at the heads of the chains below the data directory
//! four times a second and sends what was committed since, from the files, in batches; nobody who records waits for it
//! or knows of it. Where to go on is asked of the store, and a batch is taken only if it follows what is there: so a
//! lost answer, a restart or a second sender cannot bring a record twice, and a store that has lost some gets them
//! again. Beside the records it tells once a second what this server [counts](super::insight), for the others to add to
//! what they count.
//!
//! What is read there was written by others: each record's hash is checked against its text and against the record
//! behind it, and what does not fit is left out and counted.

mod actor;
mod judge;
mod query;
mod shipper;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::ArbiterHandle;
use tokio::sync::{Notify, watch};

use self::actor::ShipperActor;
pub use self::{
    judge::Doubts,
    query::{FleetFound, FleetReader},
};
use super::insight::{Insight, Range, Told, begin, fields, heard};
use crate::{
    actors::{
        identity,
        kit::{self, ActorError, Fault, Seat, Vitals},
    },
    domain::Timestamp,
    store::{FleetLog, StoreError},
};

/// Its name in logs and metrics.
const NAME: &str = "shipper";
/// How long a stop waits for the last records to be sent: those that are not, are at the next start.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);
/// How many digits of its data directory's id name a node.
const NODE_DIGITS: usize = 12;

/// The fleet, and who we are in it. Clones share it.
#[derive(Clone)]
pub struct Fleet {
    log: Arc<dyn FleetLog>,
    node: Arc<str>,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Fleet {
    /// The fleet of `log`, in which the server on `data_dir` is named after that folder's own id.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn join(log: Arc<dyn FleetLog>, data_dir: &Path) -> std::io::Result<Self> {
        let id = identity::of_data_dir(data_dir)?;
        Ok(Self { log, node: id.chars().take(NODE_DIGITS).collect::<String>().into() })
    }

    /// What this server is called.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// What the others count of `range`.
    pub(super) async fn others(&self, range: Range) -> Result<Vec<Told>, StoreError> {
        let now = Timestamp::now();
        let (fields, since) = (fields(range, now), begin(range, now));
        let counts = self.log.counts_but(&self.node, since, fields.clone()).await?;
        Ok(counts.iter().map(|of| heard(&of.node, &fields, &of.texts)).collect())
    }
}

/// What stays in the fleet's log.
#[derive(Debug, Clone, Copy)]
pub struct FleetRules {
    /// Records younger than this.
    pub retention: Duration,
    /// Most records of one chain.
    pub records: u64,
}

/// How the sending stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shipped {
    /// Records that are committed here and not there yet.
    pub lag: u64,
    /// Records that were sent since the start.
    pub sent: u64,
    /// Records that were not, since they were no longer in the files.
    pub gone: u64,
    /// Records that were not, since they had become too old before they could be.
    pub too_old: u64,
    /// Records that others of their chain had no room for, before they were too old.
    pub too_many: u64,
}

/// What outlives the actor.
#[derive(Debug)]
struct Shared {
    lag: AtomicU64,
    sent: AtomicU64,
    gone: AtomicU64,
    too_old: AtomicU64,
    too_many: AtomicU64,
    /// Ends a pause.
    hurry: Notify,
    /// Counts the looks at which everything was sent.
    looks: watch::Sender<u64>,
}

impl Shared {
    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        let [lag, sent, gone, too_old, too_many] = [zero(), zero(), zero(), zero(), zero()];
        Self { lag, sent, gone, too_old, too_many, hurry: Notify::new(), looks: watch::Sender::new(0) }
    }
}

/// A handle to the sending. Clones share it.
#[derive(Clone)]
pub struct Shipper {
    shared: Arc<Shared>,
    seat: Arc<Seat<ShipperActor>>,
}

impl Shipper {
    /// Sends what is recorded below `data_dir`, and what `insight` counts of it, to `fleet`.
    ///
    /// # Errors
    /// [`ActorError`] if the actor cannot be started.
    pub async fn start(
        arbiter: &ArbiterHandle,
        (fleet, rules): (&Fleet, FleetRules),
        data_dir: &Path,
        insight: &Insight,
    ) -> Result<Self, ActorError> {
        let shared = Arc::new(Shared::new());
        insight.join(fleet.clone());
        tracing::info!(server = fleet.node(), "audit records are sent to the fleet's log too");
        let (state, fleet, insight) = (Arc::clone(&shared), fleet.clone(), insight.clone());
        let dir = data_dir.to_path_buf();
        let build = move |life| {
            let sending = shipper::Sending::new(&dir, (fleet.clone(), rules), Arc::clone(&state));
            Ok::<_, ActorError>(ShipperActor::new(sending, insight.clone(), life))
        };
        Ok(Self { shared, seat: kit::keep(NAME, arbiter, build).await? })
    }

    /// How it stands.
    pub fn status(&self) -> Shipped {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Shared { lag, sent, gone, too_old, too_many, .. } = &*self.shared;
        Shipped { lag: of(lag), sent: of(sent), gone: of(gone), too_old: of(too_old), too_many: of(too_many) }
    }

    /// Waits until everything that is recorded by now is sent, for a few seconds at most; for the stop.
    pub async fn close(&self) {
        let mut looks = self.shared.looks.subscribe();
        // One look may be under way already.
        let enough = *looks.borrow() + 2;
        let sent = async {
            while *looks.borrow_and_update() < enough {
                self.shared.hurry.notify_one();
                if looks.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(CLOSE_DEADLINE, sent).await.is_err() {
            tracing::warn!("some audit records were not sent to the fleet's log: they are at the next start");
        }
        // Not before: if it dies meanwhile, its successor sends the rest.
        self.seat.retire();
    }

    /// Makes the actor panic.
    ///
    /// # Errors
    /// [`ActorError`] if it is down already.
    pub fn fault(&self) -> Result<(), ActorError> {
        self.seat.post(Fault)
    }

    /// What health and metrics read.
    pub fn vitals(&self) -> Vitals {
        self.seat.vitals()
    }
}
