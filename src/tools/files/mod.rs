//! The folders whose files are served, and what may be done with them: list, read, write, delete.
//!
//! A root is opened once. Every path is resolved below its descriptor without following a link or entering
//! another mount, every check is made on what was opened, and all of it runs off the workers, a few at once.

mod cancel;
mod consent;
mod draft;
mod fault;
mod listing;
mod named;
mod path;
mod patterns;
mod reading;
mod root;
#[cfg(test)]
mod tests;
mod way;
mod writing;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;
use tokio::sync::Semaphore;

pub use self::path::{PathFault, RelPath};
use self::{
    cancel::{Caller, Waits},
    patterns::Patterns,
    root::Root,
};
pub(super) use self::{fault::FileError, path::MAX_PATH};
pub(crate) use self::{
    listing::Found,
    named::{FILE_PREFIX, encode, path_of, uri_of},
};
use crate::{
    actors::changes::Changes,
    settings::{Confirm, FilesSettings},
};

/// Most files that are worked on at once; who comes later waits, as long as its deadline lets it.
const AT_ONCE: usize = 16;
/// Most files that one listing shows.
pub(super) const SHOWN: usize = 1_000;

/// The folders whose files are served. Clones share them.
#[derive(Clone)]
pub struct Files {
    shelf: Arc<Shelf>,
    turns: Arc<Semaphore>,
    /// Told of what is changed here.
    changes: Changes,
}

/// The folders themselves.
#[derive(Debug)]
struct Shelf {
    /// In the order in which a file is looked for.
    roots: Vec<Root>,
    /// Whether the first of them may be written to.
    is_writable: bool,
    /// Whether changes need a person's word.
    confirm: Confirm,
}

/// What a listing came to.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Sorted by path.
    pub(super) files: Vec<Found>,
    /// Whether there is more than is shown.
    pub(super) is_cut: bool,
}

impl Files {
    /// No folder at all: every call of a tool is answered as if nothing were there.
    pub fn none() -> Self {
        Self::on(Shelf { roots: Vec::new(), is_writable: false, confirm: Confirm::Off })
    }

    /// Opens the folders of these settings, and clears away what a crash has left in the one that is written to.
    ///
    /// # Errors
    /// [`RootError`], naming the setting.
    pub fn open(settings: &FilesSettings) -> Result<Self, RootError> {
        let max_size = settings.max_size as u64;
        let mut roots = Vec::new();
        for (key, path, globs) in settings.all_roots() {
            let patterns = Patterns::new(globs).map_err(|error| RootError::Pattern {
                key: key.clone(),
                problem: error.kind().to_string(),
            })?;
            let root = Root::open(path, patterns, max_size).map_err(|no_way| match no_way {
                way::NoWay::System(cause) => RootError::Folder { key, path: path.into(), cause },
                way::NoWay::Mounts => RootError::Mounts { key, path: path.into() },
            })?;
            announce(path, &root);
            roots.push(root);
        }
        let is_writable = !settings.roots.is_empty();
        if let Some(first) = roots.first().filter(|_| is_writable) {
            clear(first);
        }
        Ok(Self::on(Shelf { roots, is_writable, confirm: settings.confirm }))
    }

    fn on(shelf: Shelf) -> Self {
        Self { shelf: Arc::new(shelf), turns: Arc::new(Semaphore::new(AT_ONCE)), changes: Changes::default() }
    }

    /// The same folders, of whose changes `changes` is told.
    #[must_use]
    pub fn telling(self, changes: Changes) -> Self {
        Self { changes, ..self }
    }

    /// What is served at or below the folder `from` of all roots; where two have a file of one path, that of the
    /// first.
    ///
    /// # Errors
    /// [`FileError::Missing`] if no root has such a folder.
    pub(super) async fn list(&self, from: Option<RelPath>) -> Result<Listing, FileError> {
        self.run(move |shelf, waits| shelf.list(from.as_ref(), waits)).await
    }

