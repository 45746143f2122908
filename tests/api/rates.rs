//! Who has had enough is told so exactly, over a real socket; everybody else goes on.

use std::time::{Duration, Instant};

use portcullis::{
    actors::audit::Filter,
    settings::{LimitMode, RateSettings, Settings, ToolLimitSettings},
};
use serde_json::json;

use super::support::{
    SOON,
    app::{TestApp, refusal, settings},
    http::Reply,
    pause,
    rpc::Rpc,
    tools, until,
};

/// The wait that a refusal tells.
fn wait_of(reply: &Reply) -> Duration {
    Duration::from_millis(reply.json()["error"]["data"]["retryAfterMs"].as_u64().unwrap())
}

/// Calls on one connection until one is refused; gives how many were not, and the refusal.
fn until_refused(app: &TestApp, rpc: &Rpc) -> (u32, Reply) {
    let mut connection = app.connect();
    for served in 0..100_000 {
        let reply = rpc.on(&mut connection);
        if reply.status == 429 {
            return (served, reply);
        }
    }
    panic!("nobody is ever refused");
}

fn rate(capacity: u32, refill_per_second: f64) -> RateSettings {
    RateSettings { capacity, refill_per_second }
}

/// Gives guests so much, that a slow machine gives them nothing back while a test runs.
fn guests_have(settings: &mut Settings, capacity: u32, refill_per_second: f64) {
    let guest = settings.roles.get_mut("guest").unwrap();
    (guest.capacity, guest.refill_per_second) = (Some(capacity), Some(refill_per_second));
}

#[test]
fn the_fifty_first_call_of_a_guest_is_told_when_to_come_back_and_then_is_served() {
    let app = TestApp::start();
    let rpc = Rpc::weather().bearer(&app.token("ada", "guest"));
    let started = Instant::now();
    let (served, reply) = until_refused(&app, &rpc);
    let came_back = u32::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!((50..=50 + came_back).contains(&served), "{served} served");
    reply.refused(429, -31429, "rate_limited");
    let wait = wait_of(&reply);
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(reply.header("ratelimit"), Some("\"user\";r=0;t=1"));
    assert_eq!(reply.header("ratelimit-policy"), Some("\"user\";q=50;w=50"));
    assert_eq!(reply.json()["id"], 1);
    pause(wait);
    rpc.send(&app).result();

    Rpc::weather().bearer(&app.token("bob", "guest")).send(&app).result();
    let record = app.awaited("rate.limited", "limited", SOON);
    assert_eq!(record.principal.unwrap().id, "ada");
    let id = reply.header("x-request-id").unwrap();
    let found = app.records(Filter { request_id: Some(id.to_owned()), ..Filter::default() });
    assert_eq!(found.len(), 1, "one record for the refused request: {found:?}");
    assert_eq!((found[0].scope.as_deref(), found[0].count), (Some("user"), Some(1)));
    assert!(app.metric("portcullis_rate_limited_total{scope=\"user\"}") >= 1.0);
}

#[test]
fn all_tokens_of_a_principal_share_and_everything_on_the_endpoint_costs_one() {
    let app = TestApp::start_with(|settings| guests_have(settings, 20, 0.001));
    let mut connection = app.connect();
    let mut call = |rpc: Rpc| rpc.bearer(&app.token("ada", "guest")).on(&mut connection).status;
    for _ in 0..4 {
        assert_eq!(call(Rpc::list()), 200);
        assert_eq!(call(Rpc::call("list_users", json!({}))), 403, "probing costs too");
        assert_eq!(call(Rpc::call("no_such_tool", json!({}))), 200);
        assert_eq!(call(Rpc::new("no/such/method", json!({}))), 404);
        assert_eq!(call(Rpc::weather().raw("{")), 400);
    }
    for rpc in [Rpc::discover(), Rpc::call("list_users", json!({})), Rpc::weather().raw("{")] {
        assert_eq!(call(rpc), 429);
    }
    assert_eq!(call(Rpc::weather().edit(|body| drop(body.as_object_mut().unwrap().remove("id")))), 429);
}

#[test]
fn administrators_are_not_exempt() {
    let app = TestApp::start_with(|settings| {
        settings.roles.get_mut("admin").unwrap().capacity = Some(200);
        settings.roles.get_mut("admin").unwrap().refill_per_second = Some(0.001);
    });
    let (served, _) = until_refused(&app, &Rpc::discover().bearer(&app.token("root", "admin")));
    assert_eq!(served, 200);
}

#[test]
fn the_largest_role_decides_wherever_it_stands() {
    let app = TestApp::start_with(|settings| guests_have(settings, 5, 0.001));
    let (token, _) = app.minted("ada", &["guest", "user", "nobody"], &[], "tests");
    let (served, reply) = until_refused(&app, &Rpc::discover().bearer(&token));
    assert!(served >= 200, "{served}");
    assert_eq!(reply.header("ratelimit-policy"), Some("\"user\";q=200;w=40"));
    let (token, _) = app.minted("eve", &[], &["weather:read"], "tests");
    assert_eq!(until_refused(&app, &Rpc::discover().bearer(&token)).0, 5, "no role has what guests have");
}

