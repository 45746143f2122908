//! Starts the actors of these settings, each on a thread of its own.

use std::sync::Arc;

use actix::{Arbiter, ArbiterHandle};

use super::{AppError, keys, parts::Opened, shared};
use crate::{
    actors::{
        api_keys::{ApiKeys, RotationRules},
        audit::{
            Audit, AuditConfig,
            fleet::{Fleet, FleetRules, Shipper},
            insight::Insight,
        },
        changes::Changes,
        epoch::Epoch,
        feed::{self, FeedReader, Listener, Listeners},
        limiter::{Limiter, LimiterConfig},
        sessions::{SessionRules, Sessions},
        tasks::{Runner, Tasks, TasksConfig},
        tokens::{OnStale, Tokens},
        users::{HashCost, Hasher, Users},
    },
    house::Services,
    settings::{Settings, Sink},
    store::{Stores, TaskRoom},
    telemetry::Metrics,
};

/// The threads that actors run on.
#[derive(Debug, Default)]
pub(super) struct Threads(Vec<Arbiter>);

impl Threads {
    /// A new thread.
    pub(super) fn add(&mut self) -> ArbiterHandle {
        let arbiter = Arbiter::new();
        let handle = arbiter.handle();
        self.0.push(arbiter);
        handle
    }

    /// Ends them all; whatever still waits in a mailbox is dropped.
    pub(super) fn stop(&self) {
        self.0.iter().for_each(|arbiter| _ = arbiter.stop());
    }
}

/// Starts the actors, each on a thread of its own. The feed's position is taken before anything is
/// loaded, so nothing falls between.
pub(super) async fn services(
    settings: &Settings,
    (stores, opened): (&Stores, &Opened),
    threads: &mut Threads,
    (metrics, limits): (&Arc<Metrics>, &LimiterConfig),
) -> Result<Services, AppError> {
    let audit = Audit::start(&threads.add(), audit_config(settings)).await?;
    let counted = Arc::clone(metrics);
    audit.on_commit(Box::new(move |took, records| counted.audit_commit(records as u64, took)));
    let insight = &opened.insight;
    insight.start(&threads.add(), &audit).await?;
    let shipper = shipper(settings, stores, threads, insight).await?;
    let position = feed::position(stores).await?;
    let epoch = Epoch::default();
    let on_stale = OnStale::from(&settings.revocation);
    let tokens =
        Tokens::start(&threads.add(), keys::keyring(settings)?, (stores, position), (on_stale, &epoch))
            .await?;
    let hasher = Arc::new(Hasher::new(HashCost::default())?);
    let users = Users::start(&threads.add(), (stores, position), (hasher, &epoch)).await?;
    let rules = RotationRules {
        grace: settings.api_keys.rotation_grace,
        before_end: settings.api_keys.rotate_before,
    };
    let keys = ApiKeys::start(&threads.add(), (stores, position), rules, (&epoch, audit.lane())).await?;
    let changes = opened.changes.clone();
    let sessions = sessions(settings, threads, (stores, position), &changes).await?;
    let mut copies: Vec<Arc<dyn Listener>> = vec![
        Arc::new(tokens.clone()),
        Arc::new(users.clone()),
        Arc::new(keys.clone()),
        Arc::new(opened.reported.clone()),
    ];
    let shared_sessions = sessions.clone().filter(Sessions::is_shared);
    copies.extend(shared_sessions.map(|shared| -> Arc<dyn Listener> { Arc::new(shared) }));
    let mut listeners = Listeners { copies, lane: audit.lane(), mover: None };
    shared::follow(settings, (stores, position), &tokens, &mut listeners).await?;
    let recorded = (audit.lane(), metrics);
    let limiter = Limiter::start(&threads.add(), limits, stores, recorded).await?;
    let recorded = (audit.lane(), metrics);
    let runner =
        Runner::claim(&settings.data_dir).map_err(AppError::file(settings.data_dir.join("tasks")))?;
    let tasks = Tasks::start(&threads.add(), (tasks_config(settings), runner), stores, recorded).await?;
    let feed = FeedReader::start(&threads.add(), stores.clone(), listeners).await?;
    let insight = insight.clone();
    Ok(Services {
        tokens,
        users,
        keys,
        audit,
        insight,
        shipper,
        feed,
        limiter,
        tasks,
        epoch,
        changes,
        sessions,
    })
}

/// The sessions of older revisions, if there are any.
async fn sessions(
    settings: &Settings,
    threads: &mut Threads,
    stores: (&Stores, u64),
    changes: &Changes,
) -> Result<Option<Sessions>, AppError> {
    let Some(rules) = SessionRules::of(&settings.sessions) else { return Ok(None) };
    Ok(Some(Sessions::start(&threads.add(), rules, stores, changes.clone()).await?))
}

/// Sends what is recorded to the log of the fleet, if there is one and the settings want it.
async fn shipper(
    settings: &Settings,
    stores: &Stores,
    threads: &mut Threads,
    insight: &Insight,
) -> Result<Option<Shipper>, AppError> {
    let Some(log) = stores.fleet_log.clone().filter(|_| settings.audit.has_sink(Sink::Redis)) else {
        return Ok(None);
    };
    let data_dir = &settings.data_dir;
    let fleet = Fleet::join(log, data_dir).map_err(AppError::file(data_dir.join("tasks/id")))?;
    let rules = FleetRules { retention: settings.audit.retention, records: settings.audit.fleet_records };
    Ok(Some(Shipper::start(&threads.add(), (&fleet, rules), data_dir, insight).await?))
}

/// How long tasks of these settings live, and how many there may be.
fn tasks_config(settings: &Settings) -> TasksConfig {
    let tasks = &settings.tasks;
    let places = |most: u64| usize::try_from(most).unwrap_or(usize::MAX);
    TasksConfig {
        max_run: tasks.max_run,
        ttl: tasks.ttl,
        running: (places(tasks.max_running_of_one), places(tasks.max_running)),
        room: TaskRoom { of_one: tasks.max_kept_of_one, of_all: tasks.max_kept },
    }
}

/// How the audit log of these settings is kept.
pub fn audit_config(settings: &Settings) -> AuditConfig {
    let mut config = AuditConfig::new(&settings.data_dir);
    config.durability = settings.audit.durability.into();
    config.checkpoint_every = settings.audit.checkpoint_every;
    config
}
