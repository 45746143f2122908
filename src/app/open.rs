//! Puts everything together that serves messages, whichever edge they come by.

use std::sync::Arc;

use super::{
    AppError,
    furnish::{Known, Secrets, house},
    limits::limits,
    parts::{self, Additions, Opened},
    services::{Threads, services},
    shared, stores,
    watches::{self, Reading},
};
use crate::{house::House, mcp, settings::Settings, store::Stores, telemetry::Metrics};

/// A house in which everything runs, without a door.
pub(super) struct Running {
    /// The house.
    pub(super) house: House,
    /// What runs in it.
    pub(super) threads: Threads,
    /// What it keeps things in.
    pub(super) stores: Stores,
    /// What an operator should know of how the store is run.
    pub(super) warnings: Vec<String>,
}

impl Running {
    /// Puts everything together, from the store up. The data directory is there, and is private.
    ///
    /// # Errors
    /// [`AppError`].
    pub(super) async fn open(settings: &Settings, more: Additions) -> Result<Self, AppError> {
        let stores = stores::open_store(settings).await?;
        let warnings = shared::look_over(settings, &stores).await?;
        let roles = parts::roles(settings)?;
        let opened = Opened::all(settings, &stores).await?;
        let registry = parts::registry(settings, (&stores, &opened), &roles, more.tools)?;
        let resources = parts::resources(&opened, &roles, more.resources)?;
        let prompts = Reading::begin(parts::prompts(settings, &roles, more.prompts))?;
        let limits = limits(settings, &roles, &registry).map_err(AppError::Limits)?;
        let mut threads = Threads::default();
        let tools: Vec<&'static str> = registry.iter().map(|entry| entry.spec().name).collect();
        let metrics = Arc::new(Metrics::new(&mcp::METHOD_LABELS, &tools, &stores.failures));
        let services = services(settings, (&stores, &opened), &mut threads, (&metrics, &limits)).await?;
        let secrets = Secrets::of(&stores).await?;
        let known = Known { roles, registry, resources, prompts: prompts.in_force.clone() };
        prompts.watch(&threads.add(), &services);
        watches::files(&threads.add(), opened.files.clone());
        let house = house(settings, services, known, (metrics, secrets), &stores)?;
        Ok(Self { house, threads, stores, warnings })
    }
}
