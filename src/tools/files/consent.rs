//! A person's word before a file is changed, where the settings ask for it and the client can be asked.

use super::{Files, RelPath, fault::FileError};
use crate::{
    settings::Confirm,
    tools::{Ask, Call, ToolError},
};

/// What the question is known by.
const KEY: &str = "confirm";

impl Files {
    /// Has a person confirm that the file at `path` is deleted.
    ///
    /// # Errors
    /// They have not, or nobody can be asked where somebody must be.
    pub(in crate::tools) fn confirm_deletion(&self, call: &Call<'_>, path: &str) -> Result<(), ToolError> {
        self.confirm(call, || format!("Delete the file {path:?}? It cannot be brought back."))
    }

    /// Has a person confirm that the file at `path` is written: always where they must, else only if there is one
    /// that would be replaced.
    ///
    /// # Errors
    /// They have not, or nobody can be asked where somebody must be.
    pub(in crate::tools) async fn confirm_writing(
        &self,
        call: &Call<'_>,
        (path, shown, size): (&RelPath, &str, u64),
    ) -> Result<(), ToolError> {
        let asks = self.shelf.confirm == Confirm::Ask && call.can_ask(Ask::User);
        if asks && !self.has(path.clone()).await? {
            return Ok(());
        }
        self.confirm(call, || format!("Write the file {shown:?} with {size} bytes, replacing what it holds?"))
    }

    fn confirm(&self, call: &Call<'_>, question: impl Fn() -> String) -> Result<(), ToolError> {
        let can_ask = call.can_ask(Ask::User);
        match self.shelf.confirm {
            Confirm::Off => return Ok(()),
            Confirm::Ask if !can_ask => return Ok(()),
            Confirm::Required if !can_ask => return Err(FileError::Unconfirmed.into()),
            Confirm::Ask | Confirm::Required => {}
        }
        if call.confirm(KEY, &question())? { Ok(()) } else { Err(FileError::Declined.into()) }
    }
}
