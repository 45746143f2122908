//! One server a data directory.

use std::{fs::File, path::Path};

use super::AppError;
use crate::files;

/// Holds the data directory for as long as it lives; the system lets go of it if the process dies.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Makes the directory (0700) if need be, and takes it.
    ///
    /// # Errors
    /// [`AppError::Served`] if a server has it.
    pub fn take(data_dir: &Path) -> Result<Self, AppError> {
        files::private_dir(data_dir).map_err(AppError::file(data_dir))?;
        let path = data_dir.join("serve.lock");
        let file = files::open_lock(&path).map_err(AppError::file(&path))?;
        if files::try_lock(&file).map_err(AppError::file(&path))? {
            Ok(Self { _file: file })
        } else {
            Err(AppError::Served(data_dir.into()))
        }
    }
}
