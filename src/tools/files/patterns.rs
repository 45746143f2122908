//! Which names of files are served: globs, of which one must match.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::path::RelPath;

/// Globs as the settings have them.
#[derive(Debug, Clone)]
pub(super) struct Patterns {
    set: GlobSet,
    shown: Box<str>,
}

impl Patterns {
    /// Of these globs, in which `*` and `?` stay within a name and `**` crosses folders.
    ///
    /// # Errors
    /// What is wrong with the first that is none.
    pub(super) fn new(globs: &[String]) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(compile(glob)?);
        }
        Ok(Self { set: set.build()?, shown: globs.join(", ").into() })
    }

    /// Whether the file is served. One that is hidden is not, whatever the globs say.
    pub(super) fn serve(&self, path: &RelPath) -> bool {
        !path.is_hidden() && self.set.is_match(path.as_str())
    }

    /// The globs, for a person.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}

fn compile(glob: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(glob).literal_separator(true).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(globs: &[&str], path: &str) -> bool {
        let globs: Vec<String> = globs.iter().map(|&glob| glob.into()).collect();
        Patterns::new(&globs).unwrap().serve(&RelPath::parse(path).unwrap())
    }

    #[test]
    fn two_stars_cross_folders_and_one_does_not() {
        for path in ["a.txt", "x/a.txt", "x/y/z/a.txt"] {
            assert!(served(&["**/*.txt"], path), "{path}");
        }
        assert!(served(&["*.txt"], "a.txt") && !served(&["*.txt"], "x/a.txt"));
        assert!(served(&["notes/*"], "notes/a") && !served(&["notes/*"], "notes/x/a"));
        assert!(!served(&["**/*.txt"], "a.TXT") && !served(&["**/*.txt"], "a.txt.exe"));
        assert!(!served(&[], "a.txt"));
    }

    #[test]
    fn what_begins_with_a_dot_is_never_served() {
        for path in [".env", ".env.txt", ".git/hooks/pre-commit", "a/.ssh/b.txt", "..txt"] {
            assert!(!served(&["**", "**/*.txt", "**/.*"], path), "{path}");
        }
        assert!(served(&["**"], "a.b/c..d"));
    }
}
