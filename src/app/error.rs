//! Why the server does not start, or cannot go on.

use std::{io, path::PathBuf};

use crate::{
    actors::{audit::AuditError, kit::ActorError, tokens::TokenError},
    domain::InvalidPermission,
    policy::InvalidRoles,
    settings::generated::GeneratedError,
    store::StoreError,
    tools::{RegistryError, weather::WeatherError},
};

/// Why the server does not start, or cannot go on. Each says what to change.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Another server uses this data directory.
    #[error("{} is served by another process; stop it or choose another data_dir", .0.display())]
    Served(PathBuf),
    /// A file that cannot be read, written or locked.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// An address that cannot be listened on.
    #[error("{key} = {address}: {cause}; choose a free port or stop what uses it")]
    Bind {
        /// The setting.
        key: &'static str,
        /// The address.
        address: String,
        /// What the system says.
        cause: io::Error,
    },
    /// A certificate or key that does not load.
    #[error("server.tls: {0}")]
    Tls(String),
    /// A setting that only shows its fault when it is used.
    #[error("{0}")]
    Setting(String),
    /// There is no signing secret, and this profile does not make one.
    #[error("jwt.secret: is missing; set jwt.secret_file, PORTCULLIS__JWT__SECRET or JWT_SECRET_KEY")]
    NoSecret,
    /// The generated secret cannot be kept.
    #[error(transparent)]
    Generated(#[from] GeneratedError),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is not the one that this data directory was used with.
    #[error(
        "store.url: this is not the store that {} knows: revocations may be missing, and revoked tokens would          come back. Put the right one back, or change jwt.secret and remove that file to begin anew",
        .0.display()
    )]
    OtherStore(PathBuf),
    /// The audit log does not open: nothing may happen unrecorded.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The JWT manager does not start.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// An actor does not start.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// A tool cannot be registered.
    #[error(transparent)]
    Tools(#[from] RegistryError),
    /// The weather provider cannot be used.
    #[error(transparent)]
    Weather(#[from] WeatherError),
    /// The roles cannot be worked out.
    #[error(transparent)]
    Roles(#[from] InvalidRoles),
    /// A permission cannot be declared.
    #[error("permissions.extra: {0}")]
    Permission(#[from] InvalidPermission),
    /// A worker or listener failed.
    #[error("the server failed: {0}")]
    Serving(#[source] io::Error),
}

impl AppError {
    /// For `map_err`: a failure of `path`.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::File { path, cause }
    }
}
