//! Printing that survives a reader who has gone: `println!` would panic on a closed pipe.

use std::io::{Write, stderr, stdout};

/// One line on standard output.
pub(super) fn say(line: &str) {
    // Whoever stopped reading wants no more.
    let _written = writeln!(stdout(), "{line}");
}

/// One line on standard error.
pub(super) fn complain(line: &str) {
    let _written = writeln!(stderr(), "{line}");
}

/// One line on standard output; `false` once nobody reads any more, so that long lists can end.
pub(super) fn try_say(line: &str) -> bool {
    writeln!(stdout(), "{line}").is_ok()
}
