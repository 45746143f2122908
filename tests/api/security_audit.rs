//! `get_security_audit` over the wire: what attacks on a real server come to in its answer and in the log.

use portcullis::actors::audit::Filter;
use serde_json::{Value, json};

use super::support::{SOON, app::TestApp, rpc::Rpc, until};

/// Tools that a `user` is denied.
const DENIED: [&str; 5] = ["delete_file", "get_security_audit", "list_users", "report_weather", "write_file"];

impl TestApp {
    /// What an auditor is told of the range.
    fn audit(&self, token: &str, range: &str) -> Value {
        let reply = Rpc::call("get_security_audit", json!({ "time_range": range })).bearer(token).send(self);
        let mut result = reply.result();
        assert_ne!(result["isError"], true, "{result}");
        result["structuredContent"].take()
    }

    /// The same, once it holds.
    fn audit_until(&self, token: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut audit = Value::Null;
        until(what, SOON, || {
            audit = self.audit(token, "1h");
            holds(&audit)
        });
        audit
    }

    fn fails(&self, source: &str, count: usize) {
        let mut connection = self.connect_from(source);
        for n in 0..count {
            let forged = Rpc::weather().bearer(&format!("not.a.token{n}"));
            forged.on(&mut connection).refused(401, -31401, "invalid_token");
        }
    }
}

/// A server on which guests have five calls and get hardly any back.
fn started() -> TestApp {
    TestApp::start_with(|settings| {
        let guest = settings.roles.get_mut("guest").unwrap();
        (guest.capacity, guest.refill_per_second) = (Some(5), Some(0.001));
    })
}

/// Ten bad tokens, five denied tools, and 25 calls that do not wait; what is one less comes first.
fn attacked(app: &TestApp, admin: &str) {
    app.fails("127.0.0.9", 9);
    let probing = app.token("mallory", "user");
    let probe = |tool: &str| {
        _ = Rpc::call(tool, json!({})).bearer(&probing).send(app).refused(403, -31403, "forbidden")
    };
    DENIED[..4].iter().for_each(|tool| probe(tool));
    let audit = app.audit_until(admin, "everything is counted", |audit| audit["complete"] == true);
    let expected = json!({ "failed_authentications": 9, "permission_denials": 4, "rate_limit_violations": 0, "unusual": 0 });
    assert_eq!(audit["totals"], expected);

    app.fails("127.0.0.9", 1);
    probe(DENIED[4]);
    let hasty = Rpc::weather().bearer(&app.token("eve", "guest"));
    let mut connection = app.connect();
    let refused = (0..30).filter(|_| hasty.on(&mut connection).status == 429).count();
    assert_eq!(refused, 25);
}

#[test]
fn the_three_patterns_are_told_by_the_tool_and_stand_in_the_log() {
    let app = started();
    let admin = app.token("root", "admin");
    let quiet = app.audit(&admin, "1h");
    for list in ["unusual", "alerts", "offenders"] {
        assert_eq!(quiet[list], json!([]), "{list}");
    }
    attacked(&app, &admin);
    let audit = app.audit_until(&admin, "three patterns", |audit| audit["totals"]["unusual"] == 3);
    let unusual = audit["unusual"].as_array().unwrap();
    let mut patterns: Vec<_> = unusual.iter().map(told).collect();
    patterns.sort_unstable();
    let expected = [
        ("denied_tools_probed", "principal", "mallory"),
        ("repeated_auth_failures", "address", "127.0.0.9"),
        ("repeated_limit_refusals", "principal", "eve"),
    ];
    assert_eq!(patterns, expected);
    assert!(unusual.iter().all(|it| it["active"] == true && it["window_seconds"] == 300));
    assert_eq!(audit["alerts"].as_array().unwrap().len(), 3);

    // The command line reads the same.
    let printed = app.does(&["audit", "query", "--since", "24h", "--event", "alert.raised", "--json"], "");
    let record = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let mut reasons: Vec<_> =
        printed.lines().map(|line| record(line)["reason"].as_str().unwrap().to_owned()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, expected.map(|(pattern, ..)| pattern));
}

#[test]
fn everything_is_counted_in_totals_series_and_offenders_of_every_range() {
    let app = started();
    let admin = app.token("root", "admin");
    attacked(&app, &admin);
    let audit = app.audit_until(&admin, "the alerts too", |audit| audit["totals"]["unusual"] == 3);
    let expected = json!({ "failed_authentications": 10, "permission_denials": 5, "rate_limit_violations": 25, "unusual": 3 });
    assert_eq!(audit["totals"], expected);
    for (violation, kind, subject, count) in [
        ("failed_authentications", "address", "127.0.0.9", 10),
        ("permission_denials", "principal", "mallory", 5),
        ("permission_denials", "address", "127.0.0.1", 5),
        ("rate_limit_violations", "principal", "eve", 25),
        ("rate_limit_violations", "address", "127.0.0.1", 25),
    ] {
        let row = json!({ "violation": violation, "kind": kind, "subject": subject, "count": count, "exact": true });
        assert!(audit["offenders"].as_array().unwrap().contains(&row), "{row}\n{}", audit["offenders"]);
    }
    for (range, points) in [("1h", 61), ("24h", 25), ("7d", 169)] {
        let same = app.audit(&admin, range);
        assert_eq!((&same["time_range"], &same["totals"]), (&json!(range), &audit["totals"]), "{range}");
        let series = same["series"].as_array().unwrap();
        assert_eq!(series.len(), points, "{range}");
        for (name, total) in audit["totals"].as_object().unwrap() {
            let sum: u64 = series.iter().map(|point| point[name].as_u64().unwrap()).sum();
            assert_eq!(json!(sum), *total, "{range} {name}");
        }
    }
}

fn told(unusual: &Value) -> (&str, &str, &str) {
    let text = |member: &str| unusual[member].as_str().unwrap();
    (text("pattern"), text("kind"), text("subject"))
}

#[test]
fn a_restart_and_a_panic_keep_the_numbers_and_tell_nothing_twice() {
    let app = TestApp::start();
    let admin = app.token("root", "admin");
    app.fails("127.0.0.9", 12);
    app.audit_until(&admin, "the pattern is told", |audit| audit["totals"]["unusual"] == 1);
    let app = app.restart();
    let audit = app.audit_until(&admin, "the log is read again", |audit| audit["complete"] == true);
    assert_eq!(
        (&audit["totals"]["failed_authentications"], &audit["totals"]["unusual"]),
        (&json!(12), &json!(1))
    );
    assert_eq!(audit["unusual"][0]["active"], true);

    app.fault("insight");
    until("it is back", SOON, || app.metric("portcullis_actor_restarts_total{actor=\"insight\"}") > 0.5);
    app.fails("127.0.0.9", 3);
    let known = |audit: &Value| audit["complete"] == true && audit["totals"]["failed_authentications"] == 15;
    app.audit_until(&admin, "nothing is lost", known);
    let alerts = Filter { event: Some("alert.raised".into()), ..Filter::default() };
    assert_eq!(app.records(alerts).len(), 1);
}
