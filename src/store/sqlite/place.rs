//! Where the database is, who may read it, and whether it is still the same file.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::store::StoreError;

/// The owner may enter the directory and nobody else.
const DIRECTORY_MODE: u32 = 0o700;
/// The owner may read and write the file and nobody else; SQLite gives its log the same mode.
const FILE_MODE: u32 = 0o600;
/// Closing any descriptor of a file drops all POSIX locks of the process on it, SQLite's included
/// (sqlite.org/howtocorrupt.html §2.2). So the file is opened by us only to make it, and nobody of
/// this process gets past that point meanwhile.
static MAKING: Mutex<()> = Mutex::new(());

/// The path of a database and the identity of the file that was opened there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// Makes the file and its directory if they are not there, and shuts others out of the file.
    ///
    /// # Errors
    /// [`StoreError::Config`]: what is at `path` cannot be a private file of ours.
    pub(super) fn prepare(path: &Path) -> Result<Self, StoreError> {
        let path = std::path::absolute(path).map_err(|e| cannot("be resolved", &e))?;
        let directory = path.parent().ok_or(StoreError::Config("must name a file".into()))?;
        make_directory(directory).map_err(|e| cannot("get its directory", &e))?;
        make_file(&path).map_err(|e| cannot("be created", &e))?;
        let meta = fs::metadata(&path).map_err(|e| cannot("be looked at", &e))?;
        if !meta.is_file() {
            return Err(StoreError::Config("must name a regular file".into()));
        }
        shut_out_others(&path).map_err(|e| cannot("be made private", &e))?;
        Ok(Self { path, device: meta.dev(), inode: meta.ino() })
    }

    /// The absolute path, so that a change of the working directory does no harm.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What tells the file from every other on this machine.
    pub(super) fn identity(&self) -> String {
        format!("file {} {}", self.device, self.inode)
    }

    /// Whether the path still leads to the file that was opened; one `stat`, about 1 µs.
    ///
    /// Without this a process would go on working, and answering for, a file that was deleted.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; it heals when the same file comes back.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match fs::metadata(&self.path) {
            Ok(meta) if self.is(&meta) => Ok(()),
            Ok(_other) => Err(StoreError::Unavailable("the database file was replaced".into())),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                Err(StoreError::Unavailable("the database file is gone".into()))
            }
            Err(e) => Err(StoreError::Unavailable(format!("the database file: {}", e.kind()).into())),
        }
    }

    fn is(&self, meta: &Metadata) -> bool {
        (meta.dev(), meta.ino()) == (self.device, self.inode)
    }
}

/// Says what could not be done, by the kind of error: its text may hold the path.
fn cannot(what: &'static str, error: &io::Error) -> StoreError {
    StoreError::Config(format!("names a file that cannot {what}: {}", error.kind()).into())
}

fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)
}

/// Makes an empty file with its final mode, so that it is private from its first moment on.
fn make_file(path: &Path) -> io::Result<()> {
    let _alone = MAKING.lock();
    match File::options().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(_made) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// Takes the rights of group and others off the database and what is left of its log.
fn shut_out_others(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = OsString::from(path);
        name.push(suffix);
        match fs::metadata(&name) {
            Ok(meta) if meta.mode() & 0o077 != 0 => {
                fs::set_permissions(&name, Permissions::from_mode(FILE_MODE))?;
            }
            Ok(_private) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
