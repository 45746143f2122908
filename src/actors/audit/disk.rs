//! The two steps in which a disk can fail; a port, so that tests can make it fail.

use std::{
    fmt,
    fs::File,
    io::{self, Write},
};

/// What the writer asks of the disk.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// Appends all of `bytes` to `file`.
    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Returns once everything written to `file` is on the disk: the `fdatasync` system call.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// The disk of this machine.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {}
