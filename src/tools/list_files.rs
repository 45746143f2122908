//! `list_files`: what there is to read, sorted and bounded.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Call, Hints, Spec, Tool, ToolError,
    files::{FileError, Files, Found, MAX_PATH, RelPath, SHOWN},
};
use crate::domain::Timestamp;

/// `list_files`.
pub struct ListFiles {
    /// The folders that are served.
    pub files: Files,
}

/// Where to look.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListArgs {
    /// A folder, relative, such as `notes` or `notes/2026`; left out, everything is listed.
    #[schemars(length(min = 1, max = MAX_PATH))]
    path: Option<String>,
}

/// The files that can be read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileList {
    /// The files at that place and in folders below it, sorted by path.
    entries: Vec<FileEntry>,
    /// Says that not all are shown, and how to see the rest; left out if all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// One file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileEntry {
    /// Its path, as `read_file` takes it.
    path: String,
    /// Bytes.
    size: u64,
    /// When it was last written, RFC 3339 in UTC.
    #[schemars(extend("format" = "date-time"))]
    modified: String,
}

impl From<Found> for FileEntry {
    fn from(found: Found) -> Self {
        let modified = Timestamp::from_micros(found.modified).to_string();
        Self { path: found.path, size: found.size, modified }
    }
}

impl Tool for ListFiles {
    const SPEC: Spec = Spec {
        name: "list_files",
        title: "List files",
        about: "Lists the files that can be read, with their sizes, in a folder and all folders below it.",
        needs: "files:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(10),
    };
    // A path in which something looks like a key must still be the path of that file.
    const VERBATIM: bool = true;
    type Args = ListArgs;
    type Output = FileList;

    async fn call(&self, args: ListArgs, _: &Call<'_>) -> Result<FileList, ToolError> {
        let from = args.path.map(|path| RelPath::parse(&path)).transpose();
        let listing = self.files.list(from.map_err(FileError::from)?).await?;
        let note = listing.is_cut.then(|| {
            format!("There are more files than these; at most {SHOWN} are shown. Name a folder in `path`.")
        });
        Ok(FileList { entries: listing.files.into_iter().map(FileEntry::from).collect(), note })
    }
}
