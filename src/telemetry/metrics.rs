//! Metric names, once. They are API; label values come from closed sets only.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use parking_lot::RwLock;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    StoreFailures,
    striped::{Counter, Spans},
};
use crate::domain::Outcome;

/// Whose limits there are.
const SCOPES: [&str; 5] = ["address", "failures", "user", "key", "tool"];
/// What a credential can be.
const KINDS: [&str; 5] = ["jwt", "api_key", "password", "refresh", "none"];

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// A family whose series are found by a look at a short list instead of by hashing their labels: what is
/// counted for each request of a flood must cost next to nothing.
#[derive(Debug)]
struct Counters<const N: usize> {
    family: Family<Labels<N>, Counter>,
    known: RwLock<Vec<(Labels<N>, Counter)>>,
}

impl<const N: usize> Counters<N> {
    fn of(family: Family<Labels<N>, Counter>) -> Self {
        Self { family, known: RwLock::default() }
    }

    fn count(&self, labels: &Labels<N>) {
        if let Some((_, counter)) = self.known.read().iter().find(|(known, _)| known == labels) {
            counter.inc();
            return;
        }
        let counter = self.family.get_or_create_owned(labels);
        counter.inc();
        self.known.write().push((*labels, counter));
    }
}

/// What a method or a tool counts on the hot path: its series, found once instead of once a request.
struct Meter {
    name: &'static str,
    outcomes: [(Outcome, Counter); Outcome::ALL.len()],
    duration: Spans,
}

impl Meter {
    /// The series of `name`, the value of `label` in both families.
    fn new(
        (label, name): (&'static str, &'static str),
        counts: &Family<Labels<2>, Counter>,
        durations: &Family<Labels<1>, Spans>,
    ) -> Self {
        let count = |outcome: Outcome| {
            let labels = [(label, name), ("outcome", outcome.as_str())];
            (outcome, counts.get_or_create_owned(&labels))
        };
        Self {
            name,
            outcomes: Outcome::ALL.map(count),
            duration: durations.get_or_create_owned(&[(label, name)]),
        }
    }

    fn count(&self, outcome: Outcome, took: Duration) {
        if let Some((_, counter)) = self.outcomes.iter().find(|(known, _)| *known == outcome) {
            counter.inc();
        }
        self.duration.observe(took);
    }
}

/// Counts on the meter of that name; a name that is not in the closed set is not counted.
fn count(meters: &[Meter], name: &str, (outcome, took): (Outcome, Duration)) {
    if let Some(meter) = meters.iter().find(|meter| meter.name == name) {
        meter.count(outcome, took);
    }
}

