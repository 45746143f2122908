//! The fleet's log while its Redis or a server is lost: nothing is lost in the files, and in the end all is there once.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Arbiter;
use portcullis::{
    actors::audit::{
        Audit, AuditConfig, Durability,
        fleet::{Fleet, FleetRules, Shipper},
        insight::Insight,
    },
    domain::{AuditEvent, EventCode, Outcome, Timestamp},
    store,
};
use serde_json::json;

use super::{
    fleet::fleet_with,
    fleet_audit::{assert_whole, copies, lag},
    nodes::Node,
    support::{SOON, app::TestApp, http::Connection, pause, rpc::Rpc, until},
};

/// How long the sending may take to go on after Redis is back: its longest pause, and a margin for a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(20);

/// Calls that are recorded whatever the store does: they are refused, or served.
fn calls(app: &TestApp, token: &str, connection: &mut Connection) {
    for _ in 0..10 {
        let status = Rpc::weather().bearer(token).on(connection).status;
        assert!([200, 503].contains(&status), "{status} by {:?}", app.main);
    }
}

#[test]
fn a_redis_that_hangs_or_is_killed_gets_everything_once_it_is_back() {
    let mut node = Node::start("appendonly yes\nappendfsync everysec", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    let mut fleet: [TestApp; 2] = fleet_with(&url, |_| {});
    let token = fleet[0].token("ada", "user");
    let mut connections = fleet.each_ref().map(TestApp::connect);
    for signal in ["-STOP", "-KILL"] {
        fleet.iter().zip(&mut connections).for_each(|(app, connection)| calls(app, &token, connection));
        node.signal(signal);
        let lost = Instant::now();
        while lost.elapsed() < Duration::from_secs(3) {
            fleet.iter().zip(&mut connections).for_each(|(app, connection)| calls(app, &token, connection));
            pause(Duration::from_millis(100));
        }
        assert!(fleet.iter().all(|app| lag(app) > 0.0), "it is known that they wait");
        if signal == "-STOP" {
            node.signal("-CONT")
        } else {
            node.restart()
        }
        until("everything is sent", BACK_WITHIN, || fleet.iter().all(|app| lag(app) == 0.0));
    }
    // A killed sender goes on where the last batch ended.
    for app in &fleet {
        app.fault("shipper");
    }
    fleet.iter().zip(&mut connections).for_each(|(app, connection)| calls(app, &token, connection));
    until("its successor sends", BACK_WITHIN, || fleet.iter().all(|app| app.is_ready() && lag(app) == 0.0));
    fleet.iter_mut().for_each(TestApp::stop);
    assert_whole(&url, &fleet);
}

#[test]
fn a_redis_that_comes_back_without_its_data_gets_everything_again_once_it_is_the_fleets_again() {
    let mut node = Node::start("save \"\"", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    let mut fleet: [TestApp; 2] = fleet_with(&url, |_| {});
    let token = fleet[0].token("ada", "user");
    let mut connections = fleet.each_ref().map(TestApp::connect);
    fleet.iter().zip(&mut connections).for_each(|(app, connection)| calls(app, &token, connection));
    until("everything is sent", SOON, || fleet.iter().all(|app| lag(app) == 0.0));
    let generation = node.ask("GET portcullis:generation").unwrap();
    for restarted in [true, false] {
        if restarted {
            node.restart()
        } else {
            _ = node.ask("FLUSHALL").unwrap()
        }
        fleet.iter().zip(&mut connections).for_each(|(app, connection)| calls(app, &token, connection));
        until("they know that it is another one", BACK_WITHIN, || fleet.iter().all(|app| lag(app) > 0.0));
        assert!(node.all("KEYS portcullis:audit*").is_empty(), "strangers are told nothing");
        node.ask(&format!("SET portcullis:generation {generation}")).unwrap();
        until("everything is sent again", BACK_WITHIN, || fleet.iter().all(|app| lag(app) == 0.0));
    }
    fleet.iter_mut().for_each(TestApp::stop);
    assert_whole(&url, &fleet);
}

#[test]
fn a_failover_in_the_middle_of_it_loses_no_record_and_doubles_none() {
    let first = Node::start("save \"\"", &[]);
    let second = Node::start(&format!("save \"\"\nreplicaof 127.0.0.1 {}", first.port), &[]);
    let says = |node: &Node, word: &str| node.ask("INFO replication").is_some_and(|info| info.contains(word));
    until("it is copied", BACK_WITHIN, || says(&second, "master_link_status:up"));
    let quick = "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000";
    let monitor = format!("sentinel monitor main 127.0.0.1 {} 1\n{quick}", first.port);
    let sentinel = Node::start(&monitor, &["--sentinel"]);
    until("it is watched", BACK_WITHIN, || sentinel.ask("SENTINEL replicas main").as_deref() == Some("*1"));
    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port);
    let mut fleet: [TestApp; 2] = fleet_with(&url, |_| {});
    let token = fleet[0].token("ada", "user");
    let mut connections = fleet.each_ref().map(TestApp::connect);
    fleet.iter().zip(&mut connections).for_each(|(app, connection)| calls(app, &token, connection));
    assert_eq!(sentinel.ask("SENTINEL failover main").as_deref(), Some("+OK"));
    until("the other one has taken over", BACK_WITHIN, || {
        fleet.iter().zip(&mut connections).for_each(|(app, connection)| calls(app, &token, connection));
        says(&second, "role:master") && says(&first, "role:slave")
    });
    fleet.iter().zip(&mut connections).for_each(|(app, connection)| calls(app, &token, connection));
    until("everything is sent", BACK_WITHIN, || fleet.iter().all(|app| lag(app) == 0.0));
    fleet.iter_mut().for_each(TestApp::stop);
    assert_whole(&url, &fleet);
}

#[test]
fn while_redis_is_lost_the_tool_tells_of_its_own_log_and_says_so() {
    let node = Node::start("save \"\"", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    let fleet: [TestApp; 2] = fleet_with(&url, |settings| {
        // Else nobody is let in to ask.
        settings.revocation.on_store_loss = portcullis::settings::OnStoreLoss::UnsafeAllow;
    });
    let admin = fleet[0].token("root", "admin");
    let ask = || {
        let reply =
            Rpc::call("get_security_audit", json!({ "time_range": "24h" })).bearer(&admin).send(&fleet[0]);
        reply.result()["structuredContent"].take()
    };
    until("both are counted", SOON, || ask()["fleet"] == json!({ "servers": 2, "reached": true }));
    let bad = Rpc::weather().bearer("not.a.token");
    bad.send(&fleet[0]).refused(401, -31401, "invalid_token");
    node.signal("-STOP");
    let partial = ask();
    node.signal("-CONT");
    assert_eq!(
        (&partial["complete"], &partial["fleet"]["reached"]),
        (&json!(false), &json!(false)),
        "{partial}"
    );
    assert_eq!(partial["totals"]["failed_authentications"], 1);
    until("it is whole again", BACK_WITHIN, || ask()["complete"] == true);
}

/// A log of so many records below `dir`, written at once.
async fn written(dir: &std::path::Path, records: usize) {
    let mut config = AuditConfig::new(dir);
    config.durability = Durability::Buffered;
    let arbiter = Arbiter::new();
    let audit = Audit::start(&arbiter.handle(), config).await.unwrap();
    let lane = audit.lane();
    for n in 0..records {
        while lane.reserve().map(|slot| slot.write(called())).is_err() {
            tokio::task::yield_now().await;
        }
        if n % 1_000 == 0 {
            tokio::task::yield_now().await;
        }
    }
    audit.close().await.unwrap();
    arbiter.stop();
}

fn called() -> AuditEvent {
    let mut event = AuditEvent::new(Timestamp::now(), EventCode::ToolCalled, Outcome::Ok);
    event.tool = Some("get_weather".to_owned().into());
    event.user_agent = Some("a client with a name of some length/1.0".into());
    event
}

/// What this process holds of memory, KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_hundred_thousand_records_are_sent_in_bounded_memory_by_senders_that_are_killed_on_the_way() {
    const RECORDS: usize = 100_000;
    let node = Node::start("save \"\"", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    let dir = tempfile::tempdir().unwrap();
    actix::System::new().block_on(async {
        written(dir.path(), RECORDS).await;
        let log = store::open(&url).unwrap().fleet_log.unwrap();
        let fleet = Fleet::join(Arc::clone(&log), dir.path()).unwrap();
        let rules = FleetRules { retention: Duration::from_secs(86_400), records: 1_000_000 };
        let (before, began, mut most) = (resident(), Instant::now(), 0);
        let mut sent = 0;
        for round in 0.. {
            let arbiter = Arbiter::new();
            let insight = Insight::default();
            let shipper =
                Shipper::start(&arbiter.handle(), (&fleet, rules), dir.path(), &insight).await.unwrap();
            let started = Instant::now();
            let is_done = loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                most = most.max(resident());
                let status = shipper.status();
                if status.sent > 0 && status.lag == 0 {
                    break true;
                }
                // The first ones end in the middle of a batch, as their process would.
                if round < 3 && started.elapsed() > Duration::from_millis(300) {
                    break false;
                }
            };
            sent += shipper.status().sent;
            arbiter.stop();
            arbiter.join().unwrap();
            if is_done {
                break;
            }
        }
        let took = began.elapsed();
        println!("{sent} records sent in {took:?}: {:.0} a second", sent as f64 / took.as_secs_f64());
        assert!(most.saturating_sub(before) < 48 * 1_024, "{} KiB more than before", most - before);
    });
    let (found, doubts) = copies(&url);
    assert_eq!((doubts.forged, doubts.missing), (0, 0));
    let originals: Vec<String> =
        portcullis::actors::audit::query(dir.path(), portcullis::actors::audit::Filter::default())
            .unwrap()
            .map(|found| found.unwrap().line)
            .collect();
    assert!(originals.len() >= RECORDS);
    let chain = &found[0].found.record.chain;
    let size = node.ask(&format!("MEMORY USAGE portcullis:audit:{chain} SAMPLES 0")).unwrap();
    let (size, text) =
        (size[1..].parse::<usize>().unwrap(), originals.iter().map(String::len).sum::<usize>());
    println!("{text} bytes of records take {size} bytes of Redis");
    assert!(size < text + text / 4, "Redis needs little more than the text itself");
    assert!(found.iter().map(|it| &it.found.line).eq(&originals), "each once, in the order of the chain");
}
