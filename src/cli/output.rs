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

/// Says that what was taken back may come back with the loss of one node of the store, unless it `is_confirmed`.
pub(super) fn complain_unless(is_confirmed: bool) {
    if !is_confirmed {
        complain(
            "warning: no replica of the store has confirmed it in time: should its master be lost now, it may come back; \
             servers that run put back what they know",
        );
    }
}

/// One line on standard error. If that fails there is nobody left to tell.
pub(super) fn complain(line: &str) {
    let _written = writeln!(stderr(), "{line}");
}
