//! One whole server a test: temporary data directory, free ports, a thread of its own.

use std::{net::SocketAddr, path::Path, sync::mpsc, thread::JoinHandle, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis::{
    actors::{
        audit::{self, Filter, Record},
        changes::Changes,
        tokens::{Keyring, Tokens},
        users::Users,
    },
    app::{self, Additions, AppError},
    domain::SigningSecret,
    settings::{RateSettings, Settings},
    tools::AnyTool,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{
    SOON,
    http::{Connection, Reply},
    output, until,
};

/// A running server.
pub(crate) struct TestApp {
    /// The main listener.
    pub(crate) main: SocketAddr,
    /// The second listener.
    pub(crate) admin: SocketAddr,
    /// As it was started.
    pub(crate) settings: Settings,
    /// The JWT manager of the running server.
    pub(crate) tokens: Tokens,
    /// The accounts of the running server.
    pub(crate) users: Users,
    /// Where the running server tells of changes.
    pub(crate) changes: Changes,
    /// The password of the account that its first start has made.
    pub(crate) first_password: Option<String>,
    /// Signs what the server would sign.
    pub(crate) keyring: Keyring,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), AppError>>>,
    home: TempDir,
}

impl TestApp {
    /// A server with the development profile.
    pub(crate) fn start() -> Self {
        Self::with(|_| {}, Vec::new())
    }

    /// A server with settings of its own.
    pub(crate) fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with(change, Vec::new())
    }

    /// A server that a test may flood: no limit is ever reached, as in the profile `loadtest`.
    pub(crate) fn start_roomy() -> Self {
        Self::start_with(without_limits)
    }

    /// A server with settings and tools of its own.
    pub(crate) fn with(change: impl FnOnce(&mut Settings), tools: Vec<Box<dyn AnyTool>>) -> Self {
        Self::with_additions(change, Additions { tools, ..Additions::default() })
    }

    /// A server with settings, tools, resources and prompts of its own.
    pub(crate) fn with_additions(change: impl FnOnce(&mut Settings), more: Additions) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut settings = settings(home.path());
        change(&mut settings);
        Self::boot(home, settings, more)
    }

    /// A server with these tools on a data directory that another one has left.
    pub(crate) fn at(home: TempDir, tools: Vec<Box<dyn AnyTool>>) -> Self {
        let settings = settings(home.path());
        Self::boot(home, settings, Additions { tools, ..Additions::default() })
    }

    fn boot(home: TempDir, settings: Settings, more: Additions) -> Self {
        output::log();
        let (stop, stopped) = oneshot::channel();
        let (started, ready) = mpsc::channel();
        let given = settings.clone();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let server = app::start_with(&given, more).await?;
                let urls = [server.mcp_url(), server.admin_url()].map(address);
                let handles = (server.tokens().clone(), server.users().clone(), server.changes().clone());
                let password = server.first_password().map(str::to_owned);
                started.send((urls, handles, password)).unwrap();
                server.run_until(async { drop(stopped.await) }).await
            })
        });
        let Ok(([main, admin], (tokens, users, changes), first_password)) = ready.recv() else {
            panic!("the server does not start: {:?}", thread.join().unwrap());
        };
        first_password.iter().for_each(|password| output::secret(password));
        let keyring = app::keyring(&settings).unwrap();
        Self {
            main,
            admin,
            settings,
            tokens,
            users,
            changes,
            first_password,
            keyring,
            stop: Some(stop),
            thread: Some(thread),
            home,
        }
    }

    /// Stops it and starts another one on the same data directory, with the same settings.
    pub(crate) fn restart(self) -> Self {
        self.restart_with(|_| {})
    }

    /// Stops it and starts another one on the same data directory, with the settings as `change` leaves them.
    pub(crate) fn restart_with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        self.stop();
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().unwrap());
        let mut settings = self.settings.clone();
        change(&mut settings);
        Self::boot(home, settings, Additions::default())
    }

    /// Stops it gracefully, and waits for that.
    pub(crate) fn stop(&mut self) {
        self.stop_begins();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }

    /// Tells it to stop.
    pub(crate) fn stop_begins(&mut self) {
        drop(self.stop.take());
    }

    /// Its data directory.
    pub(crate) fn dir(&self) -> &Path {
        self.home.path()
    }

    /// A new connection to the main listener.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.main)
    }

    /// A new connection to the main listener from another address of this machine.
    pub(crate) fn connect_from(&self, source: &str) -> Connection {
        Connection::open_from(source.parse().unwrap(), self.main)
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.connect().get(path)
    }

    /// One request to the second listener.
    pub(crate) fn admin(&self, method: &str, path: &str) -> Reply {
        let mut connection = Connection::open(self.admin);
        connection.send(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"));
        connection.reply()
    }

    /// The value of one line of `/metrics`; zero if it is not there.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.admin("GET", "/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        line.unwrap_or_default()
    }

    /// Makes an actor panic.
    pub(crate) fn fault(&self, actor: &str) {
        assert_eq!(self.admin("POST", &format!("/admin/faults/{actor}")).status, 202);
    }

    /// Whether every part works.
    pub(crate) fn is_ready(&self) -> bool {
        self.get("/health/ready").status == 200
    }

    /// Every record so far that fits.
    pub(crate) fn records(&self, filter: Filter) -> Vec<Record> {
        audit::query(self.dir(), filter).unwrap().map(|found| found.unwrap().record).collect()
    }

    /// The one record of an answer that has one, once it is there: found by the id that the answer carries.
    pub(crate) fn record_of(&self, reply: &Reply) -> Record {
        let id = reply.header("x-request-id").expect("an answer without a request id").to_owned();
        let mut found = Vec::new();
        until("the record of an answer", SOON, || {
            found = self.records(Filter { request_id: Some(id.clone()), ..Filter::default() });
            found.retain(|record| record.duration_us.is_some());
            !found.is_empty()
        });
        assert_eq!(found.len(), 1, "one answer, one record: {found:?}");
        found.remove(0)
    }

    /// The first record that fits, once it is there.
    pub(crate) fn awaited(&self, event: &str, outcome: &str, most: Duration) -> Record {
        let filter = Filter { event: Some(event.into()), outcome: Some(outcome.into()), ..Filter::default() };
        let mut found = Vec::new();
        until(&format!("a record {event} {outcome}"), most, || {
            found = self.records(filter.clone());
            !found.is_empty()
        });
        found.remove(0)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop_begins();
        let ended = self.thread.take().map(JoinHandle::join);
        let name = std::thread::current().name().unwrap_or("unnamed").replace("::", "-");
        output::keep(&self.dir().join("audit"), "audit", &format!("{}-{name}", env!("CARGO_CRATE_NAME")));
        if !std::thread::panicking() {
            assert!(matches!(ended, None | Some(Ok(Ok(())))), "the server did not stop well: {ended:?}");
        }
    }
}

