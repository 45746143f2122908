//! Rows A12 and A14: who may read what the log says, and alerts that flood nobody.

use portcullis::actors::audit::Filter;
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::{TestApp, without_limits},
    rpc::Rpc,
    until,
};

fn ask(app: &TestApp, token: &str) -> super::support::http::Reply {
    Rpc::call("get_security_audit", json!({ "time_range": "1h" })).bearer(token).send(app)
}

/// What the tool tells whoever may ask.
fn told(app: &TestApp, token: &str) -> Value {
    ask(app, token).result()["structuredContent"].take()
}

#[test]
fn a12_an_auditor_reads_a_user_does_not_and_an_administrator_is_on_record() {
    let app = TestApp::start();
    let (auditor, _) = app.minted("audrey", &[], &["metrics:view"], "tests");
    assert_eq!(told(&app, &auditor)["time_range"], "1h");
    Rpc::call("list_users", json!({})).bearer(&auditor).send(&app).refused(403, -31403, "forbidden");
    for role in ["guest", "user", "premium"] {
        let reply = ask(&app, &app.token("ada", role));
        reply.refused(403, -31403, "forbidden");
        assert_eq!(app.record_of(&reply).missing.as_deref(), Some("metrics:view"), "{role}");
    }
    let own = ask(&app, &app.token("root", "admin"));
    own.result();
    let record = app.record_of(&own);
    assert_eq!((record.event.as_str(), record.tool.as_deref()), ("tool.called", Some("get_security_audit")));
    assert_eq!(record.principal.unwrap().id, "root");
}

#[test]
fn a14_a_thousand_matches_are_one_alert_and_disturb_nobody() {
    let app = TestApp::start_with(without_limits);
    let admin = app.token("root", "admin");
    let good = Rpc::weather().bearer(&admin);
    let mut connection = app.connect_from("127.0.0.9");
    for n in 0..1_000 {
        let reply = Rpc::weather().bearer(&format!("no.such.token{n}")).on(&mut connection);
        reply.refused(401, -31401, "invalid_token");
        if n % 100 == 0 {
            good.send(&app).result();
        }
    }
    until("all of them are counted", SOON, || {
        let told = told(&app, &admin);
        told["totals"]["failed_authentications"] == 1_000 && told["totals"]["unusual"] == 1
    });
    let alerts = app.records(Filter { event: Some("alert.raised".into()), ..Filter::default() });
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let detail = alerts[0].detail.as_ref().unwrap();
    assert_eq!(detail["subject"], json!({ "address": "127.0.0.9" }));
    assert_eq!(
        (&detail["pattern"], &detail["window_seconds"]),
        (&json!("repeated_auth_failures"), &json!(300))
    );
    assert!(detail["count"].as_u64().unwrap() >= 10);
}
