//! What any server of a fleet records, every other one can tell of, once and unchanged.

use std::{collections::BTreeSet, time::Duration};

use portcullis::{
    actors::audit::{
        self, Filter,
        fleet::{Doubts, FleetFound, FleetReader},
    },
    settings::Settings,
    store,
};
use serde_json::{Value, json};

use super::{
    fleet::fleet_with,
    nodes::{Node, Nodes},
    support::{SOON, app::TestApp, block_on, rpc::Rpc, until},
};

/// Everything that the fleet's log of `url` holds, and what of it is in doubt.
pub(crate) fn copies(url: &str) -> (Vec<FleetFound>, Doubts) {
    let log = store::open(url).unwrap().fleet_log.unwrap();
    block_on(async {
        let mut reader = FleetReader::open(log).await.unwrap();
        let mut all = Vec::new();
        while let Some(found) = reader.next(&Filter::default()).await.unwrap() {
            all.push(found);
        }
        (all, reader.doubts())
    })
}

/// Every line of these servers' own logs.
pub(crate) fn originals(fleet: &[TestApp]) -> Vec<String> {
    let of = |app: &TestApp| audit::query(app.dir(), Filter::default()).unwrap();
    fleet.iter().flat_map(of).map(|found| found.unwrap().line).collect()
}

/// The fleet's log holds exactly what these servers, which have stopped, have recorded.
#[track_caller]
pub(crate) fn assert_whole(url: &str, fleet: &[TestApp]) {
    let (found, doubts) = copies(url);
    assert_eq!(doubts, Doubts::default(), "{url}");
    let copies: Vec<String> = found.into_iter().map(|it| it.found.line).collect();
    let originals = originals(fleet);
    let lacks = |some: &[String], others: &[String]| {
        let others: BTreeSet<&String> = others.iter().collect();
        some.iter().filter(|line| !others.contains(line)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(lacks(&originals, &copies), Vec::<String>::new(), "{url}: not sent");
    assert_eq!(lacks(&copies, &originals), Vec::<String>::new(), "{url}: never recorded");
    assert_eq!(copies.len(), originals.len(), "{url}: none of them twice");
}

/// How many records wait to be sent.
pub(crate) fn lag(app: &TestApp) -> f64 {
    app.metric("portcullis_audit_fleet_lag_records")
}

fn audit(app: &TestApp, token: &str) -> Value {
    let mut result =
        Rpc::call("get_security_audit", json!({ "time_range": "1h" })).bearer(token).send(app).result();
    result["structuredContent"].take()
}

#[test]
fn every_server_and_the_command_tell_of_the_whole_fleet() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster(), nodes.watched()] {
        let mut fleet: [TestApp; 3] = fleet_with(&url, |_| {});
        let admin = fleet[0].token("root", "admin");
        for (n, app) in fleet.iter().enumerate() {
            let token = app.token("ada", "user");
            let mut connection = app.connect();
            (0..20).for_each(|_| assert_eq!(Rpc::weather().bearer(&token).on(&mut connection).status, 200));
            for k in 0..=n {
                let bad = Rpc::weather().bearer(&format!("not.a.token{k}"));
                bad.on(&mut connection).refused(401, -31401, "invalid_token");
            }
        }
        for app in &fleet {
            let mut last = Value::Null;
            until("all failures of all servers are counted", SOON, || {
                last = audit(app, &admin);
                last["totals"]["failed_authentications"] == 6 && last["complete"] == true
            });
            assert_eq!(last["fleet"], json!({ "servers": 3, "reached": true }), "{url}");
            let offender = &last["offenders"][0];
            assert_eq!((&offender["count"], &offender["exact"]), (&json!(6), &json!(true)), "{url}: {last}");
            assert_eq!(Rpc::read("portcullis://audit/1h").bearer(&admin).send(app).status, 200);
        }
        fleet.iter_mut().for_each(TestApp::stop);
        assert_whole(&url, &fleet);
    }
}

