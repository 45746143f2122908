//! A session of an older revision is one at all servers on a Redis, whichever of them a request comes to.

use std::{
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portcullis::{
    domain::Change,
    settings::{OnQuotaLoss, OnStoreLoss, Settings},
    store::SessionDigest,
};
use serde_json::{Value, json};

use super::{
    fleet::{fleet_having, fleet_with},
    nodes::{Node, Nodes},
    sessions::unknown,
    sessions_ask::tools,
    support::{
        SOON,
        app::TestApp,
        events::Events,
        legacy::LEGACY,
        rpc::Rpc,
        session::{Session, handshake},
        until,
    },
};

const NEWEST: &str = "2025-11-25";
/// The promise.
const BOUND: Duration = Duration::from_secs(1);

/// So many servers that share their sessions, with a tool that asks.
pub(super) fn fleet<const N: usize>(url: &str) -> [TestApp; N] {
    fleet_having(url, |settings| settings.sessions.enabled = true, tools)
}

pub(super) fn node() -> (Node, String) {
    let node = Node::start("save \"\"", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    (node, url)
}

/// What the store calls a session.
fn digest(session: &Session) -> String {
    SessionDigest::of(&URL_SAFE_NO_PAD.decode(&session.id).unwrap()).encode()
}

fn ping(session: &Session) -> Rpc {
    session.request("ping", json!({}))
}

/// Whether `app` has the session.
fn has(app: &TestApp, session: &Session) -> bool {
    match ping(session).send(app).status {
        200 => true,
        404 => false,
        other => panic!("{other}"),
    }
}

/// The stream has ended within a second of `since`.
#[track_caller]
fn ends(mut events: Events, since: Instant) {
    assert_eq!(events.rest(), Vec::<Value>::new());
    assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
}

#[test]
fn each_request_of_a_session_may_come_to_another_server() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster()] {
        let fleet: [TestApp; 3] = fleet(&url);
        for (at, revision) in LEGACY.into_iter().enumerate() {
            let session = Session::begin(&fleet[at], revision, &fleet[0].token("ada", "user"));
            for app in fleet.iter().cycle().take(7) {
                assert_eq!(ping(&session).send(app).result(), json!({}), "{url}");
                let listed = session.request("tools/list", json!({})).send(app).result();
                let tools = listed["tools"].as_array().unwrap();
                let has_schema = tools.iter().any(|tool| tool.get("outputSchema").is_some());
                assert_eq!(has_schema, revision != "2025-03-26", "each speaks what was agreed on");
                session.call(json!(1), "get_weather", json!({ "city": "Oslo" })).send(app).result();
            }
            let other = Session { token: fleet[0].token("bob", "user"), ..session.clone() };
            let made_up = Session { id: "a".repeat(32), ..session.clone() };
            for app in &fleet {
                unknown(&ping(&other).send(app));
                unknown(&other.end(app));
                unknown(&other.verb("GET").send(app));
                unknown(&ping(&made_up).send(app));
            }
        }
    }
}

#[test]
fn whoever_reads_the_store_learns_the_id_of_no_session() {
    let (node, url) = node();
    let fleet: [TestApp; 1] = fleet(&url);
    let session = Session::begin(&fleet[0], NEWEST, &fleet[0].token("ada", "user"));
    let names = node.all("KEYS *");
    let own = format!("portcullis:session:{}", digest(&session));
    assert!(names.contains(&own), "{names:?}");
    assert!(names.iter().all(|name| !name.contains(&session.id)), "{names:?}");
    let record = node.ask(&format!("GET {own}")).unwrap();
    assert!(record.contains("\"owner\":\"ada\"") && !record.contains(&session.id), "{record}");
}

#[test]
fn a_session_that_one_server_ends_has_ended_at_all_within_a_second() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster()] {
        let fleet: [TestApp; 3] = fleet(&url);
        let session = Session::begin(&fleet[0], NEWEST, &fleet[0].token("ada", "user"));
        let streams = [&fleet[0], &fleet[1]].map(|app| session.listen(app));
        let since = Instant::now();
        assert_eq!(session.end(&fleet[2]).status, 204);
        streams.into_iter().for_each(|stream| ends(stream, since));
        until("nobody has it", BOUND, || fleet.iter().all(|app| !has(app, &session)));
        unknown(&session.end(&fleet[0]));
    }
}

