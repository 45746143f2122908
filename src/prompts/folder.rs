//! The folder of an operator's prompts.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::file::{FilePrompt, MAX_FILE};
use crate::settings::Problem;

/// Most files.
const MOST_FILES: usize = 256;
/// The prompts that the binary brings along: they are there where there is no folder.
const BUILT_IN: [(&str, &str); 2] = [
    ("explain_file", include_str!("../../settings/prompts/explain_file.toml")),
    ("security_briefing", include_str!("../../settings/prompts/security_briefing.toml")),
];

/// Where prompts are read from.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// The folder; without one, or where it is not there, the prompts that the binary brings along are in force.
    pub path: Option<PathBuf>,
    /// Whether a file that every user of the machine can change is refused, as off development.
    pub is_strict: bool,
}

/// What tells a state of the folder from another, without reading it: of each file its name, inode, size and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look(Option<BTreeMap<PathBuf, [i64; 6]>>);

impl Folder {
    /// How the folder looks now.
    pub fn look(&self) -> Look {
        let files = self.files().and_then(Result::ok);
        let seen = |path: PathBuf| {
            let look = fs::metadata(&path).map_or([0; 6], |seen| {
                let [inode, size] = [seen.ino(), seen.size()].map(u64::cast_signed);
                [inode, size, seen.mtime(), seen.mtime_nsec(), seen.ctime(), seen.ctime_nsec()]
            });
            (path, look)
        };
        Look(files.map(|files| files.into_iter().map(seen).collect()))
    }

    /// Every prompt, sorted by name.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub(super) fn read(&self) -> Result<Vec<FilePrompt>, Vec<Problem>> {
        let (mut prompts, mut problems) = (Vec::new(), Vec::new());
        let mut keep = |read: Result<FilePrompt, Vec<Problem>>| match read {
            Ok(prompt) => prompts.push(prompt),
            Err(wrong) => problems.extend(wrong),
        };
        match self.files() {
            None => {
                BUILT_IN.iter().for_each(|(name, text)| keep(FilePrompt::parse(name, &shown(name), text)))
            }
            Some(Ok(files)) => files.iter().for_each(|path| keep(self.prompt(path))),
            Some(Err(problem)) => problems.push(problem),
        }
        if problems.is_empty() { Ok(prompts) } else { Err(problems) }
    }

    /// The files of prompts, sorted; `None` if there is no such folder.
    fn files(&self) -> Option<Result<Vec<PathBuf>, Problem>> {
        let folder = self.path.as_deref()?;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return None,
            Err(fault) => return Some(Err(unreadable("prompts", &fault))),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(fault) => return Some(Err(unreadable("prompts", &fault))),
            };
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !is_hidden && path.extension().is_some_and(|kind| kind == "toml") {
                files.push(path);
            }
            if files.len() > MOST_FILES {
                let problem = format!("holds more than {MOST_FILES} files");
                let fix = "take some out".to_owned();
                return Some(Err(Problem { key: "prompts".into(), problem, fix }));
            }
        }
        files.sort_unstable();
        Some(Ok(files))
    }

    fn prompt(&self, path: &Path) -> Result<FilePrompt, Vec<Problem>> {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let shown = shown(&name);
        let text = self.text(path, &shown).map_err(|problem| vec![problem])?;
        FilePrompt::parse(&name, &shown, &text)
    }

    fn text(&self, path: &Path, shown: &str) -> Result<String, Problem> {
        let wrong = |problem: &str, fix: &str| Problem {
            key: shown.to_owned(),
            problem: problem.to_owned(),
            fix: fix.to_owned(),
        };
        // A pipe would hold up whoever opens it.
        let seen = fs::metadata(path).map_err(|fault| unreadable(shown, &fault))?;
        if !seen.is_file() {
            return Err(wrong("is no file", "take it out"));
        }
        if self.is_strict && seen.mode() & 0o002 != 0 {
            return Err(wrong("can be changed by every user of this machine", "run chmod o-w on it"));
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(|fault| unreadable(shown, &fault))?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|fault| unreadable(shown, &fault))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(wrong("is larger than 64 KiB", "make it shorter"));
        }
        String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8", "save it as UTF-8"))
    }
}

fn shown(name: &str) -> String {
    format!("prompts/{}.toml", name.escape_debug())
}

fn unreadable(shown: &str, fault: &io::Error) -> Problem {
    Problem {
        key: shown.to_owned(),
        problem: format!("cannot be read: {fault}"),
        fix: "let this user read it".to_owned(),
    }
}
