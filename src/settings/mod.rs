//! What an operator can set: read in layers, checked as a whole, all problems at once by key path.

mod addresses;
mod admin;
mod api_keys;
mod audit;
mod check;
mod file_tools;
pub mod generated;
mod guard;
mod jwt;
mod kind;
mod layers;
mod limits;
mod load;
mod nearest;
mod own_files;
mod policy;
mod problem;
mod profile;
mod revocation;
mod roles;
mod schema;
mod server;
mod sessions;
mod signing;
mod store;
mod tasks;
mod telemetry;
mod tools;
mod units;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use admin::AdminSettings;
pub use api_keys::{ApiKeysSettings, MAX_EXPIRY_DAYS};
pub use audit::{AuditSettings, Durability, Sink};
pub use file_tools::{AlsoSettings, Confirm, FilesSettings};
pub use jwt::JwtSettings;
pub use layers::Source;
pub use limits::{LimitMode, LimitsSettings, OnQuotaLoss, RateSettings, ToolLimitSettings};
pub use load::{Loaded, load};
pub use policy::{Denied, PolicySettings};
pub use problem::{InvalidSettings, Problem};
pub use profile::{InvalidName, Profile};
pub use revocation::{OnStoreLoss, RevocationSettings};
pub use roles::{PermissionsSettings, RoleSettings, Roles};
pub use schema::{Key, keys};
pub use server::{ServerSettings, TlsSettings};
pub use sessions::SessionsSettings;
pub use signing::KeySettings;
pub use store::{RedisUrl, StoreSettings, StoreUrl};
pub use tasks::TasksSettings;
pub use telemetry::{LogFormat, TelemetrySettings};
pub use tools::{ToolsSettings, WeatherProvider, WeatherSettings};

pub use crate::domain::Algorithm;

/// A duration as people write it, for the command line: `30m`, `7d`, `250ms`.
///
/// # Errors
/// What it should look like.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, &'static str> {
    units::duration(text).ok_or("write a whole number and one of ms, s, m, h, d, for example 30m")
}

/// The candidate most like `name`: what somebody who mistyped it most likely meant.
pub fn nearest_name<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest::name(name, candidates)
}

/// The settings in force: plain data, every rule checked. `Debug` shows no secret.
///
/// An embedder starts from [`Settings::development`] and changes fields; the rules are then its own
/// concern.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which rules hold.
    #[serde(skip, default = "Profile::production")]
    pub profile: Profile,
    /// Folder of prompts, beside the other settings; without one those that the binary brings along are in force.
    #[serde(skip)]
    pub prompts_dir: Option<PathBuf>,
    /// Folder of everything that is kept.
    pub data_dir: PathBuf,
    /// `[server]`.
    pub server: ServerSettings,
    /// `[admin]`.
    pub admin: AdminSettings,
    /// `[store]`.
    pub store: StoreSettings,
    /// `[jwt]`.
    pub jwt: JwtSettings,
    /// `[revocation]`.
    pub revocation: RevocationSettings,
    /// `[api_keys]`.
    pub api_keys: ApiKeysSettings,
    /// `[roles.<name>]`, by name; 1 to 64.
    pub roles: Roles,
    /// `[permissions]`.
    pub permissions: PermissionsSettings,
    /// `[policy]`.
    pub policy: PolicySettings,
    /// `[limits]`.
    pub limits: LimitsSettings,
    /// `[audit]`.
    pub audit: AuditSettings,
    /// `[sessions]`.
    pub sessions: SessionsSettings,
    /// `[tools]`.
    pub tools: ToolsSettings,
    /// `[tasks]`.
    pub tasks: TasksSettings,
    /// `[telemetry]`.
    pub telemetry: TelemetrySettings,
}

impl Settings {
    /// The settings of development that the binary brings along, kept in `data_dir`. No file is read.
    ///
    /// # Errors
    /// [`InvalidSettings`] if the binary was built with settings that are none; no released one is.
    pub fn development(data_dir: &Path) -> Result<Self, InvalidSettings> {
        load::development(data_dir)
    }

    /// Whether the rules of production hold, as they do for every profile but development and loadtest.
    pub fn is_production(&self) -> bool {
        self.profile.is_production()
    }

    /// The store that `text` names, written like `store.url`.
    ///
    /// # Errors
    /// The problem and its fix, neither of which repeats the text, since it may hold a password.
    pub fn store_at(&self, text: &str) -> Result<StoreUrl, (&'static str, &'static str)> {
        Ok(StoreUrl::parse(text)?.within(&self.data_dir))
    }

    /// Every weakening in force, by key path and value, for the banner.
    pub fn weakenings(&self) -> Vec<&'static str> {
        [
            (self.admin.unsafe_metrics_on_main, "admin.unsafe_metrics_on_main"),
            (self.admin.unsafe_faults, "admin.unsafe_faults"),
            (
                self.revocation.on_store_loss == OnStoreLoss::UnsafeAllow,
                "revocation.on_store_loss = \"unsafe_allow\"",
            ),
            (self.limits.mode == LimitMode::UnsafeOff, "limits.mode = \"unsafe_off\""),
            (
                self.limits.on_store_loss == OnQuotaLoss::UnsafeAllow,
                "limits.on_store_loss = \"unsafe_allow\"",
            ),
        ]
        .into_iter()
        .filter_map(|(in_force, name)| in_force.then_some(name))
        .collect()
    }

    /// Every rule that joins keys or goes beyond the kind of one.
    fn check(&self, report: &mut problem::Report) {
        self.server.check(report);
        self.admin.check(report);
        self.store.check(report);
        self.jwt.check(report);
        self.revocation.check(report);
        self.limits.check(report);
        self.audit.check(report);
        self.sessions.check(report);
        self.tools.weather.check(report);
        self.tasks.check(report);
        roles::check(&self.roles, &self.permissions, report);
        let (main, second) = (&self.server, &self.admin);
        let overlap = main.host == second.host || main.host.is_unspecified() || second.host.is_unspecified();
        let apart = main.port == 0 || main.port != second.port || !overlap;
        report.require(apart, "admin.port", ("is server.port too", "choose another port"));
    }
}
