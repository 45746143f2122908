//! `get_security_audit` over the wire: what attacks on a real server come to in its answer and in the log.

use std::time::Duration;

use portcullis::{
    actors::audit::Filter,
    policy::{CallTool, Permit},
    tools::{AnyTool, Hints, Spec, Tool, ToolError},
};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    rpc::Rpc,
    tools::{Done, Nothing},
    until,
};

/// Names of tools that only an administrator may call.
const CLOSED: [&str; 5] = ["closed_1", "closed_2", "closed_3", "closed_4", "closed_5"];

/// One of them.
struct Closed<const N: usize>;

impl<const N: usize> Tool for Closed<N> {
    const SPEC: Spec = Spec {
        name: CLOSED[N],
        title: "Test",
        about: "For tests.",
        needs: "admin:users",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(1),
    };
    type Args = Nothing;
    type Output = Done;

    async fn call(&self, _: Nothing, _: &Permit<CallTool>) -> Result<Done, ToolError> {
        Err(ToolError::Timeout)
    }
}

fn closed() -> Vec<Box<dyn AnyTool>> {
    vec![
        Box::new(Closed::<0>),
        Box::new(Closed::<1>),
        Box::new(Closed::<2>),
        Box::new(Closed::<3>),
        Box::new(Closed::<4>),
    ]
}

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

#[test]
fn the_three_patterns_are_told_by_the_tool_and_stand_in_the_log() {
    let app = TestApp::with(
        |settings| {
            let guest = settings.roles.get_mut("guest").unwrap();
            (guest.capacity, guest.refill_per_second) = (Some(5), Some(0.001));
        },
        closed(),
    );
    let admin = app.token("root", "admin");
    let quiet = app.audit(&admin, "1h");
    assert_eq!(
        quiet["totals"],
        json!({ "failed_authentications": 0, "permission_denials": 0, "rate_limit_violations": 0, "unusual": 0 })
    );
    assert_eq!(
        (&quiet["unusual"], &quiet["alerts"], &quiet["offenders"]),
        (&json!([]), &json!([]), &json!([]))
    );

    // One less than makes a pattern, each: counted, and told of nobody.
    app.fails("127.0.0.9", 9);
    let probing = app.token("mallory", "user");
    let probe = |tool: &str| Rpc::call(tool, json!({})).bearer(&probing).send(&app);
    CLOSED[..4].iter().for_each(|tool| _ = probe(tool).refused(403, -31403, "forbidden"));
    let audit = app.audit_until(&admin, "everything is counted", |audit| audit["complete"] == true);
    assert_eq!(
        (&audit["totals"]["failed_authentications"], &audit["totals"]["permission_denials"]),
        (&json!(9), &json!(4))
    );
    assert_eq!(audit["totals"]["unusual"], 0);

    // One more each, and somebody who does not wait.
    app.fails("127.0.0.9", 1);
    probe(CLOSED[4]).refused(403, -31403, "forbidden");
    let hasty = Rpc::weather().bearer(&app.token("eve", "guest"));
    let mut connection = app.connect();
    let refused = (0..30).filter(|_| hasty.on(&mut connection).status == 429).count();
    assert_eq!(refused, 25);

    let audit = app.audit_until(&admin, "three patterns", |audit| audit["totals"]["unusual"] == 3);
    let totals = &audit["totals"];
    assert_eq!((&totals["failed_authentications"], &totals["permission_denials"]), (&json!(10), &json!(5)));
    assert_eq!(totals["rate_limit_violations"], 25);
    let mut unusual: Vec<_> = audit["unusual"].as_array().unwrap().iter().map(told).collect();
    unusual.sort_unstable();
    assert_eq!(
        unusual,
        [
            ("denied_tools_probed", "principal", "mallory"),
            ("repeated_auth_failures", "address", "127.0.0.9"),
            ("repeated_limit_refusals", "principal", "eve")
        ]
    );
    assert!(
        audit["unusual"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["active"] == true && it["window_seconds"] == 300)
    );
    assert_eq!(audit["alerts"].as_array().unwrap().len(), 3);
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
    for range in ["1h", "24h", "7d"] {
        let same = app.audit(&admin, range);
        assert_eq!((&same["time_range"], &same["totals"]), (&json!(range), &audit["totals"]), "{range}");
        let of_series: u64 = same["series"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["permission_denials"].as_u64().unwrap())
            .sum();
        assert_eq!(of_series, 5);
    }

    // The command line reads the same, and so does whoever checks the log.
    let printed = app.does(&["audit", "query", "--since", "24h", "--event", "alert.raised", "--json"], "");
    let mut reasons: Vec<_> = printed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["reason"].as_str().unwrap().to_owned())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["denied_tools_probed", "repeated_auth_failures", "repeated_limit_refusals"]);
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
