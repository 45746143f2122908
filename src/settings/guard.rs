//! Who else can read or change a file that we rely on.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use secrecy::SecretString;

use super::problem::Report;
use crate::files;

/// Largest file that can be a secret, bytes.
const MOST_SECRET: u64 = 64 * 1024;

/// Whether the file can be opened for reading.
///
/// # Errors
/// Why it cannot.
pub(super) fn is_readable(path: &Path) -> io::Result<()> {
    open(path).map(drop)
}

/// Reports a settings file, or its folder, that others can change.
pub(super) fn check_settings_file(path: &Path, report: &mut Report) {
    if fs::metadata(path).is_ok_and(|seen| seen.mode() & 0o002 != 0) {
        let shown = path.display().to_string();
        report.refuse_off_development(
            &shown,
            "every user of this machine can change it",
            "run chmod o-w on it",
        );
    }
}

/// Reports that `key`, a secret, stands in a settings file that others can read.
pub(super) fn check_holder(key: &str, path: &Path, report: &mut Report) {
    if fs::metadata(path).is_ok_and(|seen| seen.mode() & 0o004 != 0) {
        let fix = "run chmod o-r on the file, or use jwt.secret_file";
        report.refuse_off_development(key, "stands in a file that every user of this machine can read", fix);
    }
}

/// Reports a file with a secret that cannot be read, or that others can read or change. `key` names it.
pub(super) fn check_secret_file(key: &str, path: &Path, report: &mut Report) {
    match open(path) {
        Ok((_, seen)) => check_exposure(key, &seen, report),
        Err(fault) => refuse_unreadable(key, &fault, report),
    }
}

/// The text of a file with a secret, without one line break at its end. Reports what is wrong with it.
pub(super) fn read_secret_file(key: &str, path: &Path, report: &mut Report) -> Option<SecretString> {
    let read = open(path).and_then(|(file, seen)| {
        check_exposure(key, &seen, report);
        let mut text = String::new();
        file.take(MOST_SECRET).read_to_string(&mut text)?;
        Ok(text)
    });
    match read {
        Ok(text) => {
            let line =
                text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
            Some(line.into())
        }
        Err(fault) => {
            refuse_unreadable(key, &fault, report);
            None
        }
    }
}

/// Opens a plain file; what it is is asked of the open file, so that it cannot be swapped between.
fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let file = File::open(path)?;
    let seen = file.metadata()?;
    Ok((file, seen))
}

fn check_exposure(key: &str, seen: &Metadata, report: &mut Report) {
    if seen.mode() & 0o004 != 0 {
        report.refuse_off_development(
            key,
            "every user of this machine can read the file",
            "run chmod 600 on it",
        );
    }
    if seen.mode() & 0o022 != 0 {
        report.refuse_off_development(key, "others can change the file", "run chmod 600 on it");
    }
    if !files::is_ours(seen) {
        report.refuse_off_development(key, "the file belongs to another user", "run chown on it");
    }
}

/// The path is not repeated: somebody may have put the secret itself in its place.
fn refuse_unreadable(key: &str, fault: &io::Error, report: &mut Report) {
    report.refuse(key, format!("the file cannot be read: {fault}"), "name a readable plain file");
}
