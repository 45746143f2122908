//! `read_file`: one file, as text if it is UTF-8, else in base64.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Call, Hints, Spec, Tool, ToolError, Written,
    files::{FileError, Files, MAX_PATH, RelPath},
};

/// `read_file`.
pub struct ReadFile {
    /// The folders that are served.
    pub files: Files,
}

/// Which file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadArgs {
    /// Its path, relative, as `list_files` shows it, such as `notes/today.txt`.
    #[schemars(length(min = 1, max = MAX_PATH))]
    path: String,
}

/// What the file holds.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileContent {
    /// Its path.
    path: String,
    /// Bytes in the file.
    size: u64,
    /// How `content` is written.
    encoding: Encoding,
    /// All of the file.
    content: String,
}

/// How the content of a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As it is: it is UTF-8.
    Text,
    /// In base64 (RFC 4648 §4, padded): it is not.
    Base64,
}

impl Tool for ReadFile {
    const SPEC: Spec = Spec {
        name: "read_file",
        title: "Read a file",
        about: "Reads one file that list_files shows: as text, or in base64 if it is no UTF-8 text.",
        needs: "files:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(10),
    };
    // What a model reads, changes and writes back must not lose what looks like a key in it.
    const VERBATIM: bool = true;
    type Args = ReadArgs;
    type Output = Written<FileContent>;

    async fn call(&self, args: ReadArgs, _: &Call<'_>) -> Result<Written<FileContent>, ToolError> {
        let path = RelPath::parse(&args.path).map_err(FileError::from)?;
        self.files.read(path, |bytes| Written::of(&content(args.path, bytes))).await?
    }
}

fn content(path: String, bytes: Vec<u8>) -> FileContent {
    let size = bytes.len() as u64;
    let (encoding, content) = match String::from_utf8(bytes) {
        Ok(text) => (Encoding::Text, text),
        Err(other) => (Encoding::Base64, STANDARD.encode(other.as_bytes())),
    };
    FileContent { path, size, encoding, content }
}
