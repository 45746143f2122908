//! API keys at work: both headers, pinning, counting, and changes that are in force within a second.

use std::time::Duration;

use portcullis::{
    actors::{api_keys::KeyRequest, audit::Filter},
    domain::{KeyState, Timestamp},
};

use super::support::{
    SOON,
    app::TestApp,
    http::{Connection, Reply},
    keys::{DAY, made, request},
    pause,
    rpc::Rpc,
    until,
};

/// The promise.
const BOUND: Duration = Duration::from_secs(1);

/// Connections on every worker: actix hands them out in turns.
fn everywhere(app: &TestApp) -> Vec<Connection> {
    (0..4 * app.settings.server.workers).map(|_| app.connect()).collect()
}

/// Asserts the one answer that every key gets which does not hold; the record says `why`.
#[track_caller]
fn refused(app: &TestApp, reply: &Reply, why: &str) {
    reply.refused(401, -31401, "invalid_api_key");
    let record = app.record_of(reply);
    assert_eq!((&*record.event, record.reason.as_deref()), ("auth.failed", Some("invalid_api_key")));
    assert!(record.principal.is_none());
    assert_eq!(record.detail.unwrap()["api_key"], why);
}

#[test]
fn a_key_opens_by_either_header_and_the_record_says_whose_it_is() {
    let app = TestApp::start_roomy();
    let (text, key) = app.key("ci-service", &["weather:read"]);
    for rpc in [Rpc::weather().key(&text), Rpc::weather().bearer(&text)] {
        let reply = rpc.send(&app);
        reply.result();
        assert!(reply.header("deprecation").is_none() && reply.header("sunset").is_none());
        let principal = app.record_of(&reply).principal.unwrap();
        assert_eq!(
            (&*principal.id, &*principal.kind, &*principal.client),
            ("ci-service", "api_key", "build server")
        );
        assert_eq!(principal.credential, key.id.to_string());
    }
    let first = Filter { event: Some("auth.succeeded".into()), ..Filter::default() };
    assert_eq!(app.records(first).len(), 1, "first sight by this process is recorded once");
    assert_eq!(app.metric("portcullis_auth_total{kind=\"api_key\",outcome=\"ok\",reason=\"none\"}"), 2.0);
}

#[test]
fn a_key_may_what_it_carries_and_lists_show_just_that() {
    let app = TestApp::start_roomy();
    let (text, _) = app.key("ci-service", &["weather:read", "no:such"]);
    let listed = Rpc::list().key(&text).send(&app).result();
    let names: Vec<_> = listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["get_weather"]);
    let denied = Rpc::call("list_users", serde_json::json!({})).key(&text).send(&app);
    denied.refused(403, -31403, "forbidden");
    assert!(denied.text().contains("admin:users"));
}

#[test]
fn a_change_by_another_process_is_in_force_within_a_second_on_every_worker() {
    let app = TestApp::start_roomy();
    let ((text, key), (other, _)) = (app.key("ada", &["weather:read"]), app.key("ada", &["weather:read"]));
    let mut connections = everywhere(&app);
    let rpc = Rpc::weather().key(&text);
    let mut all = |status: u16| connections.iter_mut().all(|connection| rpc.on(connection).status == status);
    assert!(all(200));
    app.set_key(key.id, KeyState::Disabled);
    until("disabled everywhere", BOUND, || all(401));
    refused(&app, &rpc.send(&app), "disabled");
    app.set_key(key.id, KeyState::Active);
    until("enabled everywhere", BOUND, || all(200));
    app.set_key(key.id, KeyState::Revoked);
    until("revoked everywhere", BOUND, || all(401));
    refused(&app, &rpc.send(&app), "revoked");
    Rpc::weather().key(&other).send(&app).result();
    let app = app.restart();
    refused(&app, &rpc.send(&app), "revoked");
    Rpc::weather().key(&other).send(&app).result();
}