/// The settings of a test's server: development, free ports, a secret of its own, short waits at its end.
pub(crate) fn settings(dir: &Path) -> Settings {
    let mut settings = Settings::development(dir).unwrap();
    settings.server.port = 0;
    settings.admin.port = 0;
    settings.server.workers = 2;
    settings.server.shutdown_grace = Duration::from_secs(1);
    settings.admin.unsafe_faults = true;
    // A machine on which many tests run has pauses that no Redis makes.
    settings.limits.store_wait = Duration::from_secs(2);
    settings.jwt.secret = Some(secret());
    settings
}

/// Lifts every limit, as the profile `loadtest` does: for a test that floods its server.
pub(crate) fn without_limits(settings: &mut Settings) {
    let most = RateSettings { capacity: 1_000_000_000, refill_per_second: 1e9 };
    let limits = &mut settings.limits;
    (limits.default, limits.ip, limits.failures) = (most, most, most);
    for role in settings.roles.values_mut() {
        (role.capacity, role.refill_per_second) = (None, None);
    }
}

/// A new signing secret, noted.
pub(crate) fn secret() -> SigningSecret {
    let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 48]>());
    output::secret(&text);
    text.parse().unwrap()
}

/// Starts what must not start; gives the reason.
pub(crate) fn refusal(settings: &Settings, tools: Vec<Box<dyn AnyTool>>) -> AppError {
    actix::System::new().block_on(async { app::start(settings, tools).await.err().expect("it started") })
}

fn address(url: &str) -> SocketAddr {
    let rest = url.split_once("://").unwrap().1;
    rest.split('/').next().unwrap().parse().unwrap()
}

/// A body as JSON.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
