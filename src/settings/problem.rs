//! What is wrong with the settings: every problem at once, each by key path with its fix.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::Profile;
use crate::error::{Code, Coded};

/// One thing that an operator has to change. Never holds a value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The key path, such as `server.port`.
    pub key: String,
    /// What is wrong, and which file or variable it came from.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.problem, self.fix)
    }
}

/// The settings cannot be used. `Display` is one line for each problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct InvalidSettings {
    /// Everything that is wrong, sorted by key; never empty.
    pub problems: Vec<Problem>,
}

impl Coded for InvalidSettings {
    fn code(&self) -> Code {
        Code::Internal
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Collects problems and warnings while the settings are read and checked.
#[derive(Debug)]
pub(super) struct Report {
    profile: Profile,
    origins: BTreeMap<String, String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    is_broken: bool,
}

impl Report {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            profile,
            origins: BTreeMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            is_broken: false,
        }
    }

    /// Whether the rules of production hold.
    pub(super) fn is_production(&self) -> bool {
        self.profile.is_production()
    }

    /// Remembers that the value of `key` stands in `origin`, a file or a variable.
    pub(super) fn came_from(&mut self, key: &str, origin: &str) {
        self.origins.insert(key.into(), origin.into());
    }

    /// Where the value of `key` stands, if anywhere.
    pub(super) fn origin(&self, key: &str) -> Option<&str> {
        self.origins.get(key).map(String::as_str)
    }

    /// The server must not start with this.
    pub(super) fn refuse(&mut self, key: &str, problem: impl fmt::Display, fix: impl fmt::Display) {
        let problem = self.entry(key, &problem, &fix);
        self.problems.push(problem);
    }

    /// The server starts, and says so.
    pub(super) fn warn(&mut self, key: &str, problem: impl fmt::Display, fix: impl fmt::Display) {
        let problem = self.entry(key, &problem, &fix);
        self.warnings.push(problem);
    }

    /// A problem under the rules of production, a warning elsewhere.
    pub(super) fn refuse_in_production(&mut self, key: &str, problem: &str, fix: &str) {
        if self.is_production() { self.refuse(key, problem, fix) } else { self.warn(key, problem, fix) }
    }

    /// A warning in development, a problem elsewhere.
    pub(super) fn refuse_off_development(&mut self, key: &str, problem: &str, fix: &str) {
        if self.profile.is_development() {
            self.warn(key, problem, fix)
        } else {
            self.refuse(key, problem, fix)
        }
    }

    /// Refuses unless `holds`; `complaint` is the problem and its fix.
    pub(super) fn require(&mut self, holds: bool, key: &str, complaint: (&str, &str)) {
        if !holds {
            self.refuse(key, complaint.0, complaint.1);
        }
    }

    /// A whole file cannot be used, so nothing can be said about the rest.
    pub(super) fn refuse_file(&mut self, path: &str, problem: impl fmt::Display, fix: &str) {
        self.is_broken = true;
        self.refuse(path, problem, fix);
    }

    /// Whether some file cannot be used at all.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether something was refused at `key` or below it.
    pub(super) fn is_refused(&self, key: &str) -> bool {
        let within = |at: &str| {
            at.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.problems.iter().any(|problem| within(&problem.key))
    }

    /// The warnings, if nothing was refused.
    pub(super) fn finish(mut self) -> Result<Vec<Problem>, InvalidSettings> {
        self.warnings.sort();
        if self.problems.is_empty() { Ok(self.warnings) } else { Err(self.into_invalid()) }
    }

    /// Every problem, sorted by key.
    pub(super) fn into_invalid(mut self) -> InvalidSettings {
        self.problems.sort();
        self.problems.dedup();
        InvalidSettings { problems: self.problems }
    }

    fn entry(&self, key: &str, problem: &dyn fmt::Display, fix: &dyn fmt::Display) -> Problem {
        let problem = match self.origin(key) {
            Some(origin) => format!("{problem} (it stands in {origin})"),
            None => problem.to_string(),
        };
        Problem { key: key.into(), problem: printable(&problem), fix: printable(&fix.to_string()) }
    }
}

/// `text` on one line: an unknown key may hold anything, and goes to a terminal.
pub(super) fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(plain).collect()
}
