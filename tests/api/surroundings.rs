//! What stands around `/mcp`: health, metrics, metadata, run.json, the lock on the data directory, the end.

use std::{fs, time::Duration};

use portcullis::{actors::audit::Filter, app::AppError};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::{TestApp, refusal, settings},
    rpc::Rpc,
    tools, until,
};

#[test]
fn health_is_open_and_says_what_works() {
    let app = TestApp::start();
    let alive = app.get("/health");
    assert_eq!((alive.status, alive.json()), (200, json!({ "status": "ok" })));
    let ready = app.get("/health/ready");
    let checks = json!({ "store": true, "audit": true, "revocation": true, "actors": true });
    assert_eq!((ready.status, ready.json()), (200, json!({ "ready": true, "checks": checks })));
    assert_eq!(app.admin("GET", "/health/ready").status, 200);
}

#[test]
fn the_metadata_of_the_resource_is_at_both_paths_and_names_the_public_url_whatever_the_host() {
    let app = TestApp::start();
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let mut connection = app.connect();
        connection.send(format!("GET {path} HTTP/1.1\r\nhost: evil.example\r\n\r\n"));
        let reply = connection.reply();
        assert_eq!(reply.status, 200);
        let expected = json!({
            "resource": "http://127.0.0.1:8080/mcp",
            "authorization_servers": ["http://127.0.0.1:8080"],
            "scopes_supported": ["weather:read"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Portcullis",
        });
        assert_eq!(reply.json(), expected);
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
}

#[test]
fn challenges_are_word_for_word_those_of_the_specifications() {
    let app = TestApp::start();
    let metadata = "resource_metadata=\"http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp\"";
    let challenge = |rpc: Rpc| rpc.send(&app).header("www-authenticate").unwrap().to_owned();
    assert_eq!(challenge(Rpc::weather()), format!("Bearer {metadata}, scope=\"weather:read\""));
    let bad = format!("Bearer error=\"invalid_token\", {metadata}, scope=\"weather:read\"");
    assert_eq!(challenge(Rpc::weather().bearer("nonsense")), bad);
    assert_eq!(challenge(Rpc::weather().header("x-api-key", "mcp_nobody")), bad);
}

#[test]
fn metrics_have_the_names_of_the_contract_and_stay_off_the_main_listener() {
    let app = TestApp::with(|_| {}, tools::all().1);
    let token = app.token("ada", "user");
    Rpc::weather().bearer(&token).send(&app).result();
    Rpc::weather().send(&app).refused(401, -31401, "missing_credential");
    Rpc::call("list_users", json!({})).bearer(&token).send(&app).refused(403, -31403, "forbidden");
    let reply = app.admin("GET", "/metrics");
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = reply.text();
    for name in [
        "portcullis_requests_total{method=\"tools/call\",outcome=\"ok\"} 1",
        "portcullis_requests_total{method=\"tools/call\",outcome=\"denied\"} 1",
        "portcullis_requests_total{method=\"none\",outcome=\"denied\"} 1",
        "portcullis_request_duration_seconds_count{method=\"tools/call\"} 2",
        "portcullis_auth_total{kind=\"jwt\",outcome=\"ok\",reason=\"none\"} 2",
        "portcullis_auth_total{kind=\"none\",outcome=\"failed\",reason=\"missing_credential\"} 1",
        "portcullis_auth_duration_seconds_count{kind=\"jwt\"} 2",
        "portcullis_denials_total{permission=\"admin:users\"} 1",
        "portcullis_tool_calls_total{tool=\"get_weather\",outcome=\"ok\"} 1",
        "portcullis_tool_duration_seconds_count{tool=\"get_weather\"} 1",
        "portcullis_mailbox_depth{actor=\"audit\"} 0",
        "portcullis_actor_restarts_total{actor=\"tokens\"} 0",
        "portcullis_streams_open 0",
    ] {
        assert!(text.lines().any(|line| line == name), "{name}\n{text}");
    }
    for name in [
        "portcullis_audit_events_total ",
        "portcullis_audit_commit_seconds_count ",
        "portcullis_revocation_staleness_seconds ",
        "portcullis_build_info{version=",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}\n{text}");
    }
    assert_eq!(app.get("/metrics").status, 404);
    let open = TestApp::start_with(|settings| settings.admin.unsafe_metrics_on_main = true);
    assert_eq!(open.get("/metrics").status, 200);
}

