//! `[store]`: where what must outlive a restart is kept.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    guard,
    kind::{Complaint, Kind},
    problem::Report,
    schema::Key,
    units,
};

/// Stands for `data_dir` at the start of a path.
const DATA_DIR: &str = "<data_dir>";

/// The keys of `[store]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "store.url",
        Kind::Form(url_fault),
        "sqlite:<path>, in which <data_dir> stands for data_dir; memory:, which forgets everything and is refused in \
         production; or a Redis that several servers share: redis://user:password@host:6379, \
         redis+cluster://user:password@host:7000,host:7001, redis+sentinel://user:password@host:26379,host:26380/service, \
         and with rediss in the place of redis over TLS.",
    ),
    Key::new(
        "store.key_prefix",
        Kind::Form(prefix_fault),
        "What all our keys in a Redis begin with, at most 64 letters, digits and . : _ -; may be empty but on a cluster.",
    ),
    Key::new("store.connections", Kind::Whole(1, 1_000), "Most connections to a Redis, 1 to 1000."),
    Key::new(
        "store.timeout",
        Kind::Span(Duration::from_millis(10), Duration::from_secs(10)),
        "Time that one question to a Redis may take, waiting for a connection included, 10ms to 10s. Above 500ms a Redis \
         that hangs is noticed later than 1s.",
    ),
    Key::new(
        "store.ca_file",
        Kind::Optional,
        "PEM file with the certificates of those who vouch for a Redis over TLS; empty for those whom the system believes.",
    ),
    Key::new(
        "store.client_certificate",
        Kind::Optional,
        "PEM file with the certificate chain by which a Redis knows us over TLS; empty shows none.",
    ),
    Key::new(
        "store.client_key_file",
        Kind::Optional,
        "PEM file with the key of that certificate, readable by nobody else; empty shows none.",
    ),
];

/// `[store]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// Which store.
    pub url: StoreUrl,
    /// What all our keys in a Redis begin with.
    pub key_prefix: String,
    /// Most connections to a Redis.
    pub connections: usize,
    /// How long one question to a Redis may take.
    #[serde(deserialize_with = "units::read_duration")]
    pub timeout: Duration,
    /// PEM file with the certificates of those who vouch for a Redis.
    #[serde(deserialize_with = "units::read_optional")]
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate chain that a Redis is shown.
    #[serde(deserialize_with = "units::read_optional")]
    pub client_certificate: Option<PathBuf>,
    /// PEM file with its key.
    #[serde(deserialize_with = "units::read_optional")]
    pub client_key_file: Option<PathBuf>,
}

/// Which store, by URL scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// The embedded store in this file.
    Sqlite(PathBuf),
    /// Nothing outlives the process.
    Memory,
    /// A Redis.
    Redis(RedisUrl),
}

/// Where a Redis is, as it is written in the settings. It may hold a password, so nothing shows it whole.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The URL itself, for whoever connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether passwords and keys cross a network as they are.
    fn is_open_to_listeners(&self) -> bool {
        let hosts = self.to_string();
        let hosts = hosts.split_once("://").map_or("", |(_, rest)| rest);
        let hosts = hosts.split('/').next().unwrap_or_default();
        let is_here = |host: &str| ["127.", "localhost", "[::1]"].iter().any(|here| host.starts_with(here));
        self.0.starts_with("redis") && !self.0.starts_with("rediss") && !hosts.split(',').all(is_here)
    }
}

