//! Redis servers for one test: a node, a cluster of one node, and a node that a sentinel watches.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One server, ended with this value.
pub(crate) struct Node {
    process: Child,
    /// Where it listens.
    pub(crate) port: u16,
    _dir: TempDir,
}

impl Node {
    /// A server with these lines in its configuration, or with `--sentinel`.
    pub(crate) fn start(lines: &str, how: &[&str]) -> Self {
        loop {
            let dir = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let file = dir.path().join("redis.conf");
            let own = format!("bind 127.0.0.1\nport {port}\ndir {}\n{lines}\n", dir.path().display());
            fs::write(&file, own).unwrap();
            let mut node = Self { process: spawn(&file, how), port, _dir: dir };
            // The port may have been somebody else's by the time the server wanted it.
            if node.answers() {
                return node;
            }
        }
    }

    /// The answer to one command: its first line.
    pub(crate) fn ask(&self, command: &str) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        socket.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut line = String::new();
        let mut answer = BufReader::new(socket);
        answer.read_line(&mut line).ok()?;
        if let Some(length) = line.strip_prefix('$').and_then(|length| length.trim().parse::<usize>().ok()) {
            let mut body = vec![0; length];
            answer.read_exact(&mut body).ok()?;
            return String::from_utf8(body).ok();
        }
        Some(line.trim_end().to_owned())
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success()
        );
    }

    /// Ends it at once, as a loss of power would.
    pub(crate) fn end(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    fn answers(&mut self) -> bool {
        until(|| self.process.try_wait().unwrap().is_some() || self.ask("PING").is_some());
        self.process.try_wait().unwrap().is_none()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(file: &Path, how: &[&str]) -> Child {
    let mut command = Command::new("redis-server");
    command.arg(file).args(how).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|e| panic!("redis-server does not start ({e}); ./tests/run installs it"))
}

/// Waits for `done`, which nobody tells us of.
fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it never came to be");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// A node that keeps nothing.
pub(crate) fn single() -> Node {
    Node::start("save \"\"\nappendonly no", &[])
}

/// A cluster of one node, which has every slot.
pub(crate) fn cluster() -> Node {
    let node =
        Node::start("save \"\"\nappendonly no\ncluster-enabled yes\ncluster-require-full-coverage no", &[]);
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383").as_deref(), Some("+OK"));
    until(|| node.ask("CLUSTER INFO").is_some_and(|info| info.contains("cluster_state:ok")));
    node
}

/// A node, and a sentinel that calls it `main`.
pub(crate) fn watched() -> (Node, Node) {
    let node = single();
    let lines = format!("sentinel monitor main 127.0.0.1 {} 1", node.port);
    let sentinel = Node::start(&lines, &["--sentinel"]);
    (node, sentinel)
}
