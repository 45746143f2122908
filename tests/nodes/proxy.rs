//! A way to a Redis that can be spoilt: slow, deaf, shut, half cut, full of noise, or answering for the Redis itself.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a thread waits for bytes before it looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

/// What the way does to what goes over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Each answer comes so much later.
    Slow(Duration),
    /// So many answers at the beginning of each connection come so much later.
    SlowToOpen(usize, Duration),
    /// Connections open, and nothing comes back.
    BlackHole,
    /// Connections from before are deaf, new ones work.
    HalfOpen,
    /// The next answer of each connection from before is lost, and the connection with it; new ones work.
    LosesAnswer,
    /// Connections end as soon as they begin, and those from before at once.
    Shut,
    /// Answers are noise.
    Noise,
    /// Every command is answered so, and nobody else hears of it.
    Says(&'static str),
    /// Answers end in the middle, and the connection with them.
    CutShort,
}

struct Shared {
    to: AtomicU16,
    fault: Mutex<Fault>,
    /// Counts the changes of the fault: a connection that is older is of the time before.
    epoch: AtomicUsize,
    opened: AtomicUsize,
    open: AtomicUsize,
    /// Counts what was asked in one go.
    questions: AtomicUsize,
    ends: AtomicBool,
}

impl Shared {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }
}

/// The way; it ends with this value.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    /// Where it listens.
    pub(crate) port: u16,
    listening: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A way to the Redis on port `to`.
    pub(crate) fn to(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            to: AtomicU16::new(to),
            fault: Mutex::new(Fault::None),
            epoch: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            questions: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        let listening = Some(thread::spawn(move || listen(&listener, &state)));
        Self { shared, port, listening }
    }

    /// From now on it is so.
    pub(crate) fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on new connections lead to the Redis on port `to`, and those from before where they did.
    pub(crate) fn leads_to(&self, to: u16) {
        self.shared.to.store(to, Ordering::SeqCst);
    }

    /// How many connections were opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.shared.opened.load(Ordering::SeqCst)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How often something was asked so far, however many commands came in one go: round trips.
    pub(crate) fn questions(&self) -> usize {
        self.shared.questions.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Somebody has to knock for the listener to look up.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        drop(self.listening.take().map(JoinHandle::join));
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((client, _)) = listener.accept() {
        if shared.ends.load(Ordering::SeqCst) {
            return;
        }
        shared.opened.fetch_add(1, Ordering::SeqCst);
        if shared.fault() == Fault::Shut {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", shared.to.load(Ordering::SeqCst))) else {
            continue;
        };
        let carried = Arc::new(Carried {
            shared: Arc::clone(shared),
            epoch: shared.epoch.load(Ordering::SeqCst),
            is_answered: AtomicBool::new(true),
            client,
            server,
        });
        shared.open.fetch_add(1, Ordering::SeqCst);
        let back = Arc::clone(&carried);
        thread::spawn(move || back.answers());
        thread::spawn(move || {
            carried.questions();
            carried.shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// One connection.
struct Carried {
    shared: Arc<Shared>,
    epoch: usize,
    /// Whether an answer came since the last command: with the next one a question begins.
    is_answered: AtomicBool,
    client: TcpStream,
    server: TcpStream,
}

impl Carried {
    /// Carries commands, one after the other, until the client leaves.
    fn questions(&self) {
        let mut from = BufReader::new(Patient(&self.client, self));
        while let Some(command) = command(&mut from) {
            if self.is_answered.swap(false, Ordering::SeqCst) {
                self.shared.questions.fetch_add(1, Ordering::SeqCst);
            }
            let sent = match self.shared.fault() {
                Fault::BlackHole => Ok(()),
                Fault::HalfOpen if self.is_of_before() => Ok(()),
                Fault::Shut => break,
                Fault::Says(text) => (&self.client).write_all(format!("{text}\r\n").as_bytes()),
                _ => (&self.server).write_all(&command),
            };
            if sent.is_err() {
                break;
            }
        }
        self.end();
    }

    /// Carries answers, as they come.
    fn answers(&self) {
        let mut from = Patient(&self.server, self);
        let mut chunk = vec![0; 64 * 1024];
        let mut carried = 0;
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            let mut client = &self.client;
            carried += 1;
            self.is_answered.store(true, Ordering::SeqCst);
            let sent = match self.shared.fault() {
                Fault::Slow(by) => {
                    // That is what it is for.
                    pause(by);
                    client.write_all(&chunk[..length])
                }
                Fault::SlowToOpen(first, by) => {
                    if carried <= first {
                        pause(by);
                    }
                    client.write_all(&chunk[..length])
                }
                Fault::BlackHole | Fault::Says(_) => Ok(()),
                Fault::HalfOpen if self.is_of_before() => Ok(()),
                Fault::Noise => client.write_all(b"\x00\xff!noise\r\n\xfe%9\r\n"),
                Fault::CutShort => {
                    _ = client.write_all(&chunk[..length / 2]);
                    break;
                }
                Fault::LosesAnswer if self.is_of_before() => break,
                Fault::None | Fault::HalfOpen | Fault::LosesAnswer | Fault::Shut => {
                    client.write_all(&chunk[..length])
                }
            };
            if sent.is_err() {
                break;
            }
        }
        self.end();
    }

    fn is_of_before(&self) -> bool {
        self.epoch != self.shared.epoch.load(Ordering::SeqCst)
    }

    fn end(&self) {
        _ = self.client.shutdown(Shutdown::Both);
        _ = self.server.shutdown(Shutdown::Both);
    }
}

/// Reads until there is something, the connection has ended, or is to end.
struct Patient<'a>(&'a TcpStream, &'a Carried);

impl Read for Patient<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.set_read_timeout(Some(TICK))?;
        loop {
            let shared = &self.1.shared;
            if shared.ends.load(Ordering::SeqCst) || shared.fault() == Fault::Shut {
                return Ok(0);
            }
            match self.0.read(into) {
                Err(e)
                    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                read => return read,
            }
        }
    }
}

/// One command as it came, if there is one more: an array of texts.
fn command(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    let words = length(from, &mut whole)?;
    for _ in 0..words {
        let rest = length(from, &mut whole)? + 2;
        let begun = whole.len();
        whole.resize(begun + rest, 0);
        from.read_exact(&mut whole[begun..]).ok()?;
    }
    Some(whole)
}

/// The number after the first character of a line.
fn length(from: &mut impl BufRead, whole: &mut Vec<u8>) -> Option<usize> {
    let begun = whole.len();
    from.read_until(b'\n', whole).ok().filter(|read| *read > 0)?;
    std::str::from_utf8(&whole[begun + 1..]).ok()?.trim().parse().ok()
}

fn pause(wait: Duration) {
    let ends = Instant::now() + wait;
    while let Some(left) = ends.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}
