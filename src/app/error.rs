//! Why the server does not start, or cannot go on.

use std::{borrow::Cow, io, path::PathBuf};

use crate::{
    actors::{
        audit::AuditError, kit::ActorError, limiter::LimitError, tasks::TasksError, tokens::TokenError,
        users::UsersError,
    },
    domain::InvalidPermission,
    policy::InvalidRoles,
    resources::ResourcesError,
    settings::{Problem, generated::GeneratedError},
    store::StoreError,
    tools::{RegistryError, files::RootError, weather::WeatherError},
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
    /// A setting that only shows its fault when it is used, a certificate for example.
    #[error("{key}: {problem}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no signing secret, and this profile does not make one.
    #[error("jwt.secret: is missing; set jwt.secret_file, PORTCULLIS__JWT__SECRET or JWT_SECRET_KEY")]
    NoSecret,
    /// There is no private key to sign with, and this profile does not make one.
    #[error("jwt.keys: there is none to sign with; write [[jwt.keys]], or set jwt.algorithm to HS256")]
    NoKey,
    /// A private key was named and not read.
    #[error("jwt.keys: the key {0} was not read from its file")]
    UnreadKey(String),
    /// The generated secret or key cannot be kept.
    #[error(transparent)]
    Generated(#[from] GeneratedError),
    /// The API key that a local client was given opens nothing.
    #[error("the API key opens nothing: {0}")]
    NotAdmitted(String),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is not the one that this data directory was used with.
    #[error(
        "store.url: this is not the store that {} knows: revocations may be missing, and revoked tokens would \
         come back; put the right one back, or let a Redis that was emptied take its place with `portcullis store adopt`, \
         or change jwt.secret and remove that file to begin anew",
        .0.display()
    )]
    OtherStore(PathBuf),
    /// Another store was being copied into this one, and not to its end.
    #[error(
        "store.url: this store is the unfinished copy of another one: revocations are missing, and revoked tokens \
         would come back; run the same `portcullis store copy` again, which goes on where it ended"
    )]
    HalfCopied,
    /// The audit log does not open: nothing may happen unrecorded.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The JWT manager does not start.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// Tasks that were left unfinished cannot be ended.
    #[error(transparent)]
    Tasks(#[from] TasksError),
    /// The accounts cannot be read.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// An actor does not start.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// A tool cannot be registered.
    #[error(transparent)]
    Tools(#[from] RegistryError),
    /// A source of resources cannot be registered.
    #[error(transparent)]
    Resources(#[from] ResourcesError),
    /// Prompts that cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Prompts(Vec<Problem>),
    /// A folder cannot be served.
    #[error("{}: {}", .0.key(), .0)]
    Files(#[from] RootError),
    /// The weather provider cannot be used.
    #[error(transparent)]
    Weather(#[from] WeatherError),
    /// The roles cannot be worked out.
    #[error(transparent)]
    Roles(#[from] InvalidRoles),
    /// Limits that cannot hold, or that nothing could ever pass.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Limits(Vec<Problem>),
    /// The limiter does not start.
    #[error(transparent)]
    Limiter(#[from] LimitError),
    /// A permission cannot be declared.
    #[error("permissions.extra: {0}")]
    Permission(#[from] InvalidPermission),
    /// A worker or listener failed.
    #[error("the server failed: {0}")]
    Serving(#[source] io::Error),
}

impl AppError {
    /// Everything that an operator has to change.
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Limits(problems) | Self::Prompts(problems) => problems.clone(),
            _ => vec![self.problem()],
        }
    }

    /// The same for an operator: the key to change, what is wrong with it, and what to do.
    pub fn problem(&self) -> Problem {
        if let Self::Limits(problems) | Self::Prompts(problems) = self
            && let Some(first) = problems.first()
        {
            return first.clone();
        }
        let (key, fix) = self.cure();
        let text = self.to_string();
        // Some texts begin with the key, for a log that shows nothing else.
        let problem = text.strip_prefix(&format!("{key}: ")).unwrap_or(&text);
        Problem { key: key.into_owned(), problem: problem.to_owned(), fix: fix.to_owned() }
    }

    /// The key to change, and what to do about it.
    fn cure(&self) -> (Cow<'static, str>, &'static str) {
        let (key, fix) = match self {
            Self::Roles(error) => return roles_cure(error),
            Self::Tools(error) => return tools_cure(error),
            Self::Files(error) => {
                return (error.key().to_owned().into(), "name a folder that this user can use");
            }
            Self::Setting { key, .. } => (*key, "correct it"),
            Self::Bind { key, .. } => (*key, "choose a free port or stop what uses it"),
            Self::NotAdmitted(_) => ("PORTCULLIS_API_KEY", "put an API key into it that is in force"),
            Self::Served(_) => ("data_dir", "stop the other server or choose another folder"),
            Self::File { .. } | Self::Audit(_) => ("data_dir", "let this user read and write there"),
            Self::NoSecret => ("jwt.secret", "set jwt.secret_file or the variable JWT_SECRET_KEY"),
            Self::NoKey => ("jwt.keys", "write [[jwt.keys]], or set jwt.algorithm to HS256"),
            Self::UnreadKey(_) => ("jwt.keys", "read it with PrivateKey::from_pem"),
            Self::Tokens(TokenError::Retired) => ("jwt.keys", "put a new key first"),
            Self::Tokens(TokenError::Keys) => ("jwt.keys", "give each key a kid of its own"),
            Self::Generated(_) => ("jwt.secret", "repair the file, or remove it to have a new one made"),
            Self::Limits(_) => ("limits", "correct it"),
            Self::Prompts(_) => ("prompts", "correct it"),
            Self::Resources(ResourcesError::Permission { .. }) => {
                ("permissions.extra", "declare the permission there")
            }
            Self::Resources(_) => ("server", "correct the source's code"),
            Self::Store(_) | Self::Users(_) | Self::Tasks(_) | Self::Limiter(LimitError::Store(_)) => {
                ("store.url", "name a store that this user can read and write")
            }
            Self::OtherStore(_) => ("store.url", "put the right store back"),
            Self::HalfCopied => ("store.url", "run the same `portcullis store copy` again"),
            Self::Weather(_) => ("tools.weather", "correct it"),
            Self::Permission(_) => ("permissions.extra", "write resource:action in lower case"),
            Self::Tokens(_) | Self::Limiter(_) | Self::Actor(_) | Self::Serving(_) => {
                ("server", "see the log and start it again")
            }
        };
        (key.into(), fix)
    }

    /// For `map_err`: a failure of `path`.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::File { path, cause }
    }
}

fn roles_cure(error: &InvalidRoles) -> (Cow<'static, str>, &'static str) {
    match error {
        InvalidRoles::UnknownRole(role) => (format!("roles.{role}").into(), "declare it or inherit another"),
        InvalidRoles::UnknownPermission { role, .. } => {
            let fix = "name a permission that there is, or declare it under permissions.extra";
            (format!("roles.{role}.permissions").into(), fix)
        }
        InvalidRoles::Circle(path) => {
            let role = path.split(' ').next().unwrap_or_default();
            (format!("roles.{role}.inherits").into(), "break the circle")
        }
    }
}

fn tools_cure(error: &RegistryError) -> (Cow<'static, str>, &'static str) {
    match error {
        RegistryError::Permission { .. } => ("permissions.extra".into(), "declare the permission there"),
        RegistryError::Name(tool)
        | RegistryError::Twice(tool)
        | RegistryError::Zero(tool)
        | RegistryError::Icon(tool)
        | RegistryError::Schema { tool, .. } => (format!("tools.{tool}").into(), "correct the tool's code"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_names_the_key_to_change() {
        let unknown = InvalidRoles::UnknownPermission { role: "guest".into(), pattern: "x:y".into() };
        for (error, key) in [
            (AppError::NoSecret, "jwt.secret"),
            (AppError::NoKey, "jwt.keys"),
            (AppError::UnreadKey("a".into()), "jwt.keys"),
            (TokenError::Retired.into(), "jwt.keys"),
            (TokenError::Keys.into(), "jwt.keys"),
            (
                AppError::Setting { key: "server.tls.certificate", problem: "a: is empty".into() },
                "server.tls.certificate",
            ),
            (InvalidPermission::TooMany.into(), "permissions.extra"),
            (unknown.into(), "roles.guest.permissions"),
            (InvalidRoles::Circle("a → b → a".into()).into(), "roles.a.inherits"),
            (InvalidRoles::UnknownRole("b".into()).into(), "roles.b"),
            (RegistryError::Zero("dice").into(), "tools.dice"),
            (StoreError::Busy.into(), "store.url"),
            (AppError::OtherStore("store.id".into()), "store.url"),
            (AppError::HalfCopied, "store.url"),
            (AppError::Served("data".into()), "data_dir"),
        ] {
            let problem = error.problem();
            assert_eq!(problem.key, key);
            assert!(!problem.problem.is_empty() && !problem.problem.starts_with(key), "{problem}");
            assert!(!problem.fix.is_empty() && !problem.to_string().contains("  "), "{problem}");
        }
    }
}
