//! Files that are ours alone: made whole or not at all, and never for others to read.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::geteuid,
};

/// Makes `path` and what is missing above it, each with mode 0700. One that is there stays as it is.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes `path` with all of `bytes` and mode 0600, unless something is there by then; either way what is
/// there afterwards is whole, and on disk if it is ours.
///
/// Of several processes that do this at once one wins: the file is written beside its place and linked
/// there, which fails if another was faster. The others read what the winner wrote.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn place_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = draft(path, bytes)?;
    let linked = match fs::hard_link(&draft, path) {
        Err(fault) if fault.kind() != ErrorKind::AlreadyExists => Err(fault),
        _ => Ok(()),
    };
    fs::remove_file(&draft)?;
    linked.and_then(|()| sync_folder(path))
}

/// Puts `bytes` in the place of whatever `path` held, with mode 0600; a reader sees the old or the new
/// text, never a part.
///
/// # Errors
/// Whatever the system says; the old text is there then.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = draft(path, bytes)?;
    if let Err(fault) = fs::rename(&draft, path) {
        fs::remove_file(&draft)?;
        return Err(fault);
    }
    sync_folder(path)
}

/// Whether nobody but its owner, who [is us](is_ours), can reach what `seen` describes.
pub(crate) fn is_private(seen: &Metadata) -> bool {
    seen.mode() & 0o077 == 0 && is_ours(seen)
}

/// Whether it belongs to this process's user or to root.
pub(crate) fn is_ours(seen: &Metadata) -> bool {
    seen.uid() == geteuid().as_raw() || seen.uid() == 0
}

/// Opens `path` for a lock, made with mode 0600 if need be; its text is nobody's concern.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Locks `file` for as long as it is open; `false` if somebody else has.
///
/// # Errors
/// Whatever the system says, except that.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// A file beside `path` with `bytes`, on disk. One that cannot be written is taken away again.
fn draft(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.{}", uuid::Uuid::now_v7().simple()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    if let Err(fault) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        fs::remove_file(&draft)?;
        return Err(fault);
    }
    Ok(draft)
}

/// Has the entries of the folder around `path` on disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn whoever_comes_first_places_a_file_and_nobody_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("once");
        let gate = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for n in 0..8_u8 {
                let (path, gate) = (&path, &gate);
                scope.spawn(move || {
                    gate.wait();
                    place_once(path, &[n; 4096]).unwrap();
                    let read = fs::read(path).unwrap();
                    assert!(read.len() == 4096 && read.iter().all(|byte| *byte == read[0]));
                });
            }
        });
        let first = fs::read(&path).unwrap();
        place_once(&path, b"later").unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft is left over");
    }

    #[test]
    fn replacing_leaves_one_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        for text in ["one", "two"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft is left over");
        // A folder cannot be replaced by a file: the draft goes, the folder stays.
        let inner = folder.path().join("inner");
        private_dir(&inner).unwrap();
        assert!(replace(&inner, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a draft is left over");
    }

    #[test]
    fn only_what_others_cannot_reach_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        private_dir(&inner).unwrap();
        assert!(is_private(&fs::metadata(&inner).unwrap()));
        assert!(is_private(&fs::metadata(inner.parent().unwrap()).unwrap()));
        for exposed in [0o710, 0o701, 0o750] {
            fs::set_permissions(&inner, fs::Permissions::from_mode(exposed)).unwrap();
            assert!(!is_private(&fs::metadata(&inner).unwrap()), "{exposed:o}");
        }
    }

    #[test]
    fn a_lock_has_one_holder_and_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let (first, second) = (open_lock(&path).unwrap(), open_lock(&path).unwrap());
        assert!(try_lock(&first).unwrap());
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
        assert_eq!(mode(&path), 0o600);
    }
}
