//! What a store that several servers share needs at a start: what is known here to be revoked, and a look at how it is
//! run.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{AppError, adoption::GoOver, stores};
use crate::{
    actors::{
        feed::Listeners,
        keepsake::{self, Keepsake},
        tokens::Tokens,
    },
    settings::Settings,
    store::Stores,
};

/// Gives the store what it has lost of revocations since this server ran last, and says what an operator should know of
/// it; nothing of either for a store of this server alone.
///
/// # Errors
/// [`AppError`] if the store cannot be given what it lacks.
pub(super) async fn look_over(settings: &Settings, stores: &Stores) -> Result<Vec<String>, AppError> {
    let Some(adoption) = &stores.adoption else { return Ok(Vec::new()) };
    let restored = stores::restore_kept(settings, stores).await?;
    if restored > 0 {
        tracing::warn!(revocations = restored, "the store lacked revocations: they were put back");
    }
    let warnings = match adoption.survey().await {
        Ok(warnings) => warnings,
        // A store that serves and does not say how is no reason not to serve.
        Err(error) => vec![format!("how the store is run could not be found out: {error}")],
    };
    for problem in &warnings {
        tracing::warn!(setting = "store.url", %problem, "store");
    }
    Ok(warnings)
}

/// Has what the feed brings of revocations kept on this machine's disk too, and another store taken for ours once an
/// operator has said so; nothing of either for a store of this server alone.
///
/// # Errors
/// [`AppError`] if the disk or the store does not take part.
pub(super) async fn follow(
    settings: &Settings,
    (stores, position): (&Stores, u64),
    tokens: &Tokens,
    listeners: &mut Listeners,
) -> Result<(), AppError> {
    if stores.adoption.is_none() {
        return Ok(());
    }
    let place = keepsake::place(&settings.data_dir);
    let kept = Keepsake::start(place.clone(), (stores, position)).await.map_err(AppError::file(place))?;
    listeners.copies.push(Arc::new(kept));
    listeners.mover = Some(Arc::new(GoOver {
        stores: stores.clone(),
        tokens: tokens.clone(),
        lane: listeners.lane.clone(),
        data_dir: settings.data_dir.clone(),
        identity: Mutex::new(stores::identity(stores).await?),
    }));
    Ok(())
}