#[test]
fn an_address_is_refused_before_anybody_is_asked_and_keeps_its_connection() {
    let app = TestApp::start_with(|settings| settings.limits.ip = rate(6, 0.001));
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    for _ in 0..3 {
        Rpc::weather().bearer(&token).on(&mut connection).result();
        assert_eq!(connection.get("/.well-known/oauth-protected-resource").status, 200);
    }
    let looked_at = || app.metric("portcullis_auth_total{kind=\"jwt\",outcome=\"ok\",reason=\"none\"}");
    let before = looked_at();
    for rpc in [
        Rpc::weather().bearer(&token),
        Rpc::weather(),
        Rpc::weather().replace("host", "evil.example"),
        Rpc::weather().verb("GET"),
    ] {
        let reply = rpc.on(&mut connection);
        reply.refused(429, -31429, "rate_limited");
        assert_eq!(reply.header("ratelimit-policy"), Some("\"address\";q=6;w=6000"));
    }
    assert!((looked_at() - before).abs() < 0.5, "a credential was looked at");
    for path in ["/.well-known/oauth-protected-resource", "/nowhere"] {
        let reply = connection.get(path);
        assert_eq!((reply.status, &*reply.reason()), (429, "rate_limited"), "{path}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.header("ratelimit-policy"), Some("\"address\";q=6;w=6000"));
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((990..=1_000).contains(&wait), "{wait}");
        assert_eq!(reply.json()["request_id"].as_str(), reply.header("x-request-id"));
    }
    for path in ["/health", "/health/ready"] {
        assert_eq!(connection.get(path).status, 200, "health is free");
    }
    Rpc::weather().bearer(&token).on(&mut app.connect_from("127.0.0.2")).result();
}

#[test]
fn a_tool_has_so_much_for_everybody_and_so_much_at_once() {
    let (watched, more) = tools::all();
    let app = TestApp::with(
        |settings| {
            let limits = &mut settings.limits.tools;
            let weather = ToolLimitSettings {
                capacity: Some(12),
                refill_per_second: Some(0.001),
                cost: Some(5),
                ..ToolLimitSettings::default()
            };
            limits.insert("get_weather".into(), weather);
            limits.insert(
                "waits".into(),
                ToolLimitSettings { max_in_flight: Some(2), ..ToolLimitSettings::default() },
            );
        },
        more,
    );
    let (ada, bob) = (app.token("ada", "user"), app.token("bob", "user"));
    for token in [&ada, &bob] {
        Rpc::weather().bearer(token).send(&app).result();
    }
    let reply = Rpc::weather().bearer(&ada).send(&app);
    reply.refused(429, -31429, "rate_limited");
    assert_eq!(reply.header("ratelimit"), Some("\"tool\";r=2;t=3000"), "three more are needed");

    let call = Rpc::call("waits", json!({})).bearer(&ada);
    let mut running = [app.connect(), app.connect()];
    for connection in &mut running {
        connection.send(call.bytes());
    }
    until("both run", SOON, || watched.begun() == 2);
    let reply = call.send(&app);
    reply.refused(429, -31429, "rate_limited");
    assert_eq!(reply.header("ratelimit-policy"), Some("\"tool\";q=2;w=1"));
    watched.go.notify_one();
    until("one has ended", SOON, || watched.dropped() == 1);
    let mut third = app.connect();
    until("there is room again", SOON, || {
        third.send(call.bytes());
        let begun = || watched.begun() == 3;
        let refused = !begun() && third_was_refused(&mut third, begun);
        !refused
    });
    watched.go.notify_waiters();
}

/// Whether the call on `connection` is answered by a refusal rather than begun.
fn third_was_refused(connection: &mut super::support::http::Connection, begun: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        if begun() {
            return false;
        }
        if connection.has_answer() {
            return connection.reply().status == 429;
        }
    }
    panic!("the call was neither begun nor answered");
}

#[test]
fn shadow_lets_everybody_in_and_tells_whom_it_would_not_have() {
    let app = TestApp::start_with(|settings| {
        settings.limits.mode = LimitMode::Shadow;
        guests_have(settings, 5, 0.001);
    });
    let rpc = Rpc::weather().bearer(&app.token("ada", "guest"));
    for _ in 0..9 {
        let reply = rpc.send(&app);
        reply.result();
        assert!(reply.header("ratelimit").is_none());
    }
    assert!((app.metric("portcullis_rate_limited_total{scope=\"user\"}") - 4.0).abs() < 0.5);
    app.awaited("rate.limited", "limited", SOON);
}

#[test]
fn a_restart_is_no_fresh_start() {
    let app = TestApp::start_with(|settings| guests_have(settings, 40, 0.01));
    let call = |app: &TestApp| Rpc::weather().bearer(&app.token("ada", "guest")).send(app).status;
    for _ in 0..30 {
        assert_eq!(call(&app), 200);
    }
    let app = app.restart();
    let served = (0..40).take_while(|_| call(&app) == 200).count();
    assert!((10..=11).contains(&served), "{served} of the ten that were left");
}

#[test]
fn limits_that_nothing_could_pass_refuse_the_start_with_every_problem() {
    let home = tempfile::tempdir().unwrap();
    let mut wrong = settings(home.path());
    guests_have(&mut wrong, 9, 1.0);
    let tool = ToolLimitSettings { cost: Some(10), ..ToolLimitSettings::default() };
    wrong.limits.tools.insert("get_weather".into(), tool);
    wrong.limits.tools.insert("get_wether".into(), tool);
    let problems = refusal(&wrong, Vec::new()).problems();
    let shown: Vec<_> = problems.iter().map(|problem| (&*problem.key, &*problem.fix)).collect();
    assert_eq!(
        shown,
        [
            ("limits.tools.get_wether", "write \"get_weather\" if that was meant, or take it out"),
            ("roles.guest.capacity", "raise it, or lower limits.tools.get_weather.cost"),
        ]
    );
}