#[test]
fn the_command_shows_the_fleet_with_the_same_filters_in_the_order_of_time() {
    let nodes = Nodes::start();
    let mut fleet: [TestApp; 3] = fleet_with(&nodes.single(), |_| {});
    for round in 0..4 {
        let app = &fleet[round % 3];
        assert_eq!(Rpc::weather().bearer(&app.token("ada", "user")).send(app).status, 200);
    }
    fleet.iter_mut().for_each(TestApp::stop);
    let expected = originals(&fleet).len();
    let all = fleet[1].does(&["audit", "query", "--fleet", "--json"], "");
    let lines: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), expected);
    let chains: BTreeSet<&str> = lines.iter().map(|line| line["chain"].as_str().unwrap()).collect();
    assert_eq!(chains.len(), 3);
    for chain in chains {
        let own = lines.iter().filter(|line| line["chain"] == chain);
        assert!(own.is_sorted_by_key(|line| line["seq"].as_u64().unwrap()), "each chain in its own order");
    }
    // A record is of the moment when its request came, and stands where it ended; these came one after the other.
    let served = lines.iter().filter(|line| line["tool"] == "get_weather" && line["event"] == "tool.called");
    assert!(served.is_sorted_by_key(|line| line["time"].as_str().unwrap().to_owned()), "oldest first");

    let calls =
        ["audit", "query", "--fleet", "--tool", "get_weather", "--user", "ada", "--event", "tool.called"];
    let words = fleet[0].does(&calls, "");
    assert_eq!(words.lines().count(), 4, "{words}");
    let nodes_shown: BTreeSet<&str> = words.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let node = |app: &TestApp| std::fs::read_to_string(app.dir().join("tasks/id")).unwrap()[..12].to_owned();
    let names: Vec<String> = fleet.iter().map(node).collect();
    assert_eq!(nodes_shown, names.iter().map(String::as_str).collect(), "each line begins with its server");
    assert_eq!(fleet[0].does(&["audit", "query", "--fleet", "--limit", "2"], "").lines().count(), 2);
    let tail = fleet[2].does(&["audit", "tail", "--fleet", "-n", "3", "--json"], "");
    assert_eq!(tail.lines().collect::<Vec<_>>(), all.lines().skip(expected - 3).collect::<Vec<_>>());

    let alone = TestApp::start();
    let refused = alone.cli(&["audit", "query", "--fleet"], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("names no Redis"));
}

