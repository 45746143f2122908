//! One running server: started, found by its `run.json`, watched until it answers, ended by a signal.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::{caller::Caller, home::Home, output};

/// Longest wait for a server's first answer, seconds; a debug build under load is slow.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Longest wait for a stopped server's end: its `shutdown_grace` and a margin.
const END_DEADLINE: Duration = Duration::from_secs(20);
/// Pause between two looks at something that another process does.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// `data_dir/run.json`.
#[derive(Debug, Deserialize)]
struct Run {
    pid: i32,
    mcp_url: String,
    admin_url: String,
}

/// A running server; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    run: Run,
    name: &'static str,
    http: reqwest::Client,
}

impl Server {
    /// Starts `portcullis serve` in `home` and waits until it is ready.
    pub(crate) async fn start(home: &Home) -> Self {
        let mut command = home.command();
        command.arg("serve");
        Self::start_by(home, command).await
    }

    /// The same by a command of the test's own that becomes the server.
    pub(crate) async fn start_by(home: &Home, mut command: Command) -> Self {
        let before = read_run(home).map(|run| run.pid);
        let log = output::append_to("servers", &format!("{}.log", home.name()));
        let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let started = Instant::now();
        let http = super::caller::http();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended while starting: {status}; see servers/{}.log", home.name());
            }
            if let Some(run) = read_run(home).filter(|run| Some(run.pid) != before) {
                let server = Self { child, run, name: home.name(), http };
                server.ready_within(START_DEADLINE).await;
                return server;
            }
            assert!(started.elapsed() < START_DEADLINE, "no run.json; see servers/{}.log", home.name());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until `/health/ready` says so.
    pub(crate) async fn ready_within(&self, deadline: Duration) {
        let started = Instant::now();
        while !self.is_ready().await {
            assert!(started.elapsed() < deadline, "{} was not ready within {deadline:?}", self.name);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether `/health/ready` answers 200.
    pub(crate) async fn is_ready(&self) -> bool {
        let url = format!("{}/health/ready", self.origin());
        self.http.get(url).send().await.is_ok_and(|answer| answer.status() == 200)
    }

    /// The process.
    pub(crate) fn pid(&self) -> i32 {
        self.run.pid
    }

    /// A caller on connections of its own.
    pub(crate) fn caller(&self, token: Option<&str>) -> Caller {
        Caller::new(&self.run.mcp_url, token)
    }

    /// Where the main listener is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.origin().rsplit('/').next().unwrap().parse().unwrap()
    }

    /// Scheme, host and port of the main listener.
    pub(crate) fn origin(&self) -> &str {
        self.run.mcp_url.trim_end_matches("/mcp")
    }

    /// The admin listener, without a slash at its end.
    pub(crate) fn admin(&self) -> &str {
        self.run.admin_url.trim_end_matches('/')
    }

    /// Asks the named actor to panic.
    pub(crate) async fn fault(&self, actor: &str) {
        let url = format!("{}/admin/faults/{actor}", self.admin());
        assert_eq!(self.http.post(url).send().await.unwrap().status(), 202);
    }

    /// The value of one series of `/metrics`, written as it stands there; 0 if it is not there yet.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let url = format!("{}/metrics", self.admin());
        let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
        fs::create_dir_all(output::folder().join("metrics")).unwrap();
        fs::write(output::folder().join("metrics").join(self.name), &text).unwrap();
        let value = |line: &str| line.strip_prefix(series)?.trim().parse().ok();
        text.lines().find_map(value).unwrap_or(0.0)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.run.pid).unwrap(), signal).unwrap();
    }

    /// Waits for the end by itself.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < END_DEADLINE, "{} did not end", self.name);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// `kill -9`, then waits for the end.
    pub(crate) async fn killed(self) {
        self.signal(Signal::KILL);
        assert!(!self.ended().await.success());
    }

    /// SIGTERM, then asserts the exit code 0.
    pub(crate) async fn stopped(self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "a graceful stop exits 0, not {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only what was not waited for yet is still there to be killed.
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

fn read_run(home: &Home) -> Option<Run> {
    serde_json::from_slice(&fs::read(home.data_dir().join("run.json")).ok()?).ok()
}
