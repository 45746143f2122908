//! Permissions: `resource:action`, a closed set per server, held as bits.

/// Permissions that every server knows, in the order of their bits.
const BUILT_IN: [&str; 7] = [
    "admin:users",
    "files:delete",
    "files:read",
    "files:write",
    "metrics:view",
    "weather:read",
    "weather:write",
];

/// One permission of a [`Catalogue`]; only meaningful together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(u8);

/// A set of permissions of one [`Catalogue`], at most 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PermissionSet(u128);

impl PermissionSet {
    /// Nothing.
    pub const EMPTY: Self = Self(0);

    /// Whether `permission` is in the set.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission.0) != 0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The set with `permission` in it.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | 1 << permission.0)
    }

    /// The set as bits, which mean something together with their catalogue alone.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Whether nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// Every permission that this server knows: the built-in ones and `[permissions] extra`.
///
/// The set is closed at start, so a name in a role, a tool or a token that is not in it is a
/// mistake that can be named, never a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue(Vec<Box<str>>);

impl Catalogue {
    /// Most permissions one server can know: the bits of a [`PermissionSet`].
    pub const MAX: usize = 128;

    /// The built-in permissions and `extra`; naming one twice is harmless.
    ///
    /// # Errors
    /// [`InvalidPermission`] for a name that is not `resource:action` or one over [`Catalogue::MAX`].
    pub fn new<S: AsRef<str>>(extra: &[S]) -> Result<Self, InvalidPermission> {
        let mut names: Vec<Box<str>> = BUILT_IN.map(Box::from).to_vec();
        for name in extra.iter().map(AsRef::as_ref) {
            if !is_well_formed(name) {
                return Err(InvalidPermission::Shape(name.into()));
            }
            if names.iter().any(|known| **known == *name) {
                continue;
            }
            if names.len() == Self::MAX {
                return Err(InvalidPermission::TooMany);
            }
            names.push(name.into());
        }
        Ok(Self(names))
    }

    /// The permission of that exact name.
    pub fn find(&self, name: &str) -> Option<Permission> {
        let at = self.0.iter().position(|known| **known == *name)?;
        u8::try_from(at).ok().map(Permission)
    }

    /// Every permission that a pattern of `[roles]` names: a name, `resource:*` or `*`. Empty if none.
    pub fn matching(&self, pattern: &str) -> PermissionSet {
        let fits = |name: &str| match pattern.strip_suffix('*') {
            Some("") => true,
            Some(prefix) => prefix.ends_with(':') && name.starts_with(prefix),
            None => name == pattern,
        };
        self.iter().filter(|(_, name)| fits(name)).map(|(permission, _)| permission).collect()
    }

    /// What `permission` is called; empty for one of another catalogue.
    pub fn name(&self, permission: Permission) -> &str {
        self.0.get(usize::from(permission.0)).map_or("", Box::as_ref)
    }

    /// The names in `set`, sorted.
    pub fn names(&self, set: PermissionSet) -> Vec<&str> {
        let mut names: Vec<_> = self.iter().filter(|(p, _)| set.contains(*p)).map(|(_, name)| name).collect();
        names.sort_unstable();
        names
    }

    /// Every permission with its name.
    pub fn iter(&self) -> impl Iterator<Item = (Permission, &str)> {
        (0..=u8::MAX).map(Permission).zip(self.0.iter().map(Box::as_ref))
    }
}

/// `resource:action`, each part a lower-case word of at most 32 of `[a-z0-9_-]`.
fn is_well_formed(name: &str) -> bool {
    let word = |part: &str| {
        (1..=32).contains(&part.len())
            && part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
    };
    name.split_once(':').is_some_and(|(resource, action)| word(resource) && word(action))
}

/// A permission that cannot be declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPermission {
    /// Not `resource:action`.
    #[error("`{0}` is not of the form resource:action in lower case")]
    Shape(String),
    /// More than [`Catalogue::MAX`].
    #[error("more than {} permissions", Catalogue::MAX)]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_name_whole_resources_and_nothing_between() {
        let catalogue = Catalogue::new(&["tickets:close"]).unwrap();
        assert_eq!(
            catalogue.names(catalogue.matching("files:*")),
            ["files:delete", "files:read", "files:write"]
        );
        assert_eq!(catalogue.names(catalogue.matching("*")).len(), 8);
        assert!(catalogue.matching("fil*").is_empty());
        assert!(catalogue.matching("nothing:*").is_empty());
    }

    #[test]
    fn a_name_of_another_shape_is_refused() {
        for name in ["", "files", "files:", ":read", "Files:read", "files:read:all", "files:*", "fi les:read"]
        {
            assert!(Catalogue::new(&[name]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_hundred_and_twenty_ninth_permission_is_refused() {
        let names: Vec<String> = (0..121).map(|n| format!("extra:p{n}")).collect();
        assert!(Catalogue::new(&names).is_ok());
        let one_more: Vec<String> = (0..122).map(|n| format!("extra:p{n}")).collect();
        assert_eq!(Catalogue::new(&one_more), Err(InvalidPermission::TooMany));
    }
}
