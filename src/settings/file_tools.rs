//! `[tools.files]`: which folders the file tools serve, and what of them.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use globset::Glob;
use serde::Deserialize;

use super::{
    kind::Kind,
    own_files::{OwnFiles, resolved},
    problem::Report,
    schema::{Field, Key},
    units,
};

/// Stands for `data_dir` at the start of a path.
const DATA_DIR: &str = "<data_dir>";
/// The one folder of `data_dir` that may be served; made at the first start.
const OWN: &str = "files";
/// Folders that are no place for files: the system shows itself there.
const SYSTEM: [&str; 3] = ["/proc", "/dev", "/sys"];
/// Most folders.
const MOST_ROOTS: usize = 16;

/// The fields of `[[tools.files.also]]`.
const ALSO: &[Field] = &[
    Field { name: "root", kind: Kind::Text, is_required: true },
    Field { name: "patterns", kind: Kind::Texts, is_required: true },
];

/// The keys of `[tools.files]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "tools.files.roots",
        Kind::Texts,
        "Folders whose files are served, looked through in this order; only the first is ever written to. \
         <data_dir> stands for data_dir; <data_dir>/files is made at the first start, every other must be there. \
         An empty list serves none.",
    ),
    Key::new(
        "tools.files.patterns",
        Kind::Texts,
        "Which files of them, by path below the folder: * and ? stay within a name, ** crosses folders. What begins \
         with a dot is never served.",
    ),
    Key::new(
        "tools.files.max_size",
        Kind::Size(1, 16 << 20),
        "Largest file that is read or written, 1B to 16MiB; server.max_body limits what can be sent.",
    ),
    Key::new(
        "tools.files.confirm",
        Kind::OneOf(&["off", "ask", "required"]),
        "Whether a person confirms what is changed: off never; ask, that a file is deleted or replaced, where the client \
         can ask one; required every change, and where nobody can be asked it is refused.",
    ),
    Key::new(
        "tools.files.also",
        Kind::Tables(ALSO),
        "Further folders, read and never written to, each a section [[tools.files.also]] with root and patterns of \
         its own.",
    ),
];

/// `[tools.files]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesSettings {
    /// Folders whose files are served; only the first is written to.
    pub roots: Vec<PathBuf>,
    /// Globs, of which one must match the path of a file.
    pub patterns: Vec<String>,
    /// Largest file, bytes.
    #[serde(deserialize_with = "units::read_size")]
    pub max_size: usize,
    /// Whether a person confirms each change.
    pub confirm: Confirm,
    /// Further folders, never written to.
    pub also: Vec<AlsoSettings>,
}

/// One of `[[tools.files.also]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlsoSettings {
    /// The folder.
    pub root: PathBuf,
    /// Globs, of which one must match the path of a file.
    pub patterns: Vec<String>,
}

/// Whether a person confirms each change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// Never.
    Off,
    /// Where the client can ask one.
    Ask,
    /// Always; a change that nobody can be asked about is refused.
    Required,
}

impl FilesSettings {
    /// Every folder with the key that names it and its globs, in the order in which a file is looked for.
    pub fn all_roots(&self) -> impl Iterator<Item = (String, &Path, &[String])> {
        let roots = self.roots.iter().enumerate();
        let roots = roots.map(|(n, root)| (format!("tools.files.roots[{n}]"), &**root, &*self.patterns));
        let also = self.also.iter().enumerate();
        roots.chain(
            also.map(|(n, also)| (format!("tools.files.also[{n}].root"), &*also.root, &*also.patterns)),
        )
    }

    /// The folder that is made at the first start, if it is served.
    pub fn own_root(&self, data_dir: &Path) -> Option<PathBuf> {
        let own = data_dir.join(OWN);
        self.all_roots().any(|(_, root, _)| root == own).then_some(own)
    }

    /// Puts `data_dir` in.
    pub(super) fn complete(&mut self, data_dir: &Path) {
        let all = self.roots.iter_mut().chain(self.also.iter_mut().map(|also| &mut also.root));
        for root in all {
            if let Ok(rest) = root.strip_prefix(DATA_DIR) {
                *root = data_dir.join(rest);
            }
        }
    }

