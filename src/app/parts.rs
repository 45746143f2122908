//! From the settings to the parts that need no actor: permissions, roles, tools.

use std::{collections::BTreeMap, sync::Arc};

use super::{AppError, directory::StoreDirectory};
use crate::{
    domain::Catalogue,
    files::private_dir,
    policy::{RoleRule, Roles},
    settings::Settings,
    store::Stores,
    tools::{AnyTool, Parts, Registry, builtin, files::Files, weather},
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

/// The folders that the file tools serve, open; the one below `data_dir` is made if it is not there.
///
/// # Errors
/// [`AppError::Files`], [`AppError::File`].
pub(super) fn files(settings: &Settings) -> Result<Files, AppError> {
    let files = &settings.tools.files;
    if let Some(own) = files.own_root(&settings.data_dir) {
        private_dir(&own).map_err(AppError::file(&own))?;
    }
    Ok(Files::open(files)?)
}

/// The built-in tools and `more`, registered. Without `files` nothing is served: enough to see what there is.
///
/// # Errors
/// [`AppError::Weather`], [`AppError::Tools`].
pub fn registry(
    settings: &Settings,
    (stores, files): (&Stores, Files),
    roles: &Roles,
    more: Vec<Box<dyn AnyTool>>,
) -> Result<Registry, AppError> {
    let directory = StoreDirectory::new(stores, roles.clone());
    let stations = weather::open(&settings.tools.weather)?;
    let parts = Parts { stations, directory: Arc::new(directory), files };
    let mut tools = builtin(&parts);
    tools.extend(more);
    Ok(Registry::new(tools, roles.catalogue())?)
}
