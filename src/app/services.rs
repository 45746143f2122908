//! Starts the actors of these settings, each on a thread of its own.

use std::sync::Arc;

use actix::{Arbiter, ArbiterHandle};

use super::{AppError, keys, parts::Opened};
use crate::{
    actors::{
        api_keys::{ApiKeys, RotationRules},
        audit::{Audit, AuditConfig},
        epoch::Epoch,
        feed::{self, FeedReader, Listeners},
        limiter::{Limiter, LimiterConfig},
        sessions::{SessionRules, Sessions},
        tasks::{Runner, Tasks, TasksConfig},
        tokens::{OnStale, Tokens},
        users::{HashCost, Hasher, Users},
    },
    house::Services,
    settings::Settings,
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
    let listeners = Listeners {
        copies: vec![
            Arc::new(tokens.clone()),
            Arc::new(users.clone()),
            Arc::new(keys.clone()),
            Arc::new(opened.reported.clone()),
        ],
        lane: audit.lane(),
    };
    let recorded = (audit.lane(), metrics);
    let limiter = Limiter::start(&threads.add(), limits, stores, recorded).await?;
    let recorded = (audit.lane(), metrics);
    let runner =
        Runner::claim(&settings.data_dir).map_err(AppError::file(settings.data_dir.join("tasks")))?;
    let tasks = Tasks::start(&threads.add(), (tasks_config(settings), runner), stores, recorded).await?;
    let feed = FeedReader::start(&threads.add(), stores.clone(), listeners).await?;
    let (insight, changes) = (insight.clone(), opened.changes.clone());
    let sessions = match SessionRules::of(&settings.sessions) {
        Some(rules) => Some(Sessions::start(&threads.add(), rules, changes.clone()).await?),
        None => None,
    };
    Ok(Services { tokens, users, keys, audit, insight, feed, limiter, tasks, epoch, changes, sessions })
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
