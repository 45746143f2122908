//! Where the log lies: the directories, the slot that this process alone writes, and its head file.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};

use super::{error::AuditError, head::SignedHead};

/// Most processes that can write below one data directory at once.
const MAX_SLOTS: u32 = 1_024;
/// Size of a head file. It never changes, so that one in-place write within a disk sector replaces it.
const HEAD_BYTES: usize = 512;
/// How often a slot is tried whose directory is removed while it is taken.
const CLAIM_ATTEMPTS: usize = 3;

/// The slot that this process alone writes: `audit/<n>/`, held by its locks until closed or dropped.
#[derive(Debug)]
pub(super) struct Home {
    segments: PathBuf,
    head_path: PathBuf,
    head: File,
    locks: Mutex<Option<Locks>>,
}

/// What keeps other processes out of a slot. The inode of an open file is given to no other file, so
/// comparing it tells whether a path still means what we hold.
#[derive(Debug)]
struct Locks {
    /// The file `lock`, which readers ask too.
    file: File,
    /// The directory itself, so that nobody gets in when only `lock` is removed; `None` where the file
    /// system cannot lock a directory.
    dir: Option<File>,
}

impl Locks {
    /// Takes both, if nobody else has either.
    fn take(segments: &Path) -> Result<Option<Self>, AuditError> {
        let dir = File::open(segments).map_err(AuditError::file("open", segments))?;
        let dir = match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Some(dir),
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(_) => None,
        };
        Ok(try_lock(&segments.join("lock"))?.map(|file| Self { file, dir }))
    }
}

impl Home {
    /// Takes the first slot below `dir` that no other process holds.
    ///
    /// # Errors
    /// [`AuditError::File`] or [`AuditError::NoSlot`].
    pub(super) fn claim(dir: &Path) -> Result<Self, AuditError> {
        let audit = audit_dir(dir);
        make_dir(&audit)?;
        make_dir(&audit.join("heads"))?;
        for slot in 0..MAX_SLOTS {
            let segments = audit.join(slot.to_string());
            for _ in 0..CLAIM_ATTEMPTS {
                make_dir(&segments)?;
                let Some(locks) = Locks::take(&segments)? else { break };
                let head_path = head_path(dir, slot);
                let head = open_head(&head_path).map_err(AuditError::file("open", &head_path))?;
                let locks = Mutex::new(Some(locks));
                let home = Self { segments: segments.clone(), head_path, head, locks };
                // A lock that was removed before we held it keeps nobody out.
                if home.is_ours().map_err(AuditError::file("read", &segments))? {
                    return Ok(home);
                }
            }
        }
        Err(AuditError::NoSlot(audit))
    }

    /// Whether the slot is still ours: the lock that others would try is the one that we hold.
    ///
    /// It is not if somebody removed it, or the slot's directory. Another process may have taken the slot
    /// since, so nothing in it may be written or removed then.
    ///
    /// # Errors
    /// Whatever the file system says, except that it is not there.
    pub(super) fn is_ours(&self) -> io::Result<bool> {
        match self.locks.lock().as_ref() {
            Some(locks) => is_at(&self.segments.join("lock"), &locks.file),
            None => Ok(false),
        }
    }

    /// Whether nobody else can have got into the slot, even if its `lock` is gone.
    ///
    /// # Errors
    /// As [`is_ours`](Self::is_ours).
    pub(super) fn is_alone(&self) -> io::Result<bool> {
        match self.locks.lock().as_ref() {
            Some(Locks { dir: Some(dir), .. }) if is_at(&self.segments, dir)? => Ok(true),
            Some(locks) => is_at(&self.segments.join("lock"), &locks.file),
            None => Ok(false),
        }
    }

    /// As [`is_ours`](Self::is_ours), for `?`.
    ///
    /// # Errors
    /// Whatever the file system says, and that the slot is not ours any more.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.is_ours()? { Ok(()) } else { Err(lost()) }
    }

    /// The directory of the segment files.
    pub(super) fn segments(&self) -> &Path {
        &self.segments
    }

    /// The head that was written last; `None` if there is none or it is damaged.
    pub(super) fn head(&self) -> Option<SignedHead> {
        read_head(&self.head_path).ok().flatten()
    }

    /// Replaces the head by one write in place.
    ///
    /// It goes to the page cache only: it follows the log's own fdatasync, so that whatever survives a
    /// crash of the machine, the log is never behind its head.
    pub(super) fn write_head(&self, head: &SignedHead) -> io::Result<()> {
        let mut text = serde_json::to_vec(head)?;
        if text.len() >= HEAD_BYTES {
            return Err(io::Error::other("a head is too long for its file"));
        }
        text.resize(HEAD_BYTES - 1, b' ');
        text.push(b'\n');
        self.head.write_all_at(&text, 0)
    }

    /// Has the head file's place on disk settled, once, so that later writes in place cannot lose it.
    pub(super) fn sync_head(&self) -> io::Result<()> {
        self.head.sync_all()?;
        self.head_path.parent().map_or(Ok(()), sync_dir)
    }

    /// Lets another process have the slot.
    pub(super) fn release(&self) {
        self.locks.lock().take();
    }
}

/// Where all of the log lies below a data directory.
pub(super) fn audit_dir(dir: &Path) -> PathBuf {
    dir.join("audit")
}

/// Where the head of a slot lies.
pub(super) fn head_path(dir: &Path, slot: u32) -> PathBuf {
    audit_dir(dir).join(format!("heads/{slot}.json"))
}

/// Reads a head file; `None` if it is absent or damaged.
///
/// # Errors
/// Whatever the file system says, except that it is not there.
pub(super) fn read_head(path: &Path) -> io::Result<Option<SignedHead>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a running process writes the slot whose segments are in `segments`.
pub(super) fn is_live(segments: &Path) -> bool {
    File::open(segments.join("lock"))
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

/// Makes `path` and what is missing above it, for its owner alone, and has the entry on disk.
///
/// # Errors
/// [`AuditError::File`].
pub(super) fn make_dir(path: &Path) -> Result<(), AuditError> {
    if path.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| path.parent().map_or(Ok(()), sync_dir)).map_err(AuditError::file("create", path))
}

/// Has the entries of a directory on disk.
///
/// # Errors
/// Whatever the file system says.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// The slot is not ours any more.
pub(super) fn lost() -> io::Error {
    io::Error::other("the slot was removed or taken")
}

/// Whether `path` still means the open file `held`.
///
/// # Errors
/// Whatever the file system says, except that it is not there.
pub(super) fn is_at(path: &Path, held: &File) -> io::Result<bool> {
    let held = held.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (held.dev(), held.ino())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

fn open_head(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Locks the file for as long as it is open, if nobody else has.
fn try_lock(path: &Path) -> Result<Option<File>, AuditError> {
    let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = options.map_err(AuditError::file("open", path))?;
    // A reader that asks whether the slot is live holds the lock for an instant: look again.
    for _ in 0..3 {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::yield_now(),
            Err(error) => return Err(AuditError::file("lock", path)(error.into())),
        }
    }
    Ok(None)
}
