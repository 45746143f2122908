//! `data_dir/run.json`: where the running server can be reached.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::AppError;
use crate::files;

/// The file, for as long as the server runs.
#[derive(Debug)]
pub(super) struct RunFile(PathBuf);

impl RunFile {
    /// Writes it whole or not at all.
    pub(super) fn write(data_dir: &Path, mcp_url: &str, admin_url: &str) -> Result<Self, AppError> {
        let place = data_dir.join("run.json");
        let text = json!({ "pid": std::process::id(), "mcp_url": mcp_url, "admin_url": admin_url });
        files::replace(&place, format!("{text}\n").as_bytes()).map_err(AppError::file(&place))?;
        Ok(Self(place))
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        // A stale file names a process that is gone; whoever reads it finds that out.
        let _removed = fs::remove_file(&self.0);
    }
}
