//! Lists what is served below a folder: sorted, bounded, nothing opened but folders.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{AtFlags, Dir, FileType, Stat, statat},
    io::Errno,
};

use super::{
    cancel::Waits,
    fault::FileError,
    path::{RelPath, is_hidden},
    root::Root,
    way::is_plain,
};

/// Most names that one listing looks at, served or not.
pub(super) const LOOKED_AT: usize = 20_000;

/// One file that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its path below the root.
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    /// When it was last written, microseconds since 1970; 0 before.
    pub(crate) modified: u64,
}

/// What a listing saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// In no order.
    pub(super) files: Vec<Found>,
    /// Names looked at.
    pub(super) looked_at: usize,
    /// Whether something was not looked at: there were too many names.
    pub(super) is_cut: bool,
}

/// Every file that is served at or below the folder `from`, without one below the root; adds to what `seen` has.
///
/// # Errors
/// [`FileError`]; folders within it that cannot be entered are passed over.
pub(super) fn list(
    root: &Root,
    from: Option<&RelPath>,
    seen: &mut Seen,
    waits: &Waits,
) -> Result<(), FileError> {
    if from.is_some_and(RelPath::is_hidden) {
        return Err(FileError::Missing);
    }
    let start = root.folder(from.map(RelPath::as_str)).map_err(|error| match error {
        // A file in a folder's place, or whatever else: not a folder to list.
        FileError::NotPlain => FileError::Missing,
        other => other,
    })?;
    // Paths, not descriptors: of these there may be more than a process can have.
    let mut folders = Vec::new();
    look_through(root, (&start, from), seen, &mut folders)?;
    while let Some(path) = folders.pop() {
        waits.check()?;
        if let Ok(folder) = root.folder(Some(path.as_str())) {
            look_through(root, (&folder, Some(&path)), seen, &mut folders)?;
        }
    }
    Ok(())
}

/// Looks at every name in one folder, and puts the folders among them on the list.
fn look_through(
    root: &Root,
    (folder, path): (&OwnedFd, Option<&RelPath>),
    seen: &mut Seen,
    folders: &mut Vec<RelPath>,
) -> Result<(), FileError> {
    let mut entries = Dir::read_from(folder)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        if seen.looked_at >= LOOKED_AT {
            seen.is_cut = true;
            return Ok(());
        }
        seen.looked_at += 1;
        // What cannot be named in JSON, or is hidden, cannot be read either.
        let Some(name) = entry.file_name().to_str().ok().filter(|name| !is_hidden(name)) else { continue };
        let path = path.map_or_else(|| name.to_owned(), |path| format!("{}/{name}", path.as_str()));
        let Ok(path) = RelPath::parse(&path) else { continue };
        let Ok(stat) = stat_of(folder, name) else { continue };
        if is_plain(&stat) && stat.st_nlink == 1 && root.patterns.serve(&path) {
            seen.files.push(found(&path, &stat));
        } else if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            folders.push(path);
        }
    }
    Ok(())
}

fn stat_of(folder: impl AsFd, name: &str) -> Result<Stat, Errno> {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn found(path: &RelPath, stat: &Stat) -> Found {
    let secs = u64::try_from(stat.st_mtime).unwrap_or_default();
    let modified = secs.saturating_mul(1_000_000).saturating_add(stat.st_mtime_nsec / 1_000);
    Found { path: path.as_str().to_owned(), size: u64::try_from(stat.st_size).unwrap_or_default(), modified }
}