#[test]
fn a_key_that_is_over_is_refused_and_its_end_is_recorded_once() {
    let app = TestApp::start_roomy();
    let over = Timestamp::now().minus(DAY);
    let (text, key) =
        made(&app.stores(), KeyRequest { life: DAY, ..request("ada", &["weather:read"]) }, over);
    for _ in 0..3 {
        refused(&app, &Rpc::weather().key(&text).send(&app), "expired");
    }
    let record = app.awaited("key.expired", "ok", SOON);
    assert!(record.request_id.is_none());
    let app = app.restart();
    refused(&app, &Rpc::weather().key(&text).send(&app), "expired");
    // A second one would be written by the look that the refusal asked for.
    let (next, _) = made(&app.stores(), KeyRequest { life: DAY, ..request("bob", &[]) }, over);
    refused(&app, &Rpc::weather().key(&next).send(&app), "expired");
    let ends = Filter { event: Some("key.expired".into()), ..Filter::default() };
    until("the end of the other key", SOON, || app.records(ends.clone()).len() >= 2);
    assert_eq!(app.records(ends).len(), 2);
    assert!(app.key_now(key.id).last_used.is_none());
}

#[test]
fn a_key_ends_at_its_moment_although_a_worker_knows_it() {
    let app = TestApp::start_roomy();
    let life = Duration::from_millis(1_500);
    let (text, key) =
        made(&app.stores(), KeyRequest { life, ..request("ada", &["weather:read"]) }, Timestamp::now());
    let mut connection = app.connect();
    let rpc = Rpc::weather().key(&text);
    while Timestamp::now() < key.expires_at.minus(Duration::from_millis(200)) {
        rpc.on(&mut connection).result();
        pause(Duration::from_millis(50));
    }
    until("it is over", SOON, || rpc.on(&mut connection).status == 401);
    assert!(Timestamp::now() >= key.expires_at);
}

#[test]
fn a_pinned_key_opens_from_its_networks_only_and_a_strangers_header_is_noise() {
    let app = TestApp::start_with(|settings| {
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]
    });
    let pinned =
        KeyRequest { cidrs: vec!["10.1.0.0/16".parse().unwrap()], ..request("ada", &["weather:read"]) };
    let (text, _) = made(&app.stores(), pinned, Timestamp::now());
    let from = |address: &str| Rpc::weather().key(&text).header("x-forwarded-for", address).send(&app);
    from("10.1.2.3").result();
    for address in ["10.2.0.1", "10.1.2.3, 9.9.9.9", "nonsense"] {
        refused(&app, &from(address), "address");
    }
    from("9.9.9.9, 10.1.2.3").result();
    refused(&app, &Rpc::weather().key(&text).send(&app), "address");
}

#[test]
fn a_key_is_never_worth_more_than_its_owner() {
    let app = TestApp::start_roomy();
    app.account("ada", &["user"], true);
    let (text, _) = app.key("ada", &["weather:read", "admin:users"]);
    let (weather, listing) =
        (Rpc::weather().key(&text), Rpc::call("list_users", serde_json::json!({})).key(&text));
    until("the account is known", BOUND, || listing.send(&app).status == 403);
    let reply = weather.send(&app);
    reply.result();
    assert_eq!(app.record_of(&reply).principal.unwrap().roles, ["user"]);
    app.account("ada", &["admin"], true);
    until("the account has more", BOUND, || listing.send(&app).status == 200);
    app.account("ada", &[], true);
    until("the account has nothing", BOUND, || weather.send(&app).status == 403);
    app.account("ada", &["user"], false);
    until("the account is disabled", BOUND, || weather.send(&app).status == 401);
    refused(&app, &weather.send(&app), "owner_disabled");
    app.account("ada", &["user"], true);
    until("the account is back", BOUND, || weather.send(&app).status == 200);
}

