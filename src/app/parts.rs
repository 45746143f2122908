//! From the settings to the parts that need no actor: permissions, roles, tools, resources, prompts.

use std::{collections::BTreeMap, sync::Arc};

use super::{AppError, directory::StoreDirectory};
use crate::{
    actors::{audit::insight::Insight, changes::Changes},
    domain::Catalogue,
    files::private_dir,
    policy::{RoleRule, Roles},
    prompts::{Folder, Prompt, Reloader},
    resources::{AuditViews, FileResources, Resources, Source},
    settings::Settings,
    store::{self, Stores},
    tools::{
        AnyTool, Parts, Registry, builtin,
        files::Files,
        weather::{self, Reported},
    },
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

fn files(settings: &Settings) -> Result<Files, AppError> {
    let files = &settings.tools.files;
    if let Some(own) = files.own_root(&settings.data_dir) {
        private_dir(&own).map_err(AppError::file(&own))?;
    }
    Ok(Files::open(files)?)
}

/// What tools work on that is opened once, before they are registered.
pub(super) struct Opened {
    /// The folders that the file tools serve.
    pub(super) files: Files,
    /// What stations have reported of the weather.
    pub(super) reported: Reported,
    /// What the audit log says about attacks, once it is started.
    pub(super) insight: Insight,
    /// Tells of what changes under clients.
    pub(super) changes: Changes,
}

impl Opened {
    /// Everything that a server needs; the folder below `data_dir` is made if it is not there.
    ///
    /// # Errors
    /// [`AppError::Files`], [`AppError::File`], [`AppError::Store`].
    pub(super) async fn all(settings: &Settings, stores: &Stores) -> Result<Self, AppError> {
        let reported = Reported::load(stores).await?;
        let changes = Changes::default();
        let files = files(settings)?.telling(changes.clone());
        Ok(Self { files, reported, insight: Insight::default(), changes })
    }
}

/// What a program that is built on this library has beside what is built in.
#[derive(Default)]
pub struct Additions {
    /// Its tools.
    pub tools: Vec<Box<dyn AnyTool>>,
    /// Its families of resources.
    pub resources: Vec<Box<dyn Source>>,
    /// Its prompts.
    pub prompts: Vec<Arc<dyn Prompt>>,
}

/// The built-in resources and `more`, registered.
///
/// # Errors
/// [`AppError::Resources`].
pub(super) fn resources(
    opened: &Opened,
    roles: &Roles,
    more: Vec<Box<dyn Source>>,
) -> Result<Resources, AppError> {
    let reviewer = Arc::new(opened.insight.clone());
    let mut sources: Vec<Box<dyn Source>> =
        vec![Box::new(FileResources { files: opened.files.clone() }), Box::new(AuditViews { reviewer })];
    sources.extend(more);
    Ok(Resources::new(sources, roles.catalogue())?)
}

/// Where the prompts of these settings come from, and `own`.
pub fn prompts(settings: &Settings, roles: &Roles, own: Vec<Arc<dyn Prompt>>) -> Reloader {
    let is_strict = !settings.profile.is_development();
    let folder = Folder { path: settings.prompts_dir.clone(), is_strict };
    Reloader { folder, own, catalogue: roles.catalogue().clone() }
}

/// The built-in tools, registered and with nothing behind them: enough to see what there is.
///
/// # Errors
/// Those of a server's registry.
pub fn bare_registry(settings: &Settings, roles: &Roles) -> Result<Registry, AppError> {
    let stores = store::open("memory:")?;
    let reported = Reported::none(&stores);
    let (insight, changes) = (Insight::default(), Changes::default());
    let opened = Opened { files: Files::none(), reported, insight, changes };
    registry(settings, (&stores, &opened), roles, Vec::new())
}

/// The built-in tools and `more`, registered.
///
/// # Errors
/// [`AppError::Weather`], [`AppError::Tools`].
pub(super) fn registry(
    settings: &Settings,
    (stores, opened): (&Stores, &Opened),
    roles: &Roles,
    more: Vec<Box<dyn AnyTool>>,
) -> Result<Registry, AppError> {
    let directory = StoreDirectory::new(stores, roles.clone());
    let stations = weather::open(&settings.tools.weather)?;
    let (files, reported) = (opened.files.clone(), opened.reported.clone());
    let (directory, reviewer) = (Arc::new(directory), Arc::new(opened.insight.clone()));
    let parts = Parts { stations, reported, directory, files, reviewer };
    let mut tools = builtin(&parts);
    tools.extend(more);
    Ok(Registry::new(tools, roles.catalogue())?)
}
