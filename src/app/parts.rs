//! From the settings to the parts that need no actor: permissions, roles, tools.

use std::{collections::BTreeMap, sync::Arc};

use super::{AppError, directory::StoreDirectory};
use crate::{
    actors::audit::insight::Insight,
    domain::Catalogue,
    policy::{RoleRule, Roles},
    settings::Settings,
    store::Stores,
    tools::{AnyTool, Parts, Registry, builtin, weather},
};

/// Every permission of this server.
///
/// # Errors
/// [`AppError::Permission`].
fn catalogue(settings: &Settings) -> Result<Catalogue, AppError> {
    Ok(Catalogue::new(&settings.permissions.extra)?)
}

/// Every role of this server, worked out.
///
/// # Errors
/// [`AppError::Permission`], [`AppError::Roles`].
pub fn roles(settings: &Settings) -> Result<Roles, AppError> {
    let rules: BTreeMap<Box<str>, RoleRule> = settings
        .roles
        .iter()
        .map(|(name, role)| {
            let rule = RoleRule { permissions: role.permissions.clone(), inherits: role.inherits.clone() };
            (name.as_str().into(), rule)
        })
        .collect();
    Ok(Roles::new(catalogue(settings)?, rules)?)
}

/// The built-in tools and `more`, registered. `insight` need not be started, nor ever be.
///
/// # Errors
/// [`AppError::Weather`], [`AppError::Tools`].
pub fn registry(
    settings: &Settings,
    stores: &Stores,
    roles: &Roles,
    (more, insight): (Vec<Box<dyn AnyTool>>, &Insight),
) -> Result<Registry, AppError> {
    let directory = StoreDirectory::new(stores, roles.clone());
    let parts = Parts {
        stations: weather::open(&settings.tools.weather)?,
        directory: Arc::new(directory),
        reviewer: Arc::new(insight.clone()),
    };
    let mut tools = builtin(&parts);
    tools.extend(more);
    Ok(Registry::new(tools, roles.catalogue())?)
}