/// Without user and password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("redis", ""));
        write!(f, "{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

impl StoreUrl {
    /// Reads the URL; `<data_dir>` at the start of the path stays as it is.
    ///
    /// # Errors
    /// The problem and its fix, neither of which repeats the URL, since it may hold a password.
    pub fn parse(text: &str) -> Result<Self, (&'static str, &'static str)> {
        if text.starts_with("redis") && text.contains('#') {
            return Err((
                "carries a fragment, as #insecure is one: a certificate that is not checked protects nothing",
                "take it out, and name who vouches for the certificate in store.ca_file",
            ));
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(("has no scheme", "write sqlite:<path>"));
        };
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(("memory: takes nothing after the colon", "write memory:")),
            "sqlite" if rest.starts_with("//") => {
                Err(("sqlite: takes a path, not a host", "write sqlite:<path> without //"))
            }
            "sqlite" if rest.trim().is_empty() => Err(("names no file", "write sqlite:<path>")),
            "sqlite" if rest.starts_with(':') || rest.starts_with("file:") || rest.contains('?') => {
                Err(("sqlite: takes a plain path", "write sqlite:<path>, or memory: to keep nothing"))
            }
            "sqlite" => Ok(Self::Sqlite(rest.into())),
            "redis" | "rediss" | "redis+cluster" | "rediss+cluster" | "redis+sentinel"
            | "rediss+sentinel"
                if rest.starts_with("//") =>
            {
                Ok(Self::Redis(RedisUrl(text.to_owned())))
            }
            _ => Err(("has a scheme that we do not know", "write sqlite:<path> or redis://<host>:<port>")),
        }
    }

    /// With `<data_dir>` replaced.
    pub(super) fn within(self, data_dir: &Path) -> Self {
        match self {
            Self::Sqlite(path) => match path.strip_prefix(DATA_DIR) {
                Ok(rest) => Self::Sqlite(data_dir.join(rest)),
                Err(_) => Self::Sqlite(path),
            },
            other => other,
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
            Self::Redis(url) => url.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(|(problem, _)| D::Error::custom(problem))
    }
}

/// What is wrong with `text` as a store's URL: the problem and its fix.
fn url_fault(text: &str) -> Option<Complaint> {
    StoreUrl::parse(text).err()
}

/// What is wrong with `text` as the beginning of names.
fn prefix_fault(text: &str) -> Option<Complaint> {
    let fits = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:_-".contains(&b));
    (!fits).then_some(("must be at most 64 letters, digits and . : _ -", "write portcullis:"))
}

impl StoreSettings {
    /// The certificate that a Redis is shown, and its key.
    pub fn client_files(&self) -> Option<(&Path, &Path)> {
        self.client_certificate.as_deref().zip(self.client_key_file.as_deref())
    }

    pub(super) fn check(&self, report: &mut Report) {
        if self.url == StoreUrl::Memory && report.is_production() {
            report.refuse(
                "store.url",
                "memory: forgets every revocation at a restart",
                "write sqlite:<path>",
            );
        }
        self.check_tls(report);
        if let StoreUrl::Redis(url) = &self.url {
            if self.key_prefix.is_empty() && url.0.contains("+cluster:") {
                report.refuse("store.key_prefix", "must not be empty on a cluster", "write portcullis:");
            }
            if url.is_open_to_listeners() && report.is_production() {
                report.warn(
                    "store.url",
                    "sends passwords and keys over a network in the clear",
                    "write rediss://",
                );
            }
        }
    }

    fn check_tls(&self, report: &mut Report) {
        let Self { ca_file, client_certificate, client_key_file, .. } = self;
        let is_tls = matches!(&self.url, StoreUrl::Redis(url) if url.0.starts_with("rediss"));
        for (key, file) in [
            ("store.ca_file", ca_file),
            ("store.client_certificate", client_certificate),
            ("store.client_key_file", client_key_file),
        ] {
            let Some(file) = file else { continue };
            report.require(
                is_tls,
                key,
                ("is for a Redis over TLS", "write rediss in store.url, or take it out"),
            );
            if key == "store.client_key_file" {
                guard::check_secret_file(key, file, report);
            } else if let Err(fault) = guard::is_readable(file) {
                let problem = format!("the file cannot be read: {fault}");
                report.refuse(key, problem, "name a readable PEM file");
            }
        }
        for (missing, here, there) in [
            (
                client_certificate.is_none() && client_key_file.is_some(),
                "store.client_certificate",
                "client_key_file",
            ),
            (
                client_key_file.is_none() && client_certificate.is_some(),
                "store.client_key_file",
                "client_certificate",
            ),
        ] {
            let problem = format!("is missing beside {there}");
            report.require(!missing, here, (&problem, "name both files or neither"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_dir_stands_in_only_at_the_start() {
        let data = Path::new("/var/lib/gate");
        let at = |text: &str| StoreUrl::parse(text).unwrap().within(data).to_string();
        assert_eq!(at("sqlite:<data_dir>/a.db"), "sqlite:/var/lib/gate/a.db");
        assert_eq!(at("sqlite:/srv/<data_dir>/a.db"), "sqlite:/srv/<data_dir>/a.db");
        assert_eq!(at("memory:"), "memory:");
    }

    #[test]
    fn a_redis_is_shown_without_its_password() {
        for (url, shown, is_open) in [
            ("redis://u:hu@sh@h:1/2", "redis://h:1/2", true),
            ("redis://:hush@127.0.0.1", "redis://127.0.0.1", false),
            ("rediss://:hush@h", "rediss://h", false),
            ("redis+cluster://u:hush@a:1,b:2", "redis+cluster://a:1,b:2", true),
            (
                "redis+sentinel://u:hush@localhost:1,[::1]:2/main",
                "redis+sentinel://localhost:1,[::1]:2/main",
                false,
            ),
        ] {
            let StoreUrl::Redis(url) = StoreUrl::parse(url).unwrap() else { panic!("{url}") };
            assert_eq!((url.to_string().as_str(), format!("{url:?}")), (shown, format!("RedisUrl({shown})")));
            assert_eq!(url.is_open_to_listeners(), is_open, "{url}");
        }
    }

    #[test]
    fn what_is_no_store_is_refused() {
        for url in [
            "",
            "sqlite",
            "sqlite:",
            "sqlite://h/a",
            "sqlite::memory:",
            "sqlite:a?mode=ro",
            "memory:x",
            "pg:x",
            "redis:h",
            "redis+ring://h",
            "valkey://h",
            "rediss://h/#insecure",
        ] {
            assert!(url_fault(url).is_some(), "{url:?}");
        }
        for prefix in ["a b", "{a}", "ä", &"x".repeat(65)] {
            assert!(prefix_fault(prefix).is_some(), "{prefix:?}");
        }
        assert_eq!(prefix_fault(""), None);
    }
}
