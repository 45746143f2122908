//! The profile: which rules hold.

use std::{fmt, str::FromStr};

/// The name of a profile: 1 to 32 of `[a-z0-9_-]`, a letter first, so that it is one file name.
///
/// The rules of production hold for **every** profile but `development` and `loadtest`: a profile
/// called `prod` or `staging` is not the place to find out that they did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile(String);

impl Profile {
    /// For one's own machine: what is missing is generated.
    pub fn development() -> Self {
        Self("development".into())
    }

    /// For everything that others can reach.
    pub fn production() -> Self {
        Self("production".into())
    }

    /// Its name, as in `settings/<name>.toml`.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether this is `development`.
    pub fn is_development(&self) -> bool {
        self.0 == "development"
    }

    /// Whether the rules of production hold.
    pub fn is_production(&self) -> bool {
        !matches!(self.0.as_str(), "development" | "loadtest")
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Profile {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        is_name(text).then(|| Self(text.into())).ok_or(InvalidName)
    }
}

/// Not a name of a profile or a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 32 of a-z 0-9 _ -, a letter first")]
pub struct InvalidName;

/// Whether `text` can name a profile or a role.
pub(super) fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_one_file_name() {
        for text in ["", "../etc", "a/b", "Prod", "1st", "a.b", &"a".repeat(33)] {
            assert!(text.parse::<Profile>().is_err(), "{text:?}");
        }
        assert!("a".repeat(32).parse::<Profile>().is_ok());
    }

    #[test]
    fn an_unknown_profile_gets_the_rules_of_production() {
        assert!("staging".parse::<Profile>().unwrap().is_production());
        assert!(!"loadtest".parse::<Profile>().unwrap().is_production());
        assert!(!Profile::development().is_production());
    }
}
