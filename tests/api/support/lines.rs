//! A local client: it writes one message a line to a server of its own, and reads one a line.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use portcullis::{
    app::{self, Additions, AppError},
    settings::Settings,
};
use serde_json::{Value, json};

use super::{
    SOON,
    app::TestApp,
    judge::Judge,
    rpc::{META_CAPABILITIES, META_VERSION, VERSION},
    until,
};

/// Longest wait for a process to start or to end; others may keep the machine busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What serves the client.
enum Server {
    /// The binary.
    Process(Child),
    /// This process, with tools of a test.
    Here(Option<JoinHandle<Result<(), AppError>>>),
}

/// A client with its server.
pub(crate) struct Lines {
    to: Option<Box<dyn Write + Send>>,
    from: mpsc::Receiver<String>,
    server: Server,
    judge: RefCell<Judge>,
}

/// The verb `stdio` on the data of `app`, with `key`, nothing of it begun.
pub(crate) fn command(app: &TestApp, key: Option<&str>) -> Command {
    let secret = std::str::from_utf8(app.settings.jwt.secret.as_ref().unwrap().expose()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(["stdio", "--settings", concat!(env!("CARGO_MANIFEST_DIR"), "/settings")])
        .env("PORTCULLIS__DATA_DIR", app.dir())
        .env("JWT_SECRET_KEY", secret)
        .env_remove("PORTCULLIS_API_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(key) = key {
        command.env("PORTCULLIS_API_KEY", key);
    }
    command
}

/// The lines of `output`, as they come.
fn lines(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if say.send(line).is_err() {
                return;
            }
        }
    });
    said
}

impl Lines {
    /// The binary beside `app`, on the same data, with `key`.
    pub(crate) fn beside(app: &TestApp, key: &str) -> Self {
        Self::of(&mut command(app, Some(key)))
    }

    /// What `command` starts.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), lines(child.stdout.take().unwrap()));
        Self { to: Some(Box::new(to)), from, server: Server::Process(child), judge: RefCell::default() }
    }

    /// The same server in this process, with what `more` adds.
    pub(crate) fn within(app: &TestApp, key: &str, more: Additions) -> Self {
        let (settings, key): (Settings, _) = (app.settings.clone(), key.parse().unwrap());
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ends = (theirs.try_clone().unwrap(), theirs);
        let thread =
            std::thread::spawn(move || actix::System::new().block_on(app::stdio(&settings, more, key, ends)));
        let from = lines(ours.try_clone().unwrap());
        Self {
            to: Some(Box::new(Ending(ours))),
            from,
            server: Server::Here(Some(thread)),
            judge: RefCell::default(),
        }
    }

    /// Writes `message` as one line.
    pub(crate) fn send(&mut self, message: &Value) {
        self.write(format!("{message}\n").as_bytes());
    }

    /// Writes these bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.judge.borrow_mut().writes(bytes);
        let to = self.to.as_mut().expect("the input has ended");
        to.write_all(bytes).unwrap();
        to.flush().unwrap();
    }

    /// The next message; there is one soon.
    #[track_caller]
    pub(crate) fn next(&self) -> Value {
        let line = self.from.recv_timeout(PATIENCE).expect("nothing is said");
        self.heard(&line)
    }

    /// A line that was read: it must be what its revision says.
    #[track_caller]
    fn heard(&self, line: &str) -> Value {
        let message = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.judge.borrow_mut().hears_line(&message);
        message
    }

    /// Sends `message` and gives what is said next.
    #[track_caller]
    pub(crate) fn ask(&mut self, message: &Value) -> Value {
        self.send(message);
        self.next()
    }

    /// A request of the modern era, answered.
    #[track_caller]
    pub(crate) fn modern(&mut self, id: impl Into<Value>, method: &str, params: Value) -> Value {
        self.ask(&modern(id, method, params))
    }

    /// Asserts that nothing is said for `long`.
    #[track_caller]
    pub(crate) fn is_silent(&self, long: Duration) {
        assert_eq!(self.from.recv_timeout(long).ok(), None);
    }

    /// The process id of the binary.
    pub(crate) fn pid(&self) -> u32 {
        match &self.server {
            Server::Process(child) => child.id(),
            Server::Here(_) => panic!("it has no process of its own"),
        }
    }

    /// Ends the input.
    pub(crate) fn hang_up(&mut self) {
        // The last line needs no end of its own.
        self.judge.borrow_mut().writes(b"\n");
        self.to = None;
    }

    /// Waits for the end; what was said until then, and how the process ended.
    pub(crate) fn rest(mut self) -> (Vec<Value>, Option<ExitStatus>) {
        let status = match &mut self.server {
            Server::Process(child) => {
                let mut status = None;
                until("the end of the process", PATIENCE, || {
                    status = child.try_wait().unwrap();
                    status.is_some()
                });
                status
            }
            Server::Here(thread) => {
                thread.take().unwrap().join().unwrap().unwrap();
                None
            }
        };
        let said = std::iter::from_fn(|| self.from.recv_timeout(SOON).ok());
        (said.map(|line| self.heard(&line)).collect(), status)
    }

    /// Ends the input and asserts that the server ends well; what was said until then.
    pub(crate) fn end(mut self) -> Vec<Value> {
        self.hang_up();
        let (said, status) = self.rest();
        assert!(status.is_none_or(|status| status.code() == Some(0)), "{status:?}");
        said
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.to = None;
        if let Server::Process(child) = &mut self.server {
            let _gone = child.kill();
            let _ended = child.wait();
        }
    }
}

/// The client's end of a socket; it ends what the server reads when it is dropped.
struct Ending(UnixStream);

impl Write for Ending {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _gone = self.0.shutdown(std::net::Shutdown::Write);
    }
}

/// A request of the modern era.
pub(crate) fn modern(id: impl Into<Value>, method: &str, mut params: Value) -> Value {
    let mut meta = json!({ META_VERSION: VERSION, META_CAPABILITIES: {} });
    if let Some(more) = params["_meta"].take().as_object() {
        meta.as_object_mut().unwrap().extend(more.clone());
    }
    params["_meta"] = meta;
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

/// A request of an older revision.
pub(crate) fn plain(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

/// A handshake for that revision.
pub(crate) fn handshake(revision: &str) -> Value {
    let client = json!({ "name": "tests", "version": "1" });
    plain(0, "initialize", json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": client }))
}

/// A notification that the request `id` is not wanted any more.
pub(crate) fn cancelled(id: impl Into<Value>) -> Value {
    let params = json!({ "requestId": id.into(), "reason": "tests" });
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })
}

/// Asserts that every log below the data directory of `app` checks out.
#[track_caller]
pub(crate) fn verifies(app: &TestApp) {
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/settings");
    let mut verb = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    verb.args(["audit", "verify", "--settings", settings]).env("PORTCULLIS__DATA_DIR", app.dir());
    let done = verb.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Takes the output away from a process that was just started, so that nobody reads it.
pub(crate) fn unread(child: &mut Child) -> ChildStdout {
    child.stdout.take().unwrap()
}
