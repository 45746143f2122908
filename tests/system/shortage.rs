//! A data directory whose space can be taken away and given back.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use super::{home::Home, server::Server};

/// Size of the small file system; the store's empty files fit several times.
const TMPFS_BYTES: u64 = 16 * 1024 * 1024;

/// The two ways to run out of space.
pub(crate) enum Shortage {
    /// A small file system of its own: the real thing, but only root may mount one.
    Tmpfs(Tmpfs),
    /// A limit on the length of the process's files (`EFBIG` instead of `ENOSPC`).
    FileLimit,
}

/// A mounted file system; dropping it unmounts it.
pub(crate) struct Tmpfs {
    folder: tempfile::TempDir,
}

impl Tmpfs {
    /// Mounts one, or says why not.
    pub(crate) fn mount() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={TMPFS_BYTES},mode=0700");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output()
            .map_err(|error| error.to_string())?;
        if done.status.success() {
            Ok(Self { folder })
        } else {
            Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
        }
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.folder.path()).status());
    }
}

impl Shortage {
    /// Where the data directory must be, if that matters.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        match self {
            Self::Tmpfs(tmpfs) => Some(tmpfs.folder.path().join("data")),
            Self::FileLimit => None,
        }
    }

    /// The server's command; a file limit ends a process by SIGXFSZ unless that is ignored.
    pub(crate) fn command(&self, home: &Home) -> Command {
        let server = home.command();
        let mut command = match self {
            Self::Tmpfs(_) => return with_serve(server),
            Self::FileLimit => Command::new("sh"),
        };
        command.args(["-c", "trap '' XFSZ; exec \"$0\" serve"]).arg(server.get_program());
        command.current_dir(server.get_current_dir().unwrap());
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Takes all space away.
    pub(crate) fn begin(&self, server: &Server, home: &Home) {
        match self {
            Self::Tmpfs(tmpfs) => fill(&tmpfs.filler()),
            Self::FileLimit => limit(server, &longest_segment(home.data_dir()).to_string()),
        }
    }

    /// Gives it back.
    pub(crate) fn end(&self, server: &Server) {
        match self {
            Self::Tmpfs(tmpfs) => fs::remove_file(tmpfs.filler()).unwrap(),
            Self::FileLimit => limit(server, "unlimited"),
        }
    }
}

fn with_serve(mut command: Command) -> Command {
    command.arg("serve");
    command
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    let mut filler = OpenOptions::new().create(true).append(true).open(path).unwrap();
    for size in [64 * 1024, 4096, 1] {
        while filler.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Sets the soft limit of the running server's file length, bytes.
pub(crate) fn limit(server: &Server, bytes: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:unlimited")])
        .status()
        .expect("prlimit is installed by tests/run");
    assert!(done.success());
}

/// Length of the longest audit segment: with it as the limit the log cannot grow.
fn longest_segment(data_dir: &Path) -> u64 {
    let slots = fs::read_dir(data_dir.join("audit")).unwrap().flatten();
    let files = slots.filter_map(|slot| fs::read_dir(slot.path()).ok()).flatten().flatten();
    files.map(|file| file.metadata().unwrap().len()).max().unwrap()
}
