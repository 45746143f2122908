//! A running server under `strace`, which holds or fails its `fdatasync`, or only writes down what it does.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::server::Server;

/// Longest wait until strace holds every thread.
const ATTACH_DEADLINE: Duration = Duration::from_secs(10);

/// A tracer; letting it go detaches it and the server's calls are its own again.
pub(crate) struct Strace {
    child: Child,
}

impl Strace {
    /// Attaches to every thread of `server` and tampers with `fdatasync` as `how` says (strace's syntax).
    pub(crate) fn attach(server: &Server, how: &str, trace: &Path) -> Self {
        Self::with(server, &["-T", "-e", "trace=fdatasync", "-e", &format!("inject=fdatasync:{how}")], trace)
    }

    /// Attaches to every thread of `server` and writes down whatever it writes and makes durable, whole and with names.
    pub(crate) fn watch(server: &Server, trace: &Path) -> Self {
        let calls = "trace=fdatasync,fsync,write,writev,pwrite64,sendto,sendmsg";
        Self::with(server, &["-yy", "-s", "1000000", "-e", "signal=none", "-e", calls], trace)
    }

    fn with(server: &Server, how: &[&str], trace: &Path) -> Self {
        File::create(trace).unwrap();
        let mut child = Command::new("strace")
            .args(["-f", "-ttt"])
            .args(how)
            .arg("-o")
            .arg(trace)
            .args(["-p", &server.pid().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is installed by tests/run");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (said, hears) = mpsc::channel();
        // Reads on until strace ends, so that strace never blocks on a full pipe.
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| drop(said.send(line)))
        });
        let first = hears.recv_timeout(ATTACH_DEADLINE).expect("strace says that it is attached");
        assert!(
            first.contains("attached"),
            "strace cannot attach (it needs root, or kernel.yama.ptrace_scope = 0): {first}"
        );
        Self { child }
    }

    /// Detaches and waits until that is done.
    pub(crate) fn detach(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let pid = Pid::from_child(&self.child);
        let _gone_already = kill_process(pid, Signal::INT);
        drop(self.child.wait());
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end();
        }
    }
}
