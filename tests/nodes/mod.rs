//! Redis servers for tests of any kind: a node, a cluster of one node, and a node that a sentinel watches.

pub(crate) mod counted;
pub(crate) mod groups;
pub(crate) mod proxy;

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
    dir: TempDir,
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
            let mut node = Self { process: spawn(&file, how), port, dir };
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

    /// Says one command of these words, whatever is in them; it must not be refused.
    pub(crate) fn say(&self, words: &[&str]) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let body: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        socket.write_all(format!("*{}\r\n{body}", words.len()).as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer).unwrap();
        assert!(answer.starts_with(['+', ':']), "{answer}");
    }

    /// The answer to one command that gives a list of texts.
    pub(crate) fn all(&self, command: &str) -> Vec<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut lines = BufReader::new(socket).lines().map(Result::unwrap);
        let length = lines.next().unwrap().strip_prefix('*').unwrap().parse::<usize>().unwrap();
        // Each text has a line with its length before it.
        lines.skip(1).step_by(2).take(length).collect()
    }

    /// Starts it again where it was, with what it kept.
    pub(crate) fn restart(&mut self) {
        self.end();
        self.process = spawn(&self.dir.path().join("redis.conf"), &[]);
        assert!(self.answers(), "it does not start again");
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

    /// Whether it has come up: else whoever answers on the port is another one, whose it was before.
    fn answers(&mut self) -> bool {
        let own = format!("process_id:{}\r\n", self.process.id());
        until(|| {
            let is_own = |said: String| said.contains(&own) || said.starts_with("-NOAUTH");
            self.process.try_wait().unwrap().is_some() || self.ask("INFO server").is_some_and(is_own)
        });
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
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it never came to be");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// One of each topology.
pub(crate) struct Nodes {
    single: Node,
    cluster: Node,
    watched: Node,
    sentinel: Node,
}

impl Nodes {
    /// Starts them; they keep nothing.
    pub(crate) fn start() -> Self {
        let plain = || Node::start("save \"\"", &[]);
        let watched = plain();
        let monitor = format!("sentinel monitor main 127.0.0.1 {} 1", watched.port);
        Self {
            single: plain(),
            cluster: cluster(),
            sentinel: Node::start(&monitor, &["--sentinel"]),
            watched,
        }
    }

    /// The URL of the node alone.
    pub(crate) fn single(&self) -> String {
        format!("redis://127.0.0.1:{}", self.single.port)
    }

    /// The node alone.
    #[allow(dead_code, reason = "not every suite empties it")]
    pub(crate) fn node(&self) -> &Node {
        &self.single
    }

    /// The one node of the cluster.
    #[allow(dead_code, reason = "not every suite empties it")]
    pub(crate) fn cluster_node(&self) -> &Node {
        &self.cluster
    }

    /// Ends all connections of clients.
    #[allow(dead_code, reason = "not every suite does")]
    pub(crate) fn drop_connections(&self) {
        for node in [&self.single, &self.cluster, &self.watched, &self.sentinel] {
            node.ask("CLIENT KILL TYPE normal SKIPME yes").unwrap();
        }
    }

    /// The URL of the cluster.
    pub(crate) fn cluster(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.cluster.port)
    }

    /// The URL of the node that the sentinel watches.
    pub(crate) fn watched(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/main", self.sentinel.port)
    }
}

/// A cluster of one node, which has every slot.
fn cluster() -> Node {
    let node = Node::start("save \"\"\ncluster-enabled yes", &[]);
    assert_eq!(node.ask("CLUSTER ADDSLOTSRANGE 0 16383").as_deref(), Some("+OK"));
    until(|| node.ask("CLUSTER INFO").is_some_and(|info| info.contains("cluster_state:ok")));
    node
}
