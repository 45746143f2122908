//! The two ways down from a folder that stays below it: asked of the kernel at once, or walked name by name.
//!
//! Neither looks at a path twice, follows a link or enters another mount, so whoever swaps folders and links
//! meanwhile makes an opening fail and leads it nowhere else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags, fstat, openat, openat2, statat,
        statx,
    },
    io::Errno,
};

/// How often an opening is tried again that the kernel could not settle, because something moved meanwhile.
const TRIES: u32 = 32;
/// What holds for every opening: no terminal becomes ours, nothing waits, nothing is inherited.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NOCTTY).union(OFlags::NONBLOCK);
/// The kernel's word for "below, through no link, on this mount".
const BELOW: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// How paths are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By `openat2` (Linux 5.6), in one step.
    Kernel,
    /// Folder by folder, each opened below the one before without following a link: where a kernel or a filter
    /// of system calls does not let us have `openat2`. Mounts are told apart by their ids (Linux 5.8).
    Walk,
}

/// Why there is no safe way down from a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoWay {
    /// The system does not tell mounts apart, so a folder that is mounted from elsewhere would be entered.
    Mounts,
    /// What the system says.
    System(Errno),
}

impl From<Errno> for NoWay {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl Way {
    /// The way that works from `folder`.
    ///
    /// # Errors
    /// [`NoWay`].
    pub(super) fn probe(folder: BorrowedFd<'_>) -> Result<Self, NoWay> {
        let asked = Self::Kernel.open_once(folder, ".", OFlags::PATH | OFlags::DIRECTORY).map(drop);
        Self::by(asked, mount_of(folder).map(drop))
    }

    /// The way, by what came of asking the kernel for it, and for the mount.
    fn by(asked: Result<(), Errno>, mount: Result<(), Errno>) -> Result<Self, NoWay> {
        match (asked, mount) {
            (Ok(()), _) => Ok(Self::Kernel),
            (Err(Errno::NOSYS | Errno::PERM), Ok(())) => Ok(Self::Walk),
            (Err(Errno::NOSYS | Errno::PERM), Err(Errno::NOSYS)) => Err(NoWay::Mounts),
            (Err(Errno::NOSYS | Errno::PERM), Err(errno)) | (Err(errno), _) => Err(errno.into()),
        }
    }

    /// Opens `path`, plain names with slashes between, below `folder`.
    ///
    /// # Errors
    /// `LOOP` for a link on the way (and at the end, unless opened as a mere place), `XDEV` for another mount.
    pub(super) fn open(self, folder: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        for _ in 1..TRIES {
            match self.open_once(folder, path, flags) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                done => return done,
            }
        }
        self.open_once(folder, path, flags)
    }

    fn open_once(self, folder: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        // Beside PATH the kernel takes only some flags.
        let keep = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let flags = if flags.contains(OFlags::PATH) { (flags | ALWAYS) & keep } else { flags | ALWAYS };
        match self {
            // Told to follow no link anywhere, it says so of the last name too; by the flag it would say of a
            // folder only that it is none.
            Self::Kernel if flags.contains(OFlags::DIRECTORY) => {
                openat2(folder, path, flags.difference(OFlags::NOFOLLOW), Mode::empty(), BELOW)
            }
            Self::Kernel => openat2(folder, path, flags, Mode::empty(), BELOW),
            Self::Walk => walk(folder, path, flags),
        }
    }
}

fn walk(from: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let here = mount_of(from)?;
    let (folders, last) = path.rsplit_once('/').map_or((None, path), |(folders, last)| (Some(folders), last));
    let mut reached: Option<OwnedFd> = None;
    for name in folders.into_iter().flat_map(|folders| folders.split('/')) {
        let next =
            step(reached.as_ref().map_or(from, AsFd::as_fd), name, OFlags::PATH | OFlags::CLOEXEC, here)?;
        match FileType::from_raw_mode(fstat(&next)?.st_mode) {
            FileType::Directory => reached = Some(next),
            FileType::Symlink => return Err(Errno::LOOP),
            _ => return Err(Errno::NOTDIR),
        }
    }
    step(reached.as_ref().map_or(from, AsFd::as_fd), last, flags, here)
}

/// Opens one name and nothing behind it.
fn step(folder: BorrowedFd<'_>, name: &str, flags: OFlags, here: Mount) -> Result<OwnedFd, Errno> {
    // Nothing that checks its own input calls this with such a name; it costs nothing to hold here too.
    if name.is_empty() || name == ".." || name.contains('/') {
        return Err(Errno::INVAL);
    }
    let opened = openat(folder, name, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| {
        let is_link = || {
            let seen = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
            seen.is_ok_and(|seen| FileType::from_raw_mode(seen.st_mode) == FileType::Symlink)
        };
        if errno == Errno::NOTDIR && is_link() { Errno::LOOP } else { errno }
    })?;
    if mount_of(opened.as_fd())? == here { Ok(opened) } else { Err(Errno::XDEV) }
}

/// Which mount something is on: the device, and the mount's own id, since the same device can be mounted twice.
type Mount = (u64, u64);

/// `NOSYS` where the system does not tell the id.
fn mount_of(opened: BorrowedFd<'_>) -> Result<Mount, Errno> {
    let device = fstat(opened)?.st_dev;
    let seen = statx(opened, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
    told(seen.map(|seen| (seen.stx_mask, seen.stx_mnt_id))).map(|id| (device, id))
}

/// The id of a mount, by what `statx` said of which members it filled in.
fn told(said: Result<(u32, u64), Errno>) -> Result<u64, Errno> {
    match said {
        Ok((filled, id)) if filled & StatxFlags::MNT_ID.bits() != 0 => Ok(id),
        Ok(_) | Err(Errno::PERM | Errno::INVAL) => Err(Errno::NOSYS),
        Err(errno) => Err(errno),
    }
}

/// Whether `seen` is a plain file that at most one name leads to.
pub(super) fn is_plain(seen: &Stat) -> bool {
    FileType::from_raw_mode(seen.st_mode) == FileType::RegularFile && seen.st_nlink <= 1
}

/// Whether both are the same file.
pub(super) fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_openat2_paths_are_walked() {
        assert_eq!(Way::by(Ok(()), Ok(())), Ok(Way::Kernel));
        for missing in [Errno::NOSYS, Errno::PERM] {
            assert_eq!(Way::by(Err(missing), Ok(())), Ok(Way::Walk), "{missing}");
        }
        for other in [Errno::NOENT, Errno::ACCESS, Errno::MFILE, Errno::INVAL] {
            assert_eq!(Way::by(Err(other), Ok(())), Err(NoWay::System(other)), "{other}");
        }
    }

    #[test]
    fn without_openat2_and_without_ids_of_mounts_there_is_no_way() {
        let filled = StatxFlags::MNT_ID.bits();
        assert_eq!(told(Ok((filled, 7))), Ok(7));
        for silent in [Ok((0, 0)), Err(Errno::NOSYS), Err(Errno::PERM), Err(Errno::INVAL)] {
            let mount = told(silent).map(drop);
            assert_eq!(Way::by(Err(Errno::NOSYS), mount), Err(NoWay::Mounts), "{silent:?}");
            assert_eq!(Way::by(Ok(()), mount), Ok(Way::Kernel), "the kernel tells them apart by itself");
        }
        let broken = told(Err(Errno::MFILE)).map(drop);
        assert_eq!(Way::by(Err(Errno::PERM), broken), Err(NoWay::System(Errno::MFILE)));
    }
}
