//! Every key there is: the one table that reading, checking and `default.toml` are held to.

use super::{
    admin, api_keys, audit, file_tools, jwt, kind::Kind, limits, nearest, policy, problem::printable,
    revocation, roles, server, sessions, store, tasks, telemetry, tools,
};

/// One key that an operator can set.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its path, such as `server.port`; `<name>` stands for a name of the operator's choice.
    pub path: &'static str,
    /// What it means, with unit and range; the same words stand in `default.toml`.
    pub doc: &'static str,
    pub(super) kind: Kind,
}

impl Key {
    pub(super) const fn new(path: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { path, doc, kind }
    }

    fn segments(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('.')
    }
}

/// One field of the tables in a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether every table of the list must have it.
    pub(super) is_required: bool,
}

/// The keys outside every section.
const TOP: &[Key] = &[Key::new(
    "data_dir",
    Kind::Text,
    "Folder of everything that is kept: store, audit log, generated keys. Relative to the working \
         directory.",
)];

/// A name that the operator chooses.
const ANY: &str = "<name>";

/// Every key, section by section.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [
        TOP,
        server::KEYS,
        admin::KEYS,
        store::KEYS,
        jwt::KEYS,
        revocation::KEYS,
        api_keys::KEYS,
        roles::KEYS,
        policy::KEYS,
        limits::KEYS,
        audit::KEYS,
        sessions::KEYS,
        file_tools::KEYS,
        tools::KEYS,
        tasks::KEYS,
        telemetry::KEYS,
    ]
    .into_iter()
    .flatten()
}

/// What stands at a path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// A key.
    Key(&'static Key),
    /// A table that holds keys.
    Section,
    /// Nothing that we know.
    Nowhere,
}

/// What stands at the path of these parts.
pub(super) fn place(parts: &[&str]) -> Place {
    let mut found = Place::Nowhere;
    for key in keys() {
        let mut segments = key.segments();
        let fits =
            parts.iter().all(|part| segments.next().is_some_and(|known| known == ANY || known == *part));
        match (fits, segments.next()) {
            (true, None) => return Place::Key(key),
            (true, Some(_)) => found = Place::Section,
            (false, _) => {}
        }
    }
    found
}

/// The known key most like the path of these parts, in which the operator's own names are kept.
pub(super) fn nearest(parts: &[&str]) -> Option<String> {
    let named = |key: &Key| {
        let segments = key.segments().enumerate();
        let own = |(at, known): (usize, &'static str)| match parts.get(at) {
            Some(part) if known == ANY => printable(part),
            _ => known.to_owned(),
        };
        segments.map(own).collect::<Vec<_>>().join(".")
    };
    nearest::path(&shown(parts), keys().map(named))
}

/// The path of these parts as it is shown; a part that is no plain word stands in quotes.
pub(super) fn shown(parts: &[&str]) -> String {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    let one = |part: &&str| if plain(part) { (*part).to_owned() } else { format!("{part:?}") };
    parts.iter().map(one).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_key_a_section_or_nothing() {
        assert!(matches!(place(&["roles", "guest", "inherits"]), Place::Key(_)));
        assert!(matches!(place(&["roles", "guest"]), Place::Section));
        assert!(matches!(place(&["server", "tls"]), Place::Section));
        assert!(matches!(place(&["server", "tls", "x"]), Place::Nowhere));
        assert!(matches!(place(&["server", "port", "x"]), Place::Nowhere));
        assert_eq!(nearest(&["roles", "guest", "permision"]).as_deref(), Some("roles.guest.permissions"));
    }

    #[test]
    fn no_key_is_listed_twice_and_each_says_what_it_means() {
        let mut paths: Vec<_> = keys().map(|key| key.path).collect();
        paths.sort_unstable();
        assert!(paths.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(keys().all(|key| key.doc.ends_with('.')));
    }
}
