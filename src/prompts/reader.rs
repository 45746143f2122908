//! Reads the members of a table one by one, and says everything that is wrong with it at once.

use config::{Map, Value, ValueKind};

use crate::settings::{Problem, nearest_name};

/// Problems of one file, each with the place in it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    file: String,
    problems: Vec<Problem>,
}

impl Findings {
    /// None yet, of `file`.
    pub(super) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), problems: Vec::new() }
    }

    /// Something is wrong at `place`, and `fix` cures it.
    pub(super) fn add(&mut self, place: &str, problem: impl Into<String>, fix: impl Into<String>) {
        let key = if place.is_empty() { self.file.clone() } else { format!("{} {place}", self.file) };
        // Names in it may hold anything, and go to a terminal.
        let plain = |text: String| {
            text.chars()
                .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
                .collect()
        };
        self.problems.push(Problem {
            key: plain(key),
            problem: plain(problem.into()),
            fix: plain(fix.into()),
        });
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// All of them.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// A table of which members are taken one by one.
pub(super) struct Table<'f> {
    place: String,
    members: Map<String, Value>,
    known: Vec<&'static str>,
    findings: &'f mut Findings,
}

impl<'f> Table<'f> {
    /// The table at `place`; the file itself has none.
    pub(super) fn new(place: &str, members: Map<String, Value>, findings: &'f mut Findings) -> Self {
        Self { place: place.to_owned(), members, known: Vec::new(), findings }
    }

    /// Where the member `name` stands.
    pub(super) fn at(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// Reports what is wrong with the member `name`.
    pub(super) fn refuse(&mut self, name: &str, problem: impl Into<String>, fix: &str) {
        let place = self.at(name);
        self.findings.add(&place, problem, fix);
    }

    fn take(&mut self, name: &'static str) -> Option<ValueKind> {
        self.known.push(name);
        self.members.remove(name).map(|value| value.kind)
    }

    /// Whether the member is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A text of 1 to `most` characters; without one, `None`.
    pub(super) fn text(&mut self, name: &'static str, most: usize) -> Option<String> {
        match self.take(name)? {
            ValueKind::String(text) if (1..=most).contains(&text.chars().count()) => Some(text),
            _ => {
                self.refuse(name, "is no text of the right length", &format!("write 1 to {most} characters"));
                None
            }
        }
    }

    /// The same, which must be there; an empty text where it is not.
    pub(super) fn required(&mut self, name: &'static str, most: usize) -> String {
        if !self.has(name) {
            self.known.push(name);
            self.refuse(name, "is missing", "write it");
            return String::new();
        }
        self.text(name, most).unwrap_or_default()
    }

    /// true or false; `None` if it is not there.
    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            ValueKind::Boolean(flag) => Some(flag),
            _ => {
                self.refuse(name, "is neither true nor false", "write true or false");
                None
            }
        }
    }

    /// A whole number of 1 to `most`; `None` if it is not there.
    pub(super) fn number(&mut self, name: &'static str, most: usize) -> Option<usize> {
        let number = match self.take(name)? {
            ValueKind::I64(number) => {
                usize::try_from(number).ok().filter(|number| (1..=most).contains(number))
            }
            _ => None,
        };
        if number.is_none() {
            self.refuse(name, "is no number in range", &format!("write 1 to {most}"));
        }
        number
    }

    /// A list of at most `many` texts of at most `most` characters each.
    pub(super) fn texts(&mut self, name: &'static str, (many, most): (usize, usize)) -> Vec<String> {
        let list = match self.take(name) {
            None => return Vec::new(),
            Some(ValueKind::Array(list)) if list.len() <= many => list,
            Some(_) => {
                self.refuse(name, "is no list of the right length", &format!("write at most {many} texts"));
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for (n, value) in list.into_iter().enumerate() {
            match value.kind {
                ValueKind::String(text) if text.chars().count() <= most => texts.push(text),
                _ => {
                    let fix = format!("write at most {most} characters");
                    self.refuse(&format!("{name}[{n}]"), "is no text of the right length", &fix);
                }
            }
        }
        texts
    }

    /// A list of at most `many` tables, each given to `read`.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        many: usize,
        mut read: impl FnMut(Table<'_>) -> T,
    ) -> Vec<T> {
        let list = match self.take(name) {
            None => return Vec::new(),
            Some(ValueKind::Array(list)) if list.len() <= many => list,
            Some(_) => {
                let fix = format!("write at most {many} sections [[{name}]]");
                self.refuse(name, "is no list of sections of the right length", &fix);
                return Vec::new();
            }
        };
        let mut all = Vec::new();
        for (n, value) in list.into_iter().enumerate() {
            let place = self.at(&format!("{name}[{n}]"));
            match value.kind {
                ValueKind::Table(members) => all.push(read(Table::new(&place, members, self.findings))),
                _ => self.findings.add(&place, "is no section", format!("write it as a section [[{name}]]")),
            }
        }
        all
    }

    /// Reports every member that was not asked for.
    pub(super) fn finish(self) {
        let mut left: Vec<_> = self.members.keys().collect();
        left.sort_unstable();
        for name in left {
            let nearest = nearest_name(name, self.known.iter().copied()).unwrap_or_default();
            let fix = format!("take it out, or write {nearest} if that was meant");
            self.findings.add(&self.at(name), "there is no such key", fix);
        }
    }
}
