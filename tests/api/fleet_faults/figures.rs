//! What a fleet promises in figures: no call too many, how soon a revocation holds, how long a decision takes.
//!
//! `PORTCULLIS_FULL=1` runs all of it: ten runs, 200 trials.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use portcullis::{
    settings::{OnQuotaLoss, OnStoreLoss},
    store::RevocationTarget,
};

use crate::{
    fleet::fleet_with,
    fleet_limits::{admitted, of_calls},
    nodes::{
        Node,
        proxy::{Fault, Proxy},
    },
    support::{app::TestApp, block_on, http::Connection, pause, rpc::Rpc, until},
};

/// The promise.
const REVOKED_WITHIN: Duration = Duration::from_secs(1);

fn is_full() -> bool {
    std::env::var_os("PORTCULLIS_FULL").is_some_and(|value| value != "0" && !value.is_empty())
}

fn at(node: &Node) -> String {
    format!("redis://127.0.0.1:{}", node.port)
}

#[test]
fn three_servers_with_64_connections_each_admit_no_call_too_many_in_any_run() {
    const CAPACITY: usize = 600;
    let node = Node::start("save \"\"", &[]);
    let fleet: [TestApp; 3] = fleet_with(&at(&node), of_calls(CAPACITY as u32, 0.000_001));
    let mut figures = Vec::new();
    for run in 0..if is_full() { 10 } else { 2 } {
        let token = fleet[0].token(&format!("ada-{run}"), "guest");
        let at_once = admitted(&fleet, &token, 64, |calls| calls < 8);
        let mut all = at_once;
        until("all of it was given away", Duration::from_secs(20), || {
            all += admitted(&fleet, &token, 1, |calls| calls < 1);
            all >= CAPACITY
        });
        all += admitted(&fleet, &token, 64, |calls| calls < 1);
        assert_eq!(all, CAPACITY, "run {run}: {at_once} at once");
        figures.push(at_once);
    }
    println!(
        "over-admission: 0 in {} runs of 3 x 64 connections; at once {figures:?} of {CAPACITY}",
        figures.len()
    );
}

#[test]
fn a_revocation_holds_everywhere_within_a_second_in_every_trial() {
    let node = Node::start("save \"\"", &[]);
    let fleet: [TestApp; 3] = fleet_with(&at(&node), |_| {});
    let trials = if is_full() { 200 } else { 4 };
    let mut took: Vec<Duration> = (0..trials)
        .map(|trial| {
            let (token, jti) = fleet[trial % 3].minted("ada", &["user"], &[], "desk");
            let good =
                |connection: &mut Connection| Rpc::weather().bearer(&token).on(connection).status == 200;
            let mut connections = fleet.each_ref().map(TestApp::connect);
            assert!(connections.iter_mut().all(good));
            let revoking =
                fleet[trial % 3].tokens.revoke(RevocationTarget::Jti(jti), Duration::from_secs(60));
            block_on(revoking).unwrap();
            let acknowledged = Instant::now();
            thread::scope(|threads| {
                let last_good = |connection: &mut Connection| {
                    let mut last = Duration::ZERO;
                    while good(connection) {
                        last = acknowledged.elapsed();
                        assert!(last <= REVOKED_WITHIN, "trial {trial}: good after {last:?}");
                    }
                    last
                };
                let each = connections.each_mut().map(|c| threads.spawn(move || last_good(c)));
                each.map(|one| one.join().unwrap()).into_iter().max().unwrap()
            })
        })
        .collect();
    took.sort_unstable();
    let p99 = took[(took.len() * 99).div_ceil(100) - 1];
    println!(
        "revocation: {trials} trials, max {:?}, p99 {p99:?}, median {:?}",
        took[trials - 1],
        took[trials / 2]
    );
}

#[test]
fn while_redis_is_not_heard_each_decision_has_its_own_time_and_the_policy_holds() {
    for policy in [OnQuotaLoss::Deny, OnQuotaLoss::LocalShare, OnQuotaLoss::UnsafeAllow] {
        let node = Node::start("save \"\"", &[]);
        let way = Proxy::to(node.port);
        let fleet: [TestApp; 2] = fleet_with(&format!("redis://127.0.0.1:{}", way.port), |settings| {
            of_calls(60, 0.000_001)(settings);
            settings.limits.on_store_loss = policy;
            settings.limits.store_wait = Duration::from_millis(25);
            settings.revocation.on_store_loss = OnStoreLoss::UnsafeAllow;
            // Whoever waited for the store itself would wait for so long.
            settings.store.timeout = Duration::from_secs(3);
        });
        until("both are counted", Duration::from_secs(5), || {
            node.ask("ZCARD portcullis:servers").as_deref() == Some(":2")
        });
        pause(Duration::from_millis(1_500));
        let tokens: Vec<String> = (0..4).map(|n| fleet[0].token(&format!("cold-{n}"), "guest")).collect();
        let mut connection = fleet[0].connect();
        // The address is known, and the slice of it lasts.
        let warm = fleet[0].token("warm", "guest");
        until("the way is warm", Duration::from_secs(5), || {
            Rpc::weather().bearer(&warm).on(&mut connection).status == 200
        });
        way.set(Fault::BlackHole);
        let (began, mut slowest, mut let_in) = (Instant::now(), Duration::ZERO, BTreeMap::new());
        while began.elapsed() < Duration::from_secs(5) {
            for token in &tokens {
                let asked = Instant::now();
                let status = Rpc::weather().bearer(token).on(&mut connection).status;
                slowest = slowest.max(asked.elapsed());
                assert!(matches!(status, 200 | 429 | 503), "{policy:?}: {status}");
                *let_in.entry(token).or_insert(0) += usize::from(status == 200);
            }
            pause(Duration::from_millis(5));
        }
        assert!(slowest < Duration::from_millis(1_500), "{policy:?}: somebody waited {slowest:?}");
        for count in let_in.values() {
            match policy {
                OnQuotaLoss::Deny => assert_eq!(*count, 0, "{policy:?}"),
                OnQuotaLoss::LocalShare => assert_eq!(*count, 30, "{policy:?}: half of 60, as there are two"),
                OnQuotaLoss::UnsafeAllow => assert!(*count > 60, "{policy:?}: {count}"),
            }
        }
        println!("{policy:?}: slowest decision {slowest:?}, let in {:?}", let_in.values());
        way.set(Fault::None);
        let fresh = fleet[0].token("fresh", "guest");
        until("limits are shared again", Duration::from_secs(5), || {
            Rpc::weather().bearer(&fresh).on(&mut connection).status == 200
                && fleet[0].metric("portcullis_store_circuit_open") == 0.0
        });
    }
}
