//! Reads one file, at most as much of it as is allowed.

use std::{fs::File, io::Read, os::fd::OwnedFd};

use super::{fault::FileError, path::RelPath, root::Root};

/// All bytes of the file at `path`.
///
/// # Errors
/// [`FileError`]; [`FileError::Large`] also for a file that grows past the limit while it is read.
pub(super) fn read(root: &Root, path: &RelPath) -> Result<Vec<u8>, FileError> {
    let (file, seen) = root.file(path)?;
    let size = u64::try_from(seen.st_size).unwrap_or(u64::MAX);
    // Before a byte is read or a buffer made: a sparse file has any size that somebody likes.
    if size > root.max_size {
        return Err(FileError::Large(root.max_size));
    }
    bounded(file, size, root.max_size)
}

fn bounded(file: OwnedFd, size: u64, max: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    File::from(file).take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(FileError::Large(max)) } else { Ok(bytes) }
}
