//! One file of the log: named by the first record it holds, written only at its end.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    disk::Disk,
    home::{Home, is_at, lost, sync_dir},
};
use crate::domain::Timestamp;

/// How segment files end.
const EXTENSION: &str = "jsonl";

/// What a segment is called: `000000000001-20261122.jsonl`. Orders by age.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    /// Number of the first record in it.
    pub(super) first: u64,
    /// The day it was begun, `YYYYMMDD` in UTC.
    pub(super) day: u32,
}

impl SegmentName {
    /// The name of a segment that begins with record `first` at `now`.
    pub(super) fn new(first: u64, now: Timestamp) -> Self {
        Self { first, day: day(now) }
    }

    /// Reads a file's name; `None` for any other file.
    pub(super) fn parse(name: &OsStr) -> Option<Self> {
        let (first, day) = name.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if first.len() < 12 || day.len() != 8 || !digits(first) || !digits(day) {
            return None;
        }
        Some(Self { first: first.parse().ok()?, day: day.parse().ok()? })
    }

    /// The file itself, in the directory of its slot.
    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{:012}-{:08}.{EXTENSION}", self.first, self.day))
    }
}

/// The segments in `dir`, oldest first; none if there is no such directory.
///
/// # Errors
/// Whatever the file system says.
pub(super) fn list(dir: &Path) -> io::Result<Vec<SegmentName>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(SegmentName::parse(&entry?.file_name()));
    }
    names.sort_unstable();
    Ok(names)
}

/// The day of `now` in UTC as the number `YYYYMMDD`.
pub(super) fn day(now: Timestamp) -> u32 {
    now.date().and_then(|date| date.format("%Y%m%d").to_string().parse().ok()).unwrap_or(99_991_231)
}

/// The open segment.
#[derive(Debug)]
pub(super) struct Segment {
    name: SegmentName,
    path: PathBuf,
    file: File,
    len: u64,
    disk: Arc<dyn Disk>,
}

impl Segment {
    /// Begins a segment and has its directory entry on disk.
    ///
    /// # Errors
    /// Whatever the file system says; [`ErrorKind::AlreadyExists`] if there are records of that name.
    pub(super) fn create(home: &Home, name: SegmentName, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let path = name.path(home.segments());
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        home.check()?;
        if file.metadata()?.len() > 0 {
            return Err(ErrorKind::AlreadyExists.into());
        }
        sync_dir(home.segments())?;
        Ok(Self { name, path, file, len: 0, disk })
    }

    /// Opens a segment again and cuts whatever stands behind its first `len` bytes.
    ///
    /// # Errors
    /// Whatever the file system says; [`ErrorKind::UnexpectedEof`] if it has become shorter than that.
    pub(super) fn reopen(home: &Home, name: SegmentName, len: u64, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let path = name.path(home.segments());
        let file = OpenOptions::new().append(true).open(&path)?;
        // Asked when the file is open already: if nobody else is here now, it is ours to cut.
        if !home.is_alone()? {
            return Err(lost());
        }
        let found = file.metadata()?.len();
        if found < len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if found > len {
            file.set_len(len)?;
        }
        Ok(Self { name, path, file, len, disk })
    }

    /// Stands for this file, whatever has its name later.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn claim(&self) -> io::Result<Begun> {
        Ok(Begun { path: self.path.clone(), file: self.file.try_clone()? })
    }

    /// Its name.
    pub(super) fn name(&self) -> &SegmentName {
        &self.name
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends whole records.
    ///
    /// # Errors
    /// Whatever the disk says; the file may then hold a part of them.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.disk.append(&mut self.file, records)?;
        self.len += records.len() as u64;
        Ok(())
    }

    /// Returns once all of it is on disk.
    ///
    /// # Errors
    /// Whatever the disk says; what was written since the last success may be lost.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.file)
    }

    /// Whether the file is still where we put it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it was removed or renamed, [`ErrorKind::UnexpectedEof`] if somebody
    /// else changed its length; records written from now on would be nowhere.
    pub(super) fn check(&self) -> io::Result<()> {
        if !is_at(&self.path, &self.file)? {
            return Err(ErrorKind::NotFound.into());
        }
        if self.file.metadata()?.len() != self.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// A segment that was begun since the last commit: all of it will be written again after a failure.
///
/// The open file keeps its inode from being given to somebody else's segment of the same name.
#[derive(Debug)]
pub(super) struct Begun {
    path: PathBuf,
    file: File,
}

impl Begun {
    /// Removes the file, unless another one has its name by now.
    ///
    /// # Errors
    /// Whatever the file system says, except that it is not there.
    pub(super) fn remove(&self) -> io::Result<()> {
        if is_at(&self.path, &self.file)? { fs::remove_file(&self.path) } else { Ok(()) }
    }
}
