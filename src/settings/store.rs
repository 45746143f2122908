//! `[store]`: where what must outlive a restart is kept.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    kind::{Complaint, Kind},
    problem::Report,
    schema::Key,
};

/// Stands for `data_dir` at the start of a path.
const DATA_DIR: &str = "<data_dir>";

/// The keys of `[store]`.
pub(super) const KEYS: &[Key] = &[Key::new(
    "store.url",
    Kind::Form(url_fault),
    "sqlite:<path>, in which <data_dir> stands for data_dir; or memory:, which forgets everything and \
         is refused in production.",
)];

/// `[store]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// Which store.
    pub url: StoreUrl,
}

/// Which store, by URL scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// The embedded store in this file.
    Sqlite(PathBuf),
    /// Nothing outlives the process.
    Memory,
}

impl StoreUrl {
    /// Reads the URL; `<data_dir>` at the start of the path stays as it is.
    ///
    /// # Errors
    /// The problem and its fix, neither of which repeats the URL, since it may hold a password.
    fn parse(text: &str) -> Result<Self, Complaint> {
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
            "redis" | "rediss" | "redis+cluster" | "redis+sentinel" | "valkey" => {
                Err(("not built yet", "use sqlite:"))
            }
            _ => Err(("has a scheme that we do not know", "write sqlite:<path>")),
        }
    }

    /// With `<data_dir>` replaced.
    pub(super) fn within(self, data_dir: &Path) -> Self {
        match self {
            Self::Sqlite(path) => match path.strip_prefix(DATA_DIR) {
                Ok(rest) => Self::Sqlite(data_dir.join(rest)),
                Err(_) => Self::Sqlite(path),
            },
            Self::Memory => Self::Memory,
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
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

impl StoreSettings {
    pub(super) fn check(&self, report: &mut Report) {
        if self.url == StoreUrl::Memory && report.is_production() {
            report.refuse(
                "store.url",
                "memory: forgets every revocation at a restart",
                "write sqlite:<path>",
            );
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
    fn what_is_not_built_is_refused_by_name() {
        for url in ["redis://u:hush@h", "rediss://h", "redis+cluster://h", "redis+sentinel://h"] {
            assert_eq!(url_fault(url), Some(("not built yet", "use sqlite:")), "{url}");
        }
        for url in [
            "",
            "sqlite",
            "sqlite:",
            "sqlite://h/a",
            "sqlite::memory:",
            "sqlite:a?mode=ro",
            "memory:x",
            "pg:x",
        ] {
            assert!(url_fault(url).is_some(), "{url:?}");
        }
    }
}
