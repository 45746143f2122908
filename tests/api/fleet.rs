//! Several servers on one Redis behave as one: whatever one of them does holds for all within a second.

use std::time::Duration;

use portcullis::{
    app::AppError,
    domain::{KeyState, Timestamp},
    settings::{Settings, StoreUrl},
    store::{RevocationTarget, TaskEnd, TaskMade, TaskRoom},
    tools::AnyTool,
};

use super::{
    nodes::{Node, Nodes},
    support::{
        SOON,
        app::{TestApp, refusal, without_limits},
        auth::{PASSWORD, Pair},
        block_on,
        http::Connection,
        rpc::Rpc,
        tasks::kept_row,
        until,
    },
};

/// The promise.
const BOUND: Duration = Duration::from_secs(1);
/// A look may be one bound old when the store is lost, and its loss takes one look to be seen.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

fn fleet<const N: usize>(url: &str) -> [TestApp; N] {
    fleet_with(url, |_| {})
}

/// So many servers on the store of `url`, which would sign each other's tokens; without limits, but for those of
/// `change`.
pub(crate) fn fleet_with<const N: usize>(url: &str, change: impl Fn(&mut Settings)) -> [TestApp; N] {
    fleet_having(url, change, Vec::new)
}

/// The same, with tools of their own.
pub(crate) fn fleet_having<const N: usize>(
    url: &str,
    change: impl Fn(&mut Settings),
    tools: impl Fn() -> Vec<Box<dyn AnyTool>>,
) -> [TestApp; N] {
    let url = StoreUrl::parse(url).unwrap();
    let secret = super::support::app::secret();
    std::array::from_fn(|_| {
        let change = |settings: &mut Settings| {
            without_limits(settings);
            settings.store.url = url.clone();
            settings.jwt.secret = Some(secret.clone());
            settings.jwt.issuer = "https://gate.example".into();
            settings.jwt.audience = vec!["https://gate.example/mcp".into()];
            change(settings);
        };
        TestApp::with(change, tools())
    })
}

fn status(connection: &mut Connection, credential: &str) -> u16 {
    Rpc::weather().bearer(credential).on(connection).status
}

#[test]
fn what_one_server_revokes_all_refuse_within_a_second() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster(), nodes.watched()] {
        let fleet: [TestApp; 3] = fleet(&url);
        let mut connections = fleet.each_ref().map(TestApp::connect);
        for round in 0..5 {
            let (token, jti) = fleet[round % 3].minted("ada", &["user"], &[], "desk");
            let works = |connection: &mut Connection| status(connection, &token) == 200;
            assert!(connections.iter_mut().all(works), "{url}");
            block_on(fleet[0].tokens.revoke(RevocationTarget::Jti(jti), Duration::from_secs(60))).unwrap();
            until("all refuse it", BOUND, || connections.iter_mut().all(|c| status(c, &token) == 401));
        }
    }
}

#[test]
fn keys_and_accounts_are_the_same_everywhere() {
    let nodes = Nodes::start();
    let [one, other] = fleet(&nodes.single());
    let (text, key) = one.key("ci-service", &["weather:read"]);
    let mut connections = [one.connect(), other.connect()];
    assert!(connections.iter_mut().all(|c| status(c, &text) == 200));
    one.set_key(key.id, KeyState::Disabled);
    until("both refuse it", BOUND, || connections.iter_mut().all(|c| status(c, &text) == 401));

    one.person("ann", &["user"]);
    let first = Pair::of(&one.login("ann", PASSWORD));
    let mut refreshed = other.refresh(&first.refresh);
    until("the other knows the account", BOUND, || {
        if refreshed.status != 200 {
            refreshed = other.refresh(&first.refresh);
        }
        refreshed.status == 200
    });
    let second = Pair::of(&refreshed);
    assert_eq!(Pair::of(&one.refresh(&first.refresh)), second, "the same successors, whoever is asked");
    assert!(connections.iter_mut().all(|c| status(c, &second.access) == 200));
    assert_eq!(one.logout(&second.access).status, 204);
    until("both have it ended", BOUND, || connections.iter_mut().all(|c| status(c, &second.access) == 401));
    assert_eq!(other.refresh(&second.refresh).status, 401);
}

#[test]
fn uses_of_a_key_at_several_servers_add_up() {
    let nodes = Nodes::start();
    let fleet: [TestApp; 2] = fleet(&nodes.single());
    let (text, key) = fleet[0].key("ci-service", &["weather:read"]);
    for app in &fleet {
        let mut connection = app.connect();
        (0..20).for_each(|_| assert_eq!(status(&mut connection, &text), 200));
    }
    until("all of them are counted", SOON, || fleet[0].key_now(key.id).usage_count == 40);
}

#[test]
fn while_redis_is_gone_nobody_is_let_in_and_afterwards_everybody_is() {
    for signal in ["-STOP", "-KILL"] {
        let mut node = Node::start("appendonly yes\nappendfsync always", &[]);
        let [app] = fleet(&format!("redis://127.0.0.1:{}", node.port));
        let token = app.token("ada", "user");
        let mut connection = app.connect();
        assert_eq!(status(&mut connection, &token), 200);
        node.signal(signal);
        until("nobody is let in", NOTICED_WITHIN, || status(&mut connection, &token) == 503);
        let reply = Rpc::weather().bearer(&token).on(&mut connection);
        reply.refused(503, -31503, "store_unavailable");
        assert_eq!(app.get("/health/ready").status, 503);
        if signal == "-STOP" {
            node.signal("-CONT");
        } else {
            node.restart();
        }
        until("everybody is let in", 2 * NOTICED_WITHIN, || status(&mut connection, &token) == 200);
        until("all is well", NOTICED_WITHIN, || app.is_ready());
    }
}

#[test]
fn an_emptied_redis_lets_nobody_in_not_even_after_a_restart() {
    let node = Node::start("save \"\"", &[]);
    let [mut app] = fleet(&format!("redis://127.0.0.1:{}", node.port));
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    assert_eq!(status(&mut connection, &token), 200);
    node.ask("FLUSHALL").unwrap();
    until("nobody is let in", NOTICED_WITHIN, || status(&mut connection, &token) == 503);
    app.stop();
    assert!(matches!(refusal(&app.settings, Vec::new()), AppError::OtherStore(_)));
    // With a data directory that knows no store yet, any store is good.
    drop(TestApp::start_with(|settings| settings.store = app.settings.store.clone()));
}

#[test]
fn what_a_gone_server_has_left_of_tasks_on_redis_is_ended_and_on_record_after_the_next_start() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster()] {
        let [app] = fleet::<1>(&url);
        let place = std::fs::read_to_string(app.dir().join("tasks/id")).unwrap();
        let digest = std::array::from_fn(|n| 7 * n as u8);
        let row = kept_row(digest, "job", format!("{}/0", place.trim()));
        let room = TaskRoom { of_one: 9, of_all: 9 };
        assert_eq!(block_on(app.stores().tasks.create_task(&row, room)), Ok(TaskMade::Kept));
        let app = app.restart();
        let record = serde_json::to_value(app.awaited("task.ended", "failed", SOON)).unwrap();
        assert_eq!((&record["tool"], &record["principal"]["id"]), (&"job".into(), &"ada".into()), "{url}");
        assert_eq!(record["detail"]["task"], "00070e151c232a31");
        let kept = block_on(app.stores().tasks.find_task(&row.digest, Timestamp::now())).unwrap().unwrap();
        assert_eq!(kept.ended.unwrap().how, TaskEnd::Failed, "{url}");
    }
}