#[test]
fn without_the_sink_nothing_of_a_server_leaves_it() {
    let node = Node::start("save \"\"", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    let [mut app] = fleet_with(&url, |settings: &mut Settings| settings.audit.sinks = vec!["file".into()]);
    let admin = app.token("root", "admin");
    assert_eq!(audit(&app, &admin).get("fleet"), None, "it knows of no fleet");
    assert_eq!(Rpc::weather().bearer(&app.token("ada", "user")).send(&app).status, 200);
    app.stop();
    assert!(node.all("KEYS portcullis:audit*").is_empty());
}

#[test]
fn an_alert_says_which_server_has_raised_it() {
    let nodes = Nodes::start();
    let fleet: [TestApp; 2] = fleet_with(&nodes.single(), |_| {});
    let admin = fleet[0].token("root", "admin");
    let mut connection = fleet[1].connect();
    for n in 0..10 {
        Rpc::weather().bearer(&format!("not.a.token{n}")).on(&mut connection).refused(
            401,
            -31401,
            "invalid_token",
        );
    }
    let mut told = Value::Null;
    until("the pattern is told by both", SOON, || {
        told = audit(&fleet[0], &admin);
        told["alerts"][0]["reason"] == "repeated_auth_failures"
    });
    let id = std::fs::read_to_string(fleet[1].dir().join("tasks/id")).unwrap();
    assert_eq!(told["alerts"][0]["server"], id[..12], "{told}");
    assert_eq!(
        (&told["unusual"][0]["server"], &told["unusual"][0]["active"]),
        (&json!(id[..12]), &json!(true))
    );
    assert_eq!(told["totals"]["unusual"], 1);
}

#[test]
fn what_others_write_into_redis_is_not_shown_as_a_record_and_stops_nothing() {
    let node = Node::start("save \"\"", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    let [mut app] = fleet_with(&url, |_| {});
    let admin = app.token("root", "admin");
    until("all is sent", SOON, || {
        app.metric("portcullis_audit_fleet_records_total") > 0.0 && lag(&app) == 0.0
    });
    let (found, _) = copies(&url);
    let chain = found[0].found.record.chain.clone();
    let stream = format!("portcullis:audit:{chain}");
    // A record in the middle of nowhere, a chain of nobody, an index of rubbish, counts of rubbish.
    node.ask("XADD portcullis:audit:0198aaaa-0000-7000-8000-000000000001 1-0 at 1 lines nonsense").unwrap();
    for command in [
        "HSET portcullis:audit:chains 0198aaaa-0000-7000-8000-000000000001 abcdef".to_owned(),
        "HSET portcullis:audit:chains chains nodes".to_owned(),
        "HSET portcullis:audit:chains 0198aaaa-0000-7000-8000-000000000002 feed".to_owned(),
        format!("ZADD portcullis:audit:nodes {} beef", u64::MAX / 4),
        format!("ZADD portcullis:audit:nodes {} f00d", u64::MAX / 4),
        format!("HSET portcullis:audit:counts:beef whole 1 notes {{}} m{} {{}}", u64::MAX),
        "SET portcullis:audit:counts:f00d 1".to_owned(),
    ] {
        node.ask(&command).unwrap();
    }
    let told = audit(&app, &admin);
    assert_eq!(told["totals"]["failed_authentications"], 0, "{told}");
    assert_eq!(told["complete"], false, "somebody tells what cannot be read");
    let (found, doubts) = copies(&url);
    assert_eq!(doubts, Doubts { forged: 1, missing: 0 });
    assert!(found.iter().all(|it| originals(std::slice::from_ref(&app)).contains(&it.found.line)));
    let shown = app.cli(&["audit", "query", "--fleet", "--json"], "");
    assert_eq!(shown.status.code(), Some(1), "it is a failure");
    assert!(String::from_utf8(shown.stderr).unwrap().contains("not what their servers recorded"));
    // The chain goes on although somebody has put a row at its end that no row can follow.
    node.ask(&format!("XADD {stream} 999999999-7 at x lines y")).unwrap();
    assert_eq!(Rpc::weather().bearer(&app.token("ada", "user")).send(&app).status, 200);
    app.stop();
    node.ask("DEL portcullis:audit:0198aaaa-0000-7000-8000-000000000001").unwrap();
    assert_whole(&url, std::slice::from_ref(&app));
}

#[test]
fn what_is_too_old_or_too_many_is_forgotten_in_redis_only() {
    let node = Node::start("save \"\"", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    let [mut app] = fleet_with(&url, |settings| settings.audit.fleet_records = 20);
    let mut connection = app.connect();
    let token = app.token("ada", "user");
    until("the first are sent", SOON, || app.metric("portcullis_audit_fleet_records_total") > 0.0);
    (0..100).for_each(|_| assert_eq!(Rpc::weather().bearer(&token).on(&mut connection).status, 200));
    until("they are sent", SOON, || {
        let newest = copies(&url).0.last().map(|it| it.found.record.seq);
        newest == Some(originals(std::slice::from_ref(&app)).len() as u64)
    });
    assert_eq!(copies(&url).0.len(), 20);
    assert!(app.metric("portcullis_audit_fleet_missed_records_total{cause=\"too_many\"}") >= 70.0);
    app.stop();
    assert!(originals(std::slice::from_ref(&app)).len() > 100);
    let log = store::open(&url).unwrap().fleet_log.unwrap();
    let now = portcullis::domain::Timestamp::now();
    assert_eq!(block_on(log.forget_before(now.minus(Duration::from_secs(600)))).unwrap(), 0);
    assert_eq!(block_on(log.forget_before(now)).unwrap(), 20);
    assert!(copies(&url).0.is_empty());
}

/// How far each thread of this process stands behind others, as `ps` shows it under NI.
fn niceness() -> Vec<i64> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of =
        |stat: String| stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().parse().unwrap();
    threads.map(|thread| of(std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap())).collect()
}

#[test]
fn one_thread_stands_behind_all_others_and_it_is_the_sender() {
    let ours = niceness()[0];
    let node = Node::start("save \"\"", &[]);
    let [app] = fleet_with(&format!("redis://127.0.0.1:{}", node.port), |_| {});
    until("it sends", SOON, || app.metric("portcullis_audit_fleet_records_total") > 0.0);
    let behind: Vec<i64> = niceness().into_iter().filter(|nice| *nice != ours).collect();
    assert_eq!(behind, if ours < 15 { vec![15] } else { Vec::new() });
}
