//! Where a run leaves what it saw, and the list of secrets that may not be in it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use tracing_subscriber::EnvFilter;

/// `target/test-output`, or what `PORTCULLIS_TEST_OUTPUT` names.
fn folder() -> PathBuf {
    std::env::var_os("PORTCULLIS_TEST_OUTPUT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-output"), PathBuf::from)
}

/// Notes a secret: from now on it may stand nowhere in what this run leaves behind.
///
/// Of a token its payload and its signature are noted too, so that a cut or split token is found; of one
/// that is large on purpose its signature alone.
pub(crate) fn secret(text: &str) {
    let mut lines = String::new();
    let parts = text.split('.').skip(1).filter(|part| part.len() >= 32);
    for part in std::iter::once(text).chain(parts).filter(|part| (16..=2_048).contains(&part.len())) {
        lines.push_str(part);
        lines.push('\n');
    }
    fs::create_dir_all(folder()).unwrap();
    let list = folder().join("secrets.txt");
    // One write of one buffer: tests of several processes append to this list at once.
    OpenOptions::new().create(true).append(true).open(list).unwrap().write_all(lines.as_bytes()).unwrap();
}

/// Copies the files below `from` to `folder()/kind/name`, so that they outlive the test.
pub(crate) fn keep(from: &Path, kind: &str, name: &str) {
    let Ok(entries) = fs::read_dir(from) else { return };
    let to = folder().join(kind).join(name);
    fs::create_dir_all(&to).unwrap();
    for entry in entries.flatten() {
        let below = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            keep(&entry.path(), kind, &format!("{name}/{below}"));
        } else {
            // A file that goes away meanwhile is no loss.
            let _copied = fs::copy(entry.path(), to.join(below));
        }
    }
}

/// The log of this process, everything at level trace: what a careless operator would have.
pub(crate) fn log() -> &'static Path {
    static LOG: OnceLock<PathBuf> = OnceLock::new();
    LOG.get_or_init(|| {
        let place = folder().join("logs-of-servers");
        fs::create_dir_all(&place).unwrap();
        let place = place.join(format!("{}-{}.log", env!("CARGO_CRATE_NAME"), std::process::id()));
        let file = File::create(&place).unwrap();
        let filter = EnvFilter::try_new("trace").unwrap();
        let writer = move || Trap(file.try_clone().unwrap());
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer).init();
        place
    })
}

/// The text at which whoever logs it panics, once.
static TRAP: Mutex<Option<&'static str>> = Mutex::new(None);

/// Whoever logs `text` next panics: the way to have a panic in the midst of the server.
pub(crate) fn panic_at(text: &'static str) {
    *TRAP.lock().unwrap() = Some(text);
}

/// The log, with a trap in it.
struct Trap(File);

impl Write for Trap {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let found = |text: &mut &str| String::from_utf8_lossy(line).contains(*text);
        let sprung = TRAP.lock().unwrap().take_if(found).is_some();
        assert!(!sprung, "on purpose");
        self.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The lines of the log that hold all of these texts.
pub(crate) fn logged(texts: &[&str]) -> Vec<String> {
    let all = fs::read(log()).unwrap();
    let all = String::from_utf8_lossy(&all);
    all.lines().filter(|line| texts.iter().all(|text| line.contains(text))).map(str::to_owned).collect()
}