    /// What `make` makes, where it may take its time, of all bytes of the file at `path` in the first root that has
    /// it.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) async fn read<T: Send + 'static>(
        &self,
        path: RelPath,
        make: impl FnOnce(Vec<u8>) -> T + Send + 'static,
    ) -> Result<T, FileError> {
        self.run(move |shelf, _| shelf.read(&path).map(make)).await
    }

    /// Whether there is a file at `path` in the first root.
    ///
    /// # Errors
    /// [`FileError`].
    async fn has(&self, path: RelPath) -> Result<bool, FileError> {
        self.run(move |shelf, _| Ok(shelf.writable()?.file(&path).is_ok())).await
    }

    /// Puts `bytes` at `path` in the first root, whole or not at all.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) async fn write(&self, path: RelPath, bytes: Vec<u8>) -> Result<(), FileError> {
        let uri = named::uri_of(path.as_str());
        self.run(move |shelf, waits| writing::write(shelf.writable()?, &path, &bytes, waits)).await?;
        self.tell(uri);
        Ok(())
    }

    /// Deletes the file at `path` in the first root.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) async fn delete(&self, path: RelPath) -> Result<(), FileError> {
        let uri = named::uri_of(path.as_str());
        self.run(move |shelf, waits| writing::delete(shelf.writable()?, &path, waits)).await?;
        self.tell(uri);
        Ok(())
    }

    /// Does `work` on a thread that may wait for a disk. If the caller leaves first, what was begun ends by
    /// itself, but changes nothing any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shelf, &Waits) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileError> {
        let caller = Caller::default();
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| FileError::GivenUp)?;
        let (shelf, waits) = (Arc::clone(&self.shelf), caller.waits());
        let working = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            waits.check()?;
            work(&shelf, &waits)
        });
        working.await.unwrap_or(Err(FileError::System(Errno::IO)))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("roots", &self.shelf.roots.len()).finish_non_exhaustive()
    }
}

impl Shelf {
    fn list(&self, from: Option<&RelPath>, waits: &Waits) -> Result<Listing, FileError> {
        let (files, is_cut) = self.all(from, waits)?;
        let is_cut = is_cut || files.len() > SHOWN;
        Ok(Listing { files: files.into_values().take(SHOWN).collect(), is_cut })
    }

    /// Every file at or below `from` by its path, and whether there were too many names to look at all.
    fn all(
        &self,
        from: Option<&RelPath>,
        waits: &Waits,
    ) -> Result<(BTreeMap<String, Found>, bool), FileError> {
        let mut seen = listing::Seen::default();
        // Nothing at all is an empty list; a folder that no root has is a mistake.
        let mut is_there = from.is_none();
        let mut files = BTreeMap::new();
        for root in &self.roots {
            match listing::list(root, from, &mut seen, waits) {
                Ok(()) => is_there = true,
                Err(FileError::Missing) => {}
                Err(error) => return Err(error),
            }
            for file in seen.files.drain(..) {
                files.entry(file.path.clone()).or_insert(file);
            }
        }
        if !is_there {
            return Err(FileError::Missing);
        }
        Ok((files, seen.is_cut))
    }

    fn read(&self, path: &RelPath) -> Result<Vec<u8>, FileError> {
        let mut refusal = FileError::Missing;
        for root in &self.roots {
            match reading::read(root, path) {
                // It is no file that this root has; a later one may have one.
                Err(FileError::Missing) => {}
                Err(FileError::NotPlain) => refusal = FileError::NotPlain,
                done => return done,
            }
        }
        Err(refusal)
    }

    /// The root that is changed.
    fn writable(&self) -> Result<&Root, FileError> {
        self.roots.first().filter(|_| self.is_writable).ok_or(FileError::ReadOnly)
    }
}

/// Says so where the kernel's own resolution cannot be had.
fn announce(path: &Path, root: &Root) {
    if root.way == way::Way::Walk {
        tracing::warn!(
            path = %path.display(),
            "openat2 is not to be had (Linux before 5.6, or a filter of system calls): paths of files are walked \
             name by name, as safely and a little slower"
        );
    }
}

fn clear(root: &Root) {
    match draft::clear(root) {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "drafts of files that a crash had left are cleared away"),
        Err(error) => tracing::warn!(%error, "drafts of files that a crash has left may still be there"),
    }
}

/// Why a folder cannot be served. `Display` leaves the setting out: see [`key`](Self::key).
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It cannot be opened as a folder.
    #[error("{} cannot be opened: {cause}", .path.display())]
    Folder {
        /// The setting.
        key: String,
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: Errno,
    },
    /// What is mounted below it could not be told from what lies there.
    #[error(
        "{} cannot be served safely here: the system has neither openat2 (Linux 5.6, or a filter of system calls \
         forbids it) nor ids of mounts (Linux 5.8), so a folder mounted from elsewhere would be entered; take it out, \
         or allow one of the two",
        .path.display()
    )]
    Mounts {
        /// The setting.
        key: String,
        /// The folder.
        path: PathBuf,
    },
    /// One of its patterns is none.
    #[error("one is no glob: {problem}")]
    Pattern {
        /// The setting.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl RootError {
    /// The setting to change.
    pub fn key(&self) -> &str {
        match self {
            Self::Folder { key, .. } | Self::Mounts { key, .. } | Self::Pattern { key, .. } => key,
        }
    }
}
