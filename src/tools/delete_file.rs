//! `delete_file`: takes one file away.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Call, Hints, Spec, Tool, ToolError,
    files::{FileError, Files, MAX_PATH, RelPath},
};

/// `delete_file`.
pub struct DeleteFile {
    /// The folders that are served.
    pub files: Files,
}

/// Which file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteArgs {
    /// Its path, relative, as `list_files` shows it, such as `notes/today.txt`.
    #[schemars(length(min = 1, max = MAX_PATH))]
    path: String,
}

/// What was deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// The path that the file had.
    path: String,
}

impl Tool for DeleteFile {
    const SPEC: Spec = Spec {
        name: "delete_file",
        title: "Delete a file",
        about: "Deletes one file that list_files shows. It cannot be brought back.",
        needs: "files:delete",
        hints: Hints { read_only: false, destructive: true, ..Hints::READ },
        cost: 1,
        deadline: Duration::from_secs(10),
    };
    // A path in which something looks like a key must still be the path of that file.
    const VERBATIM: bool = true;
    type Args = DeleteArgs;
    type Output = Deleted;

    async fn call(&self, args: DeleteArgs, call: &Call<'_>) -> Result<Deleted, ToolError> {
        let path = RelPath::parse(&args.path).map_err(FileError::from)?;
        self.files.confirm_deletion(call, &args.path)?;
        self.files.delete(path).await?;
        Ok(Deleted { path: args.path })
    }
}
