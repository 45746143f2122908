//! What the folders promise, by both ways down.

mod hostile;
mod plain;
mod races;
mod strings;

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    cancel::{Caller, Waits},
    fault::FileError,
    listing::{self, Seen},
    path::RelPath,
    patterns::Patterns,
    reading,
    root::Root,
    way::Way,
    writing,
};

/// Largest file of the tests, bytes.
const MAX: u64 = 64 * 1024;
/// What no client may ever see.
const SECRET: &str = "the secret of elsewhere";

/// A served folder beside one that is not, and one way down.
struct Bed {
    home: TempDir,
    root: Root,
    waits: Waits,
    _caller: Caller,
}

/// Both ways, each with a bed of its own. The kernel's own is what this machine has, or half of this is untested.
fn beds() -> [Bed; 2] {
    [Way::Kernel, Way::Walk].map(Bed::new)
}

impl Bed {
    fn new(way: Way) -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["root/sub", "outside/inner", "root-evil"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        for secret in ["outside/secret.txt", "outside/inner/secret.txt", "root-evil/x.txt"] {
            fs::write(home.path().join(secret), SECRET).unwrap();
        }
        let patterns = Patterns::new(&["**/*.txt".to_owned(), "**/*.json".to_owned()]).unwrap();
        let mut root = Root::open(&home.path().join("root"), patterns, MAX).unwrap();
        assert_eq!(root.way, Way::Kernel, "this kernel has openat2");
        root.way = way;
        let caller = Caller::default();
        Self { home, root, waits: caller.waits(), _caller: caller }
    }

    /// Where `path` of the served folder is.
    fn at(&self, path: &str) -> PathBuf {
        self.home.path().join("root").join(path)
    }

    fn outside(&self, path: &str) -> PathBuf {
        self.home.path().join("outside").join(path)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        reading::read(&self.root, &RelPath::parse(path)?)
    }

    fn write(&self, path: &str, text: &str) -> Result<(), FileError> {
        writing::write(&self.root, &RelPath::parse(path)?, text.as_bytes(), &self.waits)
    }

    fn delete(&self, path: &str) -> Result<(), FileError> {
        writing::delete(&self.root, &RelPath::parse(path)?, &self.waits)
    }

    fn list(&self, path: Option<&str>) -> Result<Vec<String>, FileError> {
        let path = path.map(RelPath::parse).transpose()?;
        let mut seen = Seen::default();
        listing::list(&self.root, path.as_ref(), &mut seen, &self.waits)?;
        let mut paths: Vec<_> = seen.files.into_iter().map(|found| found.path).collect();
        paths.sort();
        Ok(paths)
    }

    /// That nothing of it reads, writes or deletes, each with the error that is expected.
    #[track_caller]
    fn refuses(&self, path: &str, error: &FileError) {
        assert_eq!(self.read(path).as_ref(), Err(error), "read {path:?} by {:?}", self.root.way);
        assert_eq!(self.write(path, "mine").as_ref(), Err(error), "write {path:?} by {:?}", self.root.way);
        assert_eq!(self.delete(path).as_ref(), Err(error), "delete {path:?} by {:?}", self.root.way);
    }

    /// That everything outside is as it was.
    #[track_caller]
    fn nothing_outside_changed(&self) {
        let home = self.home.path();
        assert_eq!(everything_in(&home.join("outside")), ["inner/", "inner/secret.txt", "secret.txt"]);
        assert_eq!(everything_in(&home.join("root-evil")), ["x.txt"]);
        for secret in ["outside/secret.txt", "outside/inner/secret.txt", "root-evil/x.txt"] {
            assert_eq!(fs::read_to_string(home.join(secret)).unwrap(), SECRET);
        }
    }
}

/// The path of every file and folder in `folder`, sorted.
fn everything_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            let is_folder = entry.file_type().unwrap().is_dir();
            let path = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.push(if is_folder { format!("{path}/") } else { path });
            folders.extend(is_folder.then(|| entry.path()));
        }
    }
    found.sort();
    found
}