#[test]
fn what_is_wanted_at_one_server_is_told_by_all_within_a_second() {
    let (_node, url) = node();
    let fleet: [TestApp; 3] = fleet(&url);
    let session = Session::begin(&fleet[0], NEWEST, &fleet[0].token("ada", "user"));
    let mut stream = session.listen(&fleet[1]);
    fleet.iter().for_each(|app| std::fs::write(app.dir().join("files/a.txt"), "a").unwrap());
    let listed = session.request("resources/list", json!({})).send(&fleet[0]).result();
    let uri = listed["resources"][0]["uri"].as_str().unwrap();
    // Whether a change at the server of the stream is told: a mark that is told anyway goes with it.
    let mut is_told = || {
        fleet[1].changes.tell(Change::Resource(uri.into()));
        fleet[1].changes.tell(Change::Prompts);
        let mut methods = Vec::new();
        while !methods.contains(&"notifications/prompts/list_changed".to_owned()) {
            methods.push(stream.next().unwrap()["method"].as_str().unwrap().to_owned());
        }
        fleet[1].changes.tell(Change::Tools);
        while !methods.contains(&"notifications/tools/list_changed".to_owned()) {
            methods.push(stream.next().unwrap()["method"].as_str().unwrap().to_owned());
        }
        methods.contains(&"notifications/resources/updated".to_owned())
    };
    assert!(!is_told());
    for (app, method, tells) in
        [(&fleet[0], "resources/subscribe", true), (&fleet[2], "resources/unsubscribe", false)]
    {
        assert_eq!(session.request(method, json!({ "uri": uri })).send(app).result(), json!({}));
        // A look takes as long as the changes of a tick: two of them are in a second, and a third in the next.
        until(method, BOUND + BOUND, || is_told() == tells);
    }
    let logs = |app: &TestApp| {
        let call = session.call(json!(7), "asks_in_session", json!({ "ask": "logs" }));
        Events::open(app, &call).rest().len() - 1
    };
    assert!(fleet.iter().all(|app| logs(app) == 7), "from info on");
    let set = session.request("logging/setLevel", json!({ "level": "critical" })).send(&fleet[2]);
    assert_eq!(set.result(), json!({}));
    until("all tell as much", BOUND, || fleet.iter().all(|app| logs(app) == 3));
}

