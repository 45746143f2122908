//! The settings as an operator meets them: files in a folder, variables, flags, and one list of problems.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod files;
mod layers;
mod roots;
mod rules;
mod signing;
mod trees;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use portcullis::settings::{self, InvalidSettings, Loaded, Problem, Source};
use tempfile::TempDir;

/// A secret that passes every check.
const SECRET: &str = "k2J8fPq0Zr5LwXc7Yv1NbT4mHs9GdU3eQ6oRiA";

/// One folder of settings with the variables and flags of one start.
struct Desk {
    folder: TempDir,
    source: Source,
}

impl Desk {
    /// An empty folder and nothing else.
    fn new(profile: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Source {
            dir: folder.path().into(),
            profile: profile.into(),
            environment: BTreeMap::new(),
            overrides: Vec::new(),
        };
        Self { folder, source }
    }

    /// Production with a sound secret, so that a test adds the one thing it is about.
    fn production() -> Self {
        Self::new("production").variable("JWT_SECRET_KEY", SECRET)
    }

    /// Writes a file with mode 0600.
    fn file(self, name: &str, text: &str) -> Self {
        self.file_with_mode(name, text, 0o600)
    }

    fn file_with_mode(self, name: &str, text: &str, mode: u32) -> Self {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.source.environment.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.source.overrides.push((key.into(), value.into()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self) -> Result<Loaded, InvalidSettings> {
        settings::load(&self.source)
    }

    /// What a start that must succeed gives.
    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|refused| panic!("refused:\n{refused}"))
    }

    /// What a start that must fail says.
    fn problems(&self) -> Vec<Problem> {
        match self.load() {
            Ok(loaded) => panic!("accepted: {:?}", loaded.settings),
            Err(refused) => refused.problems,
        }
    }

    /// The only problem there must be; its key must be `key`.
    fn problem(&self, key: &str) -> Problem {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(problems[0].key, key, "{problems:#?}");
        problems[0].clone()
    }
}

/// Asserts that `local.toml` with this text is refused in development for `key` alone, in these words.
fn refuses(text: &str, key: &str, words: &str) {
    let problem = Desk::new("development").file("local.toml", text).problem(key);
    assert!(problem.to_string().contains(words), "{text}: {problem}");
    assert!(problem.problem.contains("local.toml)"), "the file is not named: {problem}");
}
