//! Starts the actors of these settings, each on a thread of its own.

use std::sync::Arc;

use actix::Arbiter;

use super::{AppError, keys};
use crate::{
    actors::{
        audit::{Audit, AuditConfig},
        feed::{self, FeedReader, Listeners},
        tokens::{OnStale, Tokens},
    },
    house::Services,
    settings::Settings,
    store::Stores,
    telemetry::Metrics,
};

/// Starts the actors, each on a thread of its own. The feed's position is taken before anything is
/// loaded, so nothing falls between.
pub(super) async fn services(
    settings: &Settings,
    stores: &Stores,
    arbiters: &[Arbiter; 3],
    metrics: &Arc<Metrics>,
) -> Result<Services, AppError> {
    let [first, second, third] = arbiters;
    let audit = Audit::start(&first.handle(), audit_config(settings)).await?;
    let counted = Arc::clone(metrics);
    audit.on_commit(Box::new(move |took, records| counted.audit_commit(records as u64, took)));
    let position = feed::position(stores).await?;
    let on_stale = OnStale::from(&settings.revocation);
    let tokens =
        Tokens::start(&second.handle(), keys::keyring(settings)?, (stores, position), on_stale).await?;
    let listeners = Listeners { tokens: tokens.clone(), lane: audit.lane() };
    let feed = FeedReader::start(&third.handle(), stores.clone(), listeners).await?;
    Ok(Services { tokens, audit, feed })
}

/// How the audit log of these settings is kept.
pub fn audit_config(settings: &Settings) -> AuditConfig {
    let mut config = AuditConfig::new(&settings.data_dir);
    config.durability = settings.audit.durability.into();
    config.checkpoint_every = settings.audit.checkpoint_every;
    config
}
