//! Why a file was not listed, read, written or deleted, in words that a model can act on and that name nothing
//! of this machine.

use rustix::io::Errno;

use super::path::PathFault;
use crate::{error::Code, tools::ToolError};

/// Why a file tool did nothing. None holds a path of the host or what a file holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::tools) enum FileError {
    /// The path itself.
    #[error("Invalid arguments: /path {0}")]
    Path(#[from] PathFault),
    /// Nothing is there, or it is hidden, or no pattern matches it: one text for all three.
    #[error("there is no such file or folder here; list_files shows what there is")]
    Missing,
    /// Something is there that we have no business with.
    #[error(
        "refused: this is, or leads through, something other than a plain file of its own (a link, a file with \
         several names, a folder in a file's place, a device, a pipe, a mount)"
    )]
    NotPlain,
    /// Over `tools.files.max_size`.
    #[error("refused: the file is, or would be, larger than the {0} bytes that this server allows")]
    Large(u64),
    /// A name that may not be written.
    #[error(
        "refused: the names of files that may be written or deleted here match {0}, and none begins with a dot"
    )]
    Pattern(Box<str>),
    /// The folder of a new file is not there.
    #[error(
        "there is no such folder to write into, and folders are not made; list_files shows what there is"
    )]
    NoFolder,
    /// No root may be written to.
    #[error("refused: this server lets no files be changed")]
    ReadOnly,
    /// The settings want a person's word, and there is no way to get it.
    #[error(
        "refused: this server lets files be changed only after a person has confirmed it, and has no way to ask \
         one here"
    )]
    Unconfirmed,
    /// A person was asked, and has not said yes.
    #[error("the user was asked and has not confirmed it; nothing was changed")]
    Declined,
    /// Somebody else changes the same name all the time.
    #[error("the file was changed by somebody else at the same moment; try again")]
    Changed,
    /// The system does not let the server.
    #[error("refused: the server itself may not do this to that file")]
    Forbidden,
    /// No room.
    #[error("the disk of the server is full; nothing was changed")]
    Full,
    /// It was done, and the disk does not vouch for it; the log has why.
    #[error("it was changed, but the change may not survive a crash of the server's machine")]
    Unsettled(Errno),
    /// The caller has gone, or the time is up: nothing was done.
    #[error("the call was given up; nothing was changed")]
    GivenUp,
    /// Anything else; the log has it.
    #[error("the server cannot reach its files now; try again later")]
    System(Errno),
}

impl From<Errno> for FileError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::Missing,
            Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NODEV | Errno::ISDIR => Self::NotPlain,
            Errno::NAMETOOLONG => Self::Path(PathFault::LongName),
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Self::Forbidden,
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Self::Full,
            Errno::AGAIN | Errno::STALE => Self::Changed,
            other => Self::System(other),
        }
    }
}

impl From<std::io::Error> for FileError {
    fn from(error: std::io::Error) -> Self {
        Errno::from_io_error(&error).unwrap_or(Errno::IO).into()
    }
}

impl From<FileError> for ToolError {
    fn from(error: FileError) -> Self {
        let text = error.to_string();
        match error {
            FileError::Path(_) => Self::Arguments(text),
            FileError::Missing | FileError::NoFolder => Self::NotFound(text),
            FileError::GivenUp => Self::Timeout,
            FileError::System(errno) => {
                tracing::error!(error = %std::io::Error::from(errno), "a file tool failed");
                Self::Unavailable { code: Code::Overloaded, retry_after: std::time::Duration::from_secs(1) }
            }
            FileError::Unsettled(errno) => {
                tracing::error!(error = %std::io::Error::from(errno), "a changed folder was not brought to the disk");
                Self::Refused(text)
            }
            _ => Self::Refused(text),
        }
    }
}
