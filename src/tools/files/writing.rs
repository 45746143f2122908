//! Writes one file, whole or not at all, and deletes one.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fsync, openat, renameat, unlinkat},
    io::Errno,
};

use super::{
    cancel::Waits,
    draft,
    fault::FileError,
    path::RelPath,
    root::{self, Root},
};

/// Puts `bytes` at `path`, in the place of a plain file or as a new one, with mode 0600.
///
/// Written beside its place under a name that no caller can name, brought to the disk, then renamed: a reader
/// sees the old text or the new one. What stands at the place is looked at right before that; what somebody puts
/// there in that very moment is replaced as a name and not followed, so nothing outside the folder is touched.
///
/// # Errors
/// [`FileError`]: the old text stands and the draft is gone; [`FileError::Unsettled`]: the new one stands.
pub(super) fn write(root: &Root, path: &RelPath, bytes: &[u8], waits: &Waits) -> Result<(), FileError> {
    check_name(root, path)?;
    path.check_portable()?;
    if bytes.len() as u64 > root.max_size {
        return Err(FileError::Large(root.max_size));
    }
    let (folder, name) = path.split();
    let folder = root.folder(folder).map_err(|error| match error {
        FileError::Missing => FileError::NoFolder,
        other => other,
    })?;
    root.look(folder.as_fd(), name)?;
    for _ in 0..root::TRIES {
        waits.check()?;
        let draft = Draft::write(folder.as_fd(), bytes)?;
        root.look(folder.as_fd(), name)?;
        waits.check()?;
        if draft.place(name)? {
            return settled(fsync(&folder));
        }
    }
    Err(FileError::Changed)
}

/// Deletes the plain file at `path`.
///
/// What is at the place is looked at right before; the system deletes by name only, so what somebody puts there
/// under the same name in that very moment goes instead of it: a name of that folder, never what a link leads to.
///
/// # Errors
/// [`FileError`]: nothing is deleted; [`FileError::Unsettled`]: it is.
pub(super) fn delete(root: &Root, path: &RelPath, waits: &Waits) -> Result<(), FileError> {
    if !root.patterns.serve(path) {
        return Err(FileError::Missing);
    }
    let (folder, name) = path.split();
    let folder = root.folder(folder)?;
    for _ in 0..root::TRIES {
        let seen = root.look(folder.as_fd(), name)?.ok_or(FileError::Missing)?;
        waits.check()?;
        if root::is_alone(folder.as_fd(), name, &seen)? {
            unlinkat(&folder, name, AtFlags::empty())?;
            return settled(fsync(&folder));
        }
    }
    Err(FileError::Changed)
}

/// What the bringing of a folder's entries to the disk came to, after the change that it is for: some file systems
/// do not know of it, and any other fault must not be told as if nothing had changed.
pub(super) fn settled(synced: Result<(), Errno>) -> Result<(), FileError> {
    match synced {
        Ok(()) | Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        Err(errno) => Err(FileError::Unsettled(errno)),
    }
}

fn check_name(root: &Root, path: &RelPath) -> Result<(), FileError> {
    if root.patterns.serve(path) { Ok(()) } else { Err(FileError::Pattern(root.patterns.shown().into())) }
}

/// A file that is written and has no place yet; one that does not get a place is taken away again.
pub(super) struct Draft<'a> {
    folder: BorrowedFd<'a>,
    name: String,
    /// Locked for as long as it is open, so that the clearing of left-overs leaves it alone.
    file: File,
    is_placed: bool,
}

impl<'a> Draft<'a> {
    /// Writes one in `folder`, and brings it to the disk.
    ///
    /// # Errors
    /// [`FileError`]; nothing is left of it.
    pub(super) fn write(folder: BorrowedFd<'a>, bytes: &[u8]) -> Result<Self, FileError> {
        let name = draft::fresh_name()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(folder, &*name, flags, Mode::RUSR | Mode::WUSR)?);
        let mut draft = Self { folder, name, file, is_placed: false };
        flock(&draft.file, FlockOperation::NonBlockingLockExclusive)?;
        draft.file.write_all(bytes)?;
        draft.file.sync_all()?;
        Ok(draft)
    }

    /// Gives it its place; `false` if somebody took the draft away.
    ///
    /// # Errors
    /// [`FileError`]; nothing is left of it.
    pub(super) fn place(mut self, name: &str) -> Result<bool, FileError> {
        match renameat(self.folder, &*self.name, self.folder, name) {
            Ok(()) => {
                self.is_placed = true;
                Ok(true)
            }
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_placed {
            remove(self.folder, &self.name);
        }
    }
}

/// Takes a draft away; what cannot be removed now goes at the next start.
fn remove(folder: BorrowedFd<'_>, name: &str) {
    if let Err(errno) = unlinkat(folder, name, AtFlags::empty())
        && errno != Errno::NOENT
    {
        tracing::warn!(error = %std::io::Error::from(errno), "a draft of a file stays until the next start");
    }
}