#[test]
fn labels_come_from_closed_sets_whatever_clients_send() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    for n in 0..50 {
        let name = format!("made_up_{n}");
        Rpc::call(&name, json!({})).bearer(&token).send(&app);
        Rpc::new(&format!("made/up{n}"), json!({})).bearer(&token).send(&app);
    }
    let text = app.admin("GET", "/metrics").text();
    assert!(!text.contains("made"), "{text}");
    assert!(text.contains("method=\"other\""), "{text}");
}

#[test]
fn run_json_says_where_the_server_is_for_as_long_as_it_is_there() {
    let mut app = TestApp::start();
    let place = app.dir().join("run.json");
    let run: Value = serde_json::from_slice(&fs::read(&place).unwrap()).unwrap();
    assert_eq!(run["pid"], std::process::id());
    assert_eq!(run["mcp_url"], format!("http://{}/mcp", app.main));
    assert_eq!(run["admin_url"], format!("http://{}", app.admin));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&place).unwrap().permissions());
    assert_eq!(mode & 0o077, 0);
    app.stop();
    assert!(!place.exists());
}

#[test]
fn a_second_server_on_the_same_data_directory_is_refused() {
    let app = TestApp::start();
    let refused = refusal(&settings(app.dir()), Vec::new());
    assert!(matches!(refused, AppError::Served(_)), "{refused}");
    assert!(app.is_ready(), "the first one goes on");
}

#[test]
fn a_port_that_is_taken_is_named_by_its_setting() {
    let app = TestApp::start();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut settings = settings(elsewhere.path());
    settings.server.port = app.main.port();
    let refused = refusal(&settings, Vec::new());
    assert!(refused.to_string().starts_with("server.port = "), "{refused}");
}

#[test]
fn a_stopping_server_answers_what_it_has_begun_and_begins_nothing() {
    let (watched, tools) = tools::all();
    let mut app = TestApp::with(|settings| settings.server.shutdown_grace = Duration::from_secs(5), tools);
    let token = app.token("ada", "user");
    let (mut busy, mut idle) = (app.connect(), app.connect());
    Rpc::weather().bearer(&token).on(&mut idle).result();
    busy.send(Rpc::call("waits", json!({})).bearer(&token).bytes());
    until("the tool begins", SOON, || watched.begun() == 1);
    app.stop_begins();
    until("nothing new is begun", SOON, || {
        idle.try_send(Rpc::weather().bearer(&token).bytes());
        match idle.try_reply() {
            Some(reply) if reply.status == 503 => {
                reply.refused(503, -31503, "shutting_down");
                true
            }
            Some(_) => false,
            None => true,
        }
    });
    watched.go.notify_one();
    let reply = busy.reply();
    reply.result();
    app.stop();
    let of = |event: &str| app.records(Filter { event: Some(event.into()), ..Filter::default() });
    let called = of("tool.called");
    assert!(
        called.iter().any(|r| r.request_id.as_deref() == reply.header("x-request-id") && r.outcome == "ok")
    );
    assert_eq!((of("server.started").len(), of("server.stopped").len()), (1, 1));
    assert!(portcullis::actors::audit::verify(app.dir(), None).unwrap().ok());
}

#[test]
fn what_does_not_end_within_the_grace_is_dropped_and_recorded() {
    let (watched, tools) = tools::all();
    let mut app = TestApp::with(|_| {}, tools);
    let mut busy = app.connect();
    busy.send(Rpc::call("waits", json!({})).bearer(&app.token("ada", "user")).bytes());
    until("the tool begins", SOON, || watched.begun() == 1);
    app.stop();
    assert_eq!(watched.dropped(), 1);
    assert!(busy.try_reply().is_none_or(|reply| reply.status >= 500));
    let called = app.records(Filter { event: Some("tool.called".into()), ..Filter::default() });
    assert_eq!((called.len(), &*called[0].outcome), (1, "cancelled"));
}

#[test]
fn other_paths_are_not_there_and_say_so_in_one_shape() {
    let app = TestApp::start();
    for path in [
        "/",
        "/dashboard",
        "/admin/api/v1/users",
        "/mcp/",
        "/auth/nothing",
        "/.well-known/openid-configuration",
    ] {
        let reply = app.get(path);
        assert_eq!((reply.status, &*reply.reason()), (404, "not_found"), "{path}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.json()["request_id"].as_str(), reply.header("x-request-id"));
    }
}
