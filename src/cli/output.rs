//! Printing: a reader who has gone is no error, a disk that is full is one. `println!` would panic on both.

use std::io::{ErrorKind, Write, stderr, stdout};

/// One line on standard output; `false` once nobody reads any more, so that long lists can end.
///
/// # Errors
/// If it could not be written for any other reason: then it was not said.
pub(super) fn say(line: &str) -> anyhow::Result<bool> {
    let mut out = stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// One line on standard error. If that fails there is nobody left to tell.
pub(super) fn complain(line: &str) {
    let _written = writeln!(stderr(), "{line}");
}