/// Everything that is counted. The client library adds `_total` to counters.
pub struct Metrics {
    registry: Registry,
    requests: Vec<Meter>,
    auth: Counters<3>,
    auth_ok: Vec<(&'static str, Counter, Spans)>,
    denials: Family<[(&'static str, String); 1], Counter>,
    rate_limited: Counters<1>,
    tools: Vec<Meter>,
    audit_events: Counter,
    audit_commit: Spans,
    audit_fleet_lag: Gauge,
    audit_fleet_sent: counter::Counter,
    audit_fleet_missed: Family<Labels<1>, counter::Counter>,
    key_rotations: Counter,
    deprecated_keys: Counter,
    redactions: Counter,
    mailbox_depth: Family<Labels<1>, Gauge>,
    actor_restarts: Family<Labels<1>, counter::Counter>,
    staleness: Gauge<f64, std::sync::atomic::AtomicU64>,
    clock_behind: Gauge<f64, std::sync::atomic::AtomicU64>,
    streams_open: Gauge,
    sessions_open: Gauge,
    tasks_running: Gauge,
    tasks_ended: Family<Labels<1>, Counter>,
    store: StoreFailures,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

impl Metrics {
    /// All at zero, for the endpoint's `methods` and these `tools`: the closed sets of label values. `store`
    /// is counted elsewhere and shown here.
    pub fn new(methods: &[&'static str], tools: &[&'static str], store: &StoreFailures) -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let r = &mut registry;
        let (requests, tool_calls) = (Family::default(), Family::default());
        let durations = Family::<Labels<1>, Spans>::default;
        let (request_duration, auth_duration, tool_duration) = (durations(), durations(), durations());
        let auth = Family::<Labels<3>, Counter>::default();
        r.register("requests", "Requests on the MCP endpoint", requests.clone());
        r.register("request_duration_seconds", "Time to the answer", request_duration.clone());
        r.register("auth", "Credentials that were looked at", auth.clone());
        r.register("auth_duration_seconds", "Time to know who is calling", auth_duration.clone());
        store.register(r);
        r.register("tool_calls", "Tools that ran", tool_calls.clone());
        r.register("tool_duration_seconds", "Time in the tool", tool_duration.clone());
        let meters = |label, names: &[&'static str], counts: &_, spans: &_| {
            names.iter().map(|name| Meter::new((label, *name), counts, spans)).collect()
        };
        let auth_ok = KINDS.map(|kind| {
            let labels = [("kind", kind), ("outcome", "ok"), ("reason", "none")];
            (kind, auth.get_or_create_owned(&labels), auth_duration.get_or_create_owned(&[("kind", kind)]))
        });
        let mut metrics = Self {
            requests: meters("method", methods, &requests, &request_duration),
            tools: meters("tool", tools, &tool_calls, &tool_duration),
            auth: Counters::of(auth),
            auth_ok: auth_ok.into(),
            denials: Family::default(),
            rate_limited: Counters::of(Family::default()),
            audit_events: Counter::default(),
            audit_commit: Spans::default(),
            audit_fleet_lag: Gauge::default(),
            audit_fleet_sent: counter::Counter::default(),
            audit_fleet_missed: Family::default(),
            key_rotations: Counter::default(),
            deprecated_keys: Counter::default(),
            redactions: Counter::default(),
            mailbox_depth: Family::default(),
            actor_restarts: Family::default(),
            staleness: Gauge::default(),
            clock_behind: Gauge::default(),
            streams_open: Gauge::default(),
            sessions_open: Gauge::default(),
            tasks_running: Gauge::default(),
            tasks_ended: Family::default(),
            store: store.clone(),
            registry,
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let build = Family::<Labels<1>, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let r = &mut self.registry;
        r.register("denials", "Known callers that lacked a permission", self.denials.clone());
        r.register("rate_limited", "Requests over a limit", self.rate_limited.family.clone());
        SCOPES.iter().for_each(|scope| drop(self.rate_limited.family.get_or_create(&[("scope", *scope)])));
        r.register("audit_events", "Audit records committed", self.audit_events.clone());
        r.register("audit_commit_seconds", "Time to write and sync one batch", self.audit_commit.clone());
        let missed = self.audit_fleet_missed.clone();
        r.register("audit_fleet_lag_records", "Not in the fleet's log yet", self.audit_fleet_lag.clone());
        r.register("audit_fleet_records", "Sent to the fleet's log", self.audit_fleet_sent.clone());
        r.register("audit_fleet_missed_records", "Not or no longer in the fleet's log", missed);
        r.register("key_rotations", "API keys that asked for their successor", self.key_rotations.clone());
        r.register(
            "deprecated_key_uses",
            "Uses of API keys that have a successor",
            self.deprecated_keys.clone(),
        );
        r.register("redactions", "Credentials in results of tools, not shown", self.redactions.clone());
        r.register("mailbox_depth", "Asks that wait for an actor", self.mailbox_depth.clone());
        r.register("actor_restarts", "Actors rebuilt after a panic", self.actor_restarts.clone());
        r.register("revocation_staleness_seconds", "Age of the last complete look", self.staleness.clone());
        r.register("clock_behind_seconds", "How far the clock was put back", self.clock_behind.clone());
        r.register("streams_open", "Event streams open", self.streams_open.clone());
        r.register("sessions_open", "Sessions of older revisions", self.sessions_open.clone());
        r.register("tasks_running", "Tasks that have not ended", self.tasks_running.clone());
        r.register("tasks", "Tasks that have ended", self.tasks_ended.clone());
        r.register("build_info", "This build", build);
    }

    /// One request was answered.
    pub fn request(&self, method: &'static str, outcome: Outcome, took: Duration) {
        count(&self.requests, method, (outcome, took));
    }

    /// One credential of `kind` (`jwt`, `api_key`, `password`, `refresh`, `none`) was looked at; `reason` says why it does not hold.
    pub fn auth(&self, kind: &'static str, reason: Option<&'static str>, took: Duration) {
        let Some((_, held, duration)) = self.auth_ok.iter().find(|(known, ..)| *known == kind) else {
            return;
        };
        duration.observe(took);
        match reason {
            None => _ = held.inc(),
            Some(reason) => {
                let labels = [("kind", kind), ("outcome", "failed"), ("reason", reason)];
                self.auth.count(&labels);
            }
        }
    }

    /// A known caller lacked `permission`.
    pub fn denial(&self, permission: &str) {
        self.denials.get_or_create(&[("permission", permission.to_owned())]).inc();
    }

    /// A request was over the limit of `scope`; also where limits are only watched.
    pub fn rate_limited(&self, scope: &'static str) {
        self.rate_limited.count(&[("scope", scope)]);
    }

    /// A tool ran.
    pub fn tool_call(&self, tool: &'static str, outcome: Outcome, took: Duration) {
        count(&self.tools, tool, (outcome, took));
    }

    /// The audit log committed `records` in one batch.
    pub fn audit_commit(&self, records: u64, took: Duration) {
        self.audit_events.inc_by(records);
        self.audit_commit.observe(took);
    }

    /// How the sending of audit records to the fleet's log stands: how many wait and were sent since the start, and how
    /// many were not since they were gone, too old or too many.
    pub fn audit_fleet(&self, (lag, sent): (u64, u64), (gone, too_old, too_many): (u64, u64, u64)) {
        self.audit_fleet_lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
        self.audit_fleet_sent.inner().store(sent, Ordering::Relaxed);
        for (cause, count) in [("gone", gone), ("too_old", too_old), ("too_many", too_many)] {
            let missed = self.audit_fleet_missed.get_or_create(&[("cause", cause)]);
            missed.inner().store(count, Ordering::Relaxed);
        }
    }

    /// An API key got its successor at its own wish.
    pub fn key_rotation(&self) {
        self.key_rotations.inc();
    }

    /// An API key was used although it has a successor.
    pub fn deprecated_key(&self) {
        self.deprecated_keys.inc();
    }

    /// The result of a tool held `count` credentials, which were not shown.
    pub fn redactions(&self, count: u32) {
        self.redactions.inc_by(u64::from(count));
    }

    /// An event stream begins.
    pub fn stream_opened(&self) {
        self.streams_open.inc();
    }

    /// An event stream has ended.
    pub fn stream_closed(&self) {
        self.streams_open.dec();
    }

    /// How many sessions there are at this moment.
    pub fn sessions(&self, open: usize) {
        self.sessions_open.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// So many tasks run.
    pub fn tasks_running(&self, running: usize) {
        self.tasks_running.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    /// A task has ended: `completed`, `failed` or `cancelled`.
    pub fn task_ended(&self, status: &'static str) {
        self.tasks_ended.get_or_create(&[("status", status)]).inc();
    }

    /// Whether questions to the store fail at once, since it has not answered lately.
    pub fn is_store_shut(&self) -> bool {
        self.store.is_shut()
    }

    /// What an actor looks like at this moment.
    pub fn actor(&self, name: &'static str, restarts: u64, depth: i64) {
        self.mailbox_depth.get_or_create(&[("actor", name)]).set(depth);
        self.actor_restarts.get_or_create(&[("actor", name)]).inner().store(restarts, Ordering::Relaxed);
    }

    /// How old our knowledge of revocations is.
    pub fn staleness(&self, age: Duration) {
        self.staleness.set(age.as_secs_f64());
    }

    /// How far the system's clock was put back since the last token was issued.
    pub fn clock_behind(&self, behind: Duration) {
        self.clock_behind.set(behind.as_secs_f64());
    }

    /// Everything in the text format of `OpenMetrics` 1.0.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // Writing into a String cannot fail.
        let _written = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_contract() {
        let failures = StoreFailures::default();
        let metrics = Metrics::new(&["tools/call"], &["get_weather"], &failures);
        metrics.request("tools/call", Outcome::Ok, Duration::from_millis(1));
        metrics.auth("jwt", Some("invalid_token"), Duration::ZERO);
        metrics.denial("admin:users");
        metrics.rate_limited("user");
        metrics.tool_call("get_weather", Outcome::Ok, Duration::ZERO);
        metrics.audit_commit(3, Duration::ZERO);
        metrics.key_rotation();
        metrics.deprecated_key();
        metrics.redactions(2);
        metrics.actor("audit", 2, 0);
        assert!(failures.note("feed", Err::<(), _>("lost")).is_err());
        assert_eq!(failures.note("users.page", Ok::<_, ()>(1)), Ok(1));
        metrics.staleness(Duration::from_millis(1_500));
        metrics.clock_behind(Duration::from_millis(500));
        let text = metrics.render();
        for line in [
            "portcullis_requests_total{method=\"tools/call\",outcome=\"ok\"} 1",
            "portcullis_request_duration_seconds_count{method=\"tools/call\"} 1",
            "portcullis_auth_total{kind=\"jwt\",outcome=\"failed\",reason=\"invalid_token\"} 1",
            "portcullis_denials_total{permission=\"admin:users\"} 1",
            "portcullis_rate_limited_total{scope=\"user\"} 1",
            "portcullis_rate_limited_total{scope=\"failures\"} 0",
            "portcullis_tool_calls_total{tool=\"get_weather\",outcome=\"ok\"} 1",
            "portcullis_audit_events_total 3",
            "portcullis_audit_commit_seconds_count 1",
            "portcullis_key_rotations_total 1",
            "portcullis_deprecated_key_uses_total 1",
            "portcullis_redactions_total 2",
            "portcullis_mailbox_depth{actor=\"audit\"} 0",
            "portcullis_actor_restarts_total{actor=\"audit\"} 2",
            "portcullis_store_errors_total{op=\"feed\"} 1",
            "portcullis_revocation_staleness_seconds 1.5",
            "portcullis_clock_behind_seconds 0.5",
            "portcullis_streams_open 0",
            "portcullis_sessions_open 0",
            "portcullis_build_info{version=\"0.1.0\"} 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }
}