#[test]
fn uses_are_counted_exactly_whatever_they_led_to_and_survive_a_stop() {
    let app = TestApp::start_roomy();
    let (text, key) = app.key("ada", &["weather:read"]);
    let before = Timestamp::now();
    for _ in 0..7 {
        Rpc::weather().key(&text).send(&app).result();
    }
    Rpc::call("list_users", serde_json::json!({})).key(&text).send(&app).refused(403, -31403, "forbidden");
    // A body that takes its time has its key looked at twice, and is one use.
    let mut connection = app.connect();
    let (slow, body) = (Rpc::weather().key(&text), Rpc::weather().body());
    connection.send([slow.head(), format!("content-length: {}\r\n\r\n", body.len()).into_bytes()].concat());
    pause(Duration::from_millis(50));
    connection.send(body);
    connection.reply().result();
    let app = app.restart();
    let now = app.key_now(key.id);
    assert_eq!(now.usage_count, 9);
    assert!(now.last_used.is_some_and(|at| at >= before && at <= Timestamp::now()));
    Rpc::weather().key(&text).send(&app).result();
    until("the count arrives without a stop", SOON, || app.key_now(key.id).usage_count == 10);
}

#[test]
fn a_record_that_does_not_read_is_no_key_and_no_fault_of_the_server() {
    let app = TestApp::start_roomy();
    let (text, _) = app.key("ada", &["weather:read"]);
    let store = rusqlite::Connection::open(app.dir().join("portcullis.db")).unwrap();
    for broken in
        ["permissions = '{}'", "owner = 'no name'", "name = ''", "cidrs = '[\"x\"]'", "successor = 'x'"]
    {
        store.execute_batch(&format!("BEGIN; UPDATE api_keys SET {broken}; COMMIT")).unwrap();
        refused(&app, &Rpc::weather().key(&text).send(&app), "unreadable");
        store
            .execute_batch(
                "UPDATE api_keys SET permissions = '[\"weather:read\"]', owner = 'ada', name = 'n', cidrs = '[]', \
                 successor = NULL",
            )
            .unwrap();
    }
    Rpc::weather().key(&text).send(&app).result();
    assert!(!super::support::output::logged(&["does not read"]).is_empty());
}

#[test]
fn a_count_that_the_store_does_not_take_refuses_nobody_and_is_not_lost() {
    let app = TestApp::start_roomy();
    let (text, key) = app.key("ada", &["weather:read"]);
    let rpc = Rpc::weather().key(&text);
    rpc.send(&app).result();
    until("the first count", SOON, || app.key_now(key.id).usage_count == 1);
    let holder = rusqlite::Connection::open(app.dir().join("portcullis.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..5 {
        rpc.send(&app).result();
    }
    until("a flush fails", Duration::from_secs(15), || {
        app.metric("portcullis_store_errors_total{op=\"keys.add_uses\"}") >= 1.0
    });
    rpc.send(&app).result();
    holder.execute_batch("ROLLBACK").unwrap();
    until("everything is counted", SOON, || app.key_now(key.id).usage_count == 7);
}

#[test]
fn while_the_store_is_lost_no_key_is_let_in_and_none_is_called_invalid() {
    let app = TestApp::start_roomy();
    let ((known, key), (fresh, _)) = (app.key("ada", &["weather:read"]), app.key("bob", &["weather:read"]));
    let mut connection = app.connect();
    Rpc::weather().key(&known).on(&mut connection).result();
    let (place, aside) = (app.dir().join("portcullis.db"), app.dir().join("aside.db"));
    std::fs::rename(&place, &aside).unwrap();
    // One that nobody has seen needs the store at once; one that is known is good for as long as changes are.
    let reply = Rpc::weather().key(&fresh).on(&mut connection);
    reply.refused(503, -31503, "store_unavailable");
    assert_eq!(reply.header("retry-after"), Some("1"));
    until("nobody is let in", 2 * BOUND, || Rpc::weather().key(&known).on(&mut connection).status == 503);
    std::fs::rename(&aside, &place).unwrap();
    for text in [&known, &fresh] {
        until("it is let in again", 2 * BOUND, || Rpc::weather().key(text).on(&mut connection).status == 200);
    }
    let counted = || app.key_now(key.id).usage_count;
    until("its uses are written down", SOON, || counted() >= 2);
}