#[test]
fn one_caller_has_its_share_at_all_servers_together() {
    let (_node, url) = node();
    let fleet: [TestApp; 3] = fleet_with(&url, |settings| {
        settings.sessions.enabled = true;
        settings.sessions.per_principal = 3;
    });
    let token = fleet[0].token("ada", "user");
    let begin = |app: &TestApp| handshake(NEWEST, &token, json!({})).send(app);
    let begun: Vec<_> = thread::scope(|threads| {
        let all: Vec<_> =
            fleet.iter().flat_map(|app| (0..3).map(move |_| threads.spawn(move || begin(app)))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (begun, refused): (Vec<_>, Vec<_>) = begun.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((begun.len(), refused.len()), (3, 6));
    for reply in &refused {
        assert_eq!((reply.status, &*reply.reason()), (429, "rate_limited"));
    }
    let id = begun[0].header("mcp-session-id").unwrap().to_owned();
    let session = Session { id, token: token.clone(), revision: NEWEST };
    assert_eq!(session.end(&fleet[1]).status, 204);
    assert_eq!(begin(&fleet[2]).status, 200, "its place is free at once");
    assert_eq!(begin(&fleet[0]).status, 429);
    let other = fleet[0].token("bob", "user");
    assert_eq!(handshake(NEWEST, &other, json!({})).send(&fleet[0]).status, 200, "another's");
}

#[test]
fn a_session_lives_on_at_all_servers_while_one_is_used_and_ends_at_all_when_none_is() {
    let (_node, url) = node();
    let fleet: [TestApp; 3] = fleet_with(&url, |settings| {
        settings.sessions.enabled = true;
        settings.sessions.idle = 2 * BOUND;
    });
    let session = Session::begin(&fleet[0], NEWEST, &fleet[0].token("ada", "user"));
    let began = Instant::now();
    until("it is older than it may be idle", 10 * BOUND, || {
        assert!(has(&fleet[1], &session), "it is used");
        began.elapsed() > 3 * BOUND
    });
    assert!(has(&fleet[0], &session) && has(&fleet[2], &session), "they have not seen it used");
    // Each look would be a use: so only after its time, and what servers wait for each other.
    super::support::pause(5 * BOUND);
    assert!(fleet.iter().all(|app| !has(app, &session)));
}

#[test]
fn a_stream_is_come_back_to_only_where_it_is_kept() {
    let (_node, url) = node();
    let fleet: [TestApp; 2] = fleet(&url);
    let session = Session::begin(&fleet[0], NEWEST, &fleet[0].token("ada", "user"));
    let mut last = Vec::new();
    for app in &fleet {
        let mut events =
            Events::open(app, &session.call(json!(1), "asks_in_session", json!({ "ask": "logs" })));
        events.next().unwrap();
        last.push(events.last.clone().unwrap());
        let mut common = session.listen(app);
        app.changes.tell(Change::Tools);
        common.told("notifications/tools/list_changed");
        last.push(common.last.clone().unwrap());
    }
    for (at, name) in last.iter().enumerate() {
        let (keeper, other) = (at / 2, 1 - at / 2);
        let back = session.verb("GET").header("last-event-id", name);
        back.send(&fleet[other]).refused(400, -32600, "invalid_request");
        drop(Events::open(&fleet[keeper], &back));
    }
}

#[test]
fn without_its_store_a_server_serves_the_sessions_that_it_knows_and_says_so_of_others() {
    let (node, url) = node();
    let fleet: [TestApp; 2] = fleet_with(&url, |settings| {
        settings.sessions.enabled = true;
        settings.revocation.on_store_loss = OnStoreLoss::UnsafeAllow;
        settings.limits.on_store_loss = OnQuotaLoss::UnsafeAllow;
    });
    let token = fleet[0].token("ada", "user");
    let session = Session::begin(&fleet[0], NEWEST, &token);
    node.signal("-STOP");
    assert!(has(&fleet[0], &session));
    session.call(json!(1), "get_weather", json!({ "city": "Oslo" })).send(&fleet[0]).result();
    ping(&session).send(&fleet[1]).refused(503, -31503, "store_unavailable");
    session.verb("GET").send(&fleet[1]).refused(503, -31503, "store_unavailable");
    handshake(NEWEST, &token, json!({})).send(&fleet[0]).refused(503, -31503, "store_unavailable");
    let level = session.request("logging/setLevel", json!({ "level": "error" }));
    level.send(&fleet[0]).refused(503, -31503, "store_unavailable");
    session.end(&fleet[0]).refused(503, -31503, "store_unavailable");
    node.signal("-CONT");
    until("both have it", SOON, || fleet.iter().all(|app| ping(&session).send(app).status == 200));
}

#[test]
fn of_a_session_whose_record_does_not_read_nobody_knows_and_only_its_client_ends_it() {
    let (node, url) = node();
    let fleet: [TestApp; 2] = fleet(&url);
    let token = fleet[0].token("ada", "user");
    for poison in ["SET NAME x", "SET NAME \"{\\\"v\\\":2}\""] {
        let session = Session::begin(&fleet[0], NEWEST, &token);
        let name = format!("portcullis:session:{}", digest(&session));
        node.ask(&poison.replace("NAME", &name)).unwrap();
        ping(&session).send(&fleet[1]).refused(503, -31503, "store_unavailable");
        assert_eq!(node.ask(&format!("EXISTS {name}")).as_deref(), Some(":1"), "{poison}");
        assert_eq!(ping(&session).send(&fleet[0]).status, 200, "it goes on where it is known");
        assert_eq!(session.end(&fleet[0]).status, 204);
        unknown(&ping(&session).send(&fleet[1]));
    }
    let session = Session::begin(&fleet[0], NEWEST, &token);
    let name = format!("portcullis:session:{}", digest(&session));
    node.ask(&format!("DEL {name}")).unwrap();
    node.ask(&format!("RPUSH {name} x")).unwrap();
    unknown(&ping(&session).send(&fleet[1]));
    assert_eq!(node.ask(&format!("EXISTS {name}")).as_deref(), Some(":0"), "what is no text is none of ours");
}

#[test]
fn a_look_for_a_session_costs_a_call_of_its_own() {
    let (_node, url) = node();
    let fleet: [TestApp; 1] = fleet_with(&url, |settings: &mut Settings| {
        settings.sessions.enabled = true;
        let guest = settings.roles.get_mut("guest").unwrap();
        (guest.capacity, guest.refill_per_second) = (Some(10), Some(0.000_001));
    });
    let token = fleet[0].token("ada", "guest");
    let session = |n: usize| Session { id: format!("{n:032}"), token: token.clone(), revision: NEWEST };
    for n in 0..5 {
        unknown(&ping(&session(n)).send(&fleet[0]));
    }
    ping(&session(5)).send(&fleet[0]).refused(429, -31429, "rate_limited");
}
