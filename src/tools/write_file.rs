//! `write_file`: one file of text, whole or not at all.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Call, Hints, Spec, Tool, ToolError,
    files::{FileError, Files, MAX_PATH, RelPath},
};

/// `write_file`.
pub struct WriteFile {
    /// The folders that are served.
    pub files: Files,
}

/// Which file, and what it shall hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteArgs {
    /// Its path, relative, such as `notes/today.txt`. The folder must be there already.
    #[schemars(length(min = 1, max = MAX_PATH))]
    path: String,
    /// The whole text of the file; what it held before is gone. At most 1 MiB of UTF-8, unless the server is set
    /// to another size.
    content: String,
}

/// That it was written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Written {
    /// True: whatever went wrong is an error.
    success: bool,
    /// The path of the file.
    path: String,
    /// Bytes in the file.
    size: u64,
}

impl Tool for WriteFile {
    const SPEC: Spec = Spec {
        name: "write_file",
        title: "Write a file",
        about: "Writes one text file whole, as a new one or in the place of the one that was there.",
        needs: "files:write",
        hints: Hints { read_only: false, destructive: true, ..Hints::READ },
        cost: 1,
        deadline: Duration::from_secs(10),
    };
    // A path in which something looks like a key must still be the path of that file.
    const VERBATIM: bool = true;
    type Args = WriteArgs;
    type Output = Written;

    async fn call(&self, args: WriteArgs, call: &Call<'_>) -> Result<Written, ToolError> {
        let path = RelPath::parse(&args.path).map_err(FileError::from)?;
        let size = args.content.len() as u64;
        self.files.confirm_writing(call, (&path, &args.path, size)).await?;
        self.files.write(path, args.content.into_bytes()).await?;
        Ok(Written { success: true, path: args.path, size })
    }
}
