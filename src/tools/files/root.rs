//! One folder whose files are served, opened once: everything is done from its descriptor, never from its path.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, Stat, fstat, open, statat},
    io::Errno,
};

use super::{
    fault::FileError,
    path::RelPath,
    patterns::Patterns,
    way::{self, NoWay, Way},
};

/// How often something is looked at again that was replaced while we looked.
pub(super) const TRIES: u32 = 16;
/// How often it is looked whether a file has one name. All of it takes some 50 µs.
const LOOKS: u32 = 32;
/// Longest pause between two looks, in turns of an empty loop: longer than a link and an unlink take.
const LONGEST_PAUSE: u32 = 256;

/// A folder, what of it is served, and how one gets down from it.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    pub(super) way: Way,
    pub(super) patterns: Patterns,
    /// Largest file, bytes.
    pub(super) max_size: u64,
}

impl Root {
    /// Opens the folder at `path`, which may be a link: that one is the operator's word.
    ///
    /// # Errors
    /// [`NoWay`].
    pub(super) fn open(path: &Path, patterns: Patterns, max_size: u64) -> Result<Self, NoWay> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty())?;
        let way = Way::probe(folder.as_fd())?;
        Ok(Self { folder, way, patterns, max_size })
    }

    /// The folder of that path below the root, without one the root itself, open for reading its entries.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) fn folder(&self, path: Option<&str>) -> Result<OwnedFd, FileError> {
        self.below(self.folder.as_fd(), path.unwrap_or("."), OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// As [`folder`](Self::folder), from a folder that was reached from here.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) fn below(
        &self,
        folder: BorrowedFd<'_>,
        path: &str,
        flags: OFlags,
    ) -> Result<OwnedFd, FileError> {
        Ok(self.way.open(folder, path, flags)?)
    }

    /// What is called `name` in `folder`, if anything; it is a plain file then.
    ///
    /// # Errors
    /// [`FileError::NotPlain`] for anything else.
    pub(super) fn look(&self, folder: BorrowedFd<'_>, name: &str) -> Result<Option<Stat>, FileError> {
        // Opened as a mere place, a device or a pipe does not notice.
        match self.way.open(folder, name, OFlags::PATH) {
            Ok(place) => plain(fstat(&place)?).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The plain file at `path`, open for reading, and what it is.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) fn file(&self, path: &RelPath) -> Result<(OwnedFd, Stat), FileError> {
        if !self.patterns.serve(path) {
            return Err(FileError::Missing);
        }
        let (folder, name) = path.split();
        for _ in 0..TRIES {
            let folder = self.folder(folder)?;
            self.look(folder.as_fd(), name)?.ok_or(FileError::Missing)?;
            let file = self.below(folder.as_fd(), name, OFlags::RDONLY)?;
            let seen = plain(fstat(&file)?)?;
            if is_alone(folder.as_fd(), name, &seen)? {
                return Ok((file, seen));
            }
        }
        Err(FileError::Changed)
    }
}

/// `seen`, which must be a plain file.
fn plain(seen: Stat) -> Result<Stat, FileError> {
    if way::is_plain(&seen) { Ok(seen) } else { Err(FileError::NotPlain) }
}

/// Whether `name` in `folder` is the one name of the file that was `seen` open.
///
/// Of an open file alone this cannot be known: somebody may have linked a file of elsewhere into the folder and,
/// once we had it open, taken that name away again, so that one link is left, elsewhere. But if at one moment the
/// name leads to the file and the file has one name, then it lies here and nowhere else.
///
/// One look is not one moment, though: the system finds the file by the name first and reads the number of its
/// names then, and whoever links and unlinks in between without end is missed once in some ten thousand tries
/// (seen). So it is looked several times, at moments that nobody can foresee; each look alone would be missed in
/// a few of a hundred at the very most.
pub(super) fn is_alone(folder: BorrowedFd<'_>, name: &str, seen: &Stat) -> Result<bool, FileError> {
    for _ in 0..LOOKS {
        match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) if way::is_same(&named, seen) && named.st_nlink == 1 => {}
            Ok(_other) => return Ok(false),
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        (0..rand::random_range(0..LONGEST_PAUSE)).for_each(|_| std::hint::spin_loop());
    }
    Ok(true)
}