    /// `ours` is what the server itself lives on: its data, its settings and its secrets.
    pub(super) fn check(&self, ours: &OwnFiles, report: &mut Report) {
        let count = self.roots.len() + self.also.len();
        let complaint = ("are more than 16 folders", "serve fewer, or one above them");
        report.require(count <= MOST_ROOTS, "tools.files.roots", complaint);
        self.check_patterns(report);
        let own = self.own_root(&ours.data_dir);
        let mut seen: Vec<(String, PathBuf)> = Vec::new();
        for (key, root, _) in self.all_roots() {
            let Some(real) = self::real(root, own.as_deref(), &key, report) else { continue };
            check_place(&key, &real, ours, report);
            let other = seen.iter().find(|(_, other)| other.starts_with(&real) || real.starts_with(other));
            if let Some((other, _)) = other {
                let problem = format!("overlaps {other}");
                report.refuse(&key, problem, "serve each folder once");
            }
            seen.push((key, real));
        }
    }

    fn check_patterns(&self, report: &mut Report) {
        let also = self.also.iter().enumerate();
        let also = also.map(|(n, also)| (format!("tools.files.also[{n}].patterns"), &also.patterns));
        for (key, patterns) in [("tools.files.patterns".to_owned(), &self.patterns)].into_iter().chain(also) {
            for glob in patterns {
                if let Err(error) = Glob::new(glob) {
                    let problem = format!("holds {glob:?}, which is no glob: {}", error.kind());
                    report.refuse(&key, problem, "write one such as **/*.txt");
                } else if glob.split('/').any(|name| name.starts_with('.')) || glob.starts_with('/') {
                    let problem = format!("holds {glob:?}, which no file can match");
                    report.refuse(&key, problem, "begin no name with a dot and no path with a slash");
                }
            }
        }
    }
}

/// Where the folder really is; reports one that is none, or that others can change.
fn real(root: &Path, own: Option<&Path>, key: &str, report: &mut Report) -> Option<PathBuf> {
    let seen = match fs::metadata(root) {
        Ok(seen) => seen,
        // It will be made, there and nowhere else.
        Err(_) if own == Some(root) => return Some(resolved(root)),
        Err(fault) => {
            report.refuse(key, format!("cannot be looked at: {fault}"), "name a folder that is there");
            return None;
        }
    };
    if !seen.is_dir() {
        report.refuse(key, "is no folder", "name a folder");
        return None;
    }
    check_exposure(key, &seen, report);
    match fs::canonicalize(root) {
        Ok(real) => Some(real),
        Err(fault) => {
            report.refuse(key, format!("cannot be looked at: {fault}"), "name a folder that is there");
            None
        }
    }
}

fn check_exposure(key: &str, seen: &Metadata, report: &mut Report) {
    if seen.mode() & 0o002 != 0 {
        let problem = "every user of this machine can change what is in it";
        report.refuse_off_development(key, problem, "run chmod o-w on it, or serve another folder");
    }
}

/// Reports a folder that holds, or lies in, what no client may reach.
fn check_place(key: &str, real: &Path, ours: &OwnFiles, report: &mut Report) {
    if real.parent().is_none() {
        report.refuse(key, "is the whole machine", "name the folder that is meant");
        return;
    }
    if let Some(system) = SYSTEM.iter().find(|system| real.starts_with(system)) {
        report.refuse(
            key,
            format!("lies in {system}, where the system shows itself"),
            "name a folder of files",
        );
    }
    let data_dir = resolved(&ours.data_dir);
    let is_own = real.starts_with(data_dir.join(OWN));
    let settings_dir = ours.settings_dir.as_deref().map(resolved);
    if !is_own && (real.starts_with(&data_dir) || data_dir.starts_with(real)) {
        let problem = "holds, or lies in, data_dir, where keys, store and audit log are";
        report.refuse(key, problem, "serve <data_dir>/files or a folder elsewhere");
    } else if settings_dir.is_some_and(|settings| settings.starts_with(real)) {
        report.refuse(key, "is, or holds, the folder of these settings", "serve a folder elsewhere");
    } else if let Some(held) = ours.named_under(real) {
        let problem = format!("holds the file that {held} names");
        report.refuse(key, problem, "serve a folder elsewhere, or keep that file outside of it");
    }
}
