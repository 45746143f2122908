//! One server a data directory.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use super::AppError;

/// Holds the data directory for as long as it lives; the system lets go of it if the process dies.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Makes the directory (0700) if need be, and takes it.
    pub(super) fn take(data_dir: &Path) -> Result<Self, AppError> {
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(AppError::file(data_dir))?;
        let path = data_dir.join("serve.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(AppError::file(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(AppError::Served(data_dir.into())),
            Err(errno) => Err(AppError::File { path, cause: errno.into() }),
        }
    }
}
