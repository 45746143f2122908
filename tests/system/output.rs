//! Where a test run leaves what it saw, and the list of secrets that must not be in it.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// `target/test-output`, or what `PORTCULLIS_TEST_OUTPUT` names.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("PORTCULLIS_TEST_OUTPUT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-output"), PathBuf::from)
}

/// Opens `folder()/kind/name` for appending.
pub(crate) fn append_to(kind: &str, name: &str) -> File {
    let folder = folder().join(kind);
    fs::create_dir_all(&folder).unwrap();
    OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap()
}

/// Notes a secret: from now on it may stand nowhere in what this run leaves behind.
///
/// Of a token its payload and its signature are noted too, so that a cut or split token is found.
pub(crate) fn secret(text: &str) {
    let mut lines = format!("{text}\n");
    for part in text.split('.').skip(1).filter(|part| part.len() >= 32) {
        lines.push_str(part);
        lines.push('\n');
    }
    fs::create_dir_all(folder()).unwrap();
    let list = folder().join("secrets.txt");
    // One write of one buffer: tests of several processes append to this list at once.
    OpenOptions::new().create(true).append(true).open(list).unwrap().write_all(lines.as_bytes()).unwrap();
}

/// Leaves one measured figure for the reader of the run.
pub(crate) fn figure(text: &str) {
    println!("{text}");
    writeln!(append_to("figures", "system.txt"), "{text}").unwrap();
}

/// Copies every file under `from` to `folder()/kind/name`, so that it outlives the test.
pub(crate) fn keep(from: &Path, kind: &str, name: &str) {
    let to = folder().join(kind).join(name);
    let Ok(entries) = fs::read_dir(from) else { return };
    fs::create_dir_all(&to).unwrap();
    for entry in entries.flatten() {
        let below = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            keep(&entry.path(), kind, &format!("{name}/{below}"));
        } else {
            fs::copy(entry.path(), to.join(below)).unwrap();
        }
    }
}

/// Whether the long versions are asked for.
pub(crate) fn full() -> bool {
    std::env::var_os("PORTCULLIS_FULL").is_some_and(|value| value != "0" && !value.is_empty())
}
