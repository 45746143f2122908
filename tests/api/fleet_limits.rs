//! Limits of a fleet: three servers never admit more than one would, and not much less.

use std::{
    thread,
    time::{Duration, Instant},
};

use portcullis::settings::{OnQuotaLoss, OnStoreLoss, Settings};

use super::{
    fleet::fleet_with,
    nodes::Node,
    support::{app::TestApp, rpc::Rpc, until},
};

/// Guests have so many calls, and next to none come back.
pub(crate) fn of_calls(capacity: u32, per_second: f64) -> impl Fn(&mut Settings) {
    move |settings| {
        let guest = settings.roles.get_mut("guest").unwrap();
        (guest.capacity, guest.refill_per_second) = (Some(capacity), Some(per_second));
    }
}

fn at(node: &Node) -> String {
    format!("redis://127.0.0.1:{}", node.port)
}

/// How many of the calls that `connections` to each server make at once are let in.
pub(crate) fn admitted(
    fleet: &[TestApp],
    token: &str,
    connections: usize,
    until: impl Fn(usize) -> bool + Sync,
) -> usize {
    thread::scope(|threads| {
        let caller = |app: &'_ TestApp| {
            let (mut connection, mut calls, mut let_in) = (app.connect(), 0, 0);
            while until(calls) {
                calls += 1;
                match Rpc::weather().bearer(token).on(&mut connection).status {
                    200 => let_in += 1,
                    429 => {}
                    other => panic!("{other}"),
                }
            }
            let_in
        };
        let callers: Vec<_> = fleet
            .iter()
            .flat_map(|app| (0..connections).map(move |_| threads.spawn(move || caller(app))))
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    })
}

#[test]
fn three_servers_give_one_identity_what_one_would_and_no_call_more() {
    let node = Node::start("save \"\"", &[]);
    let fleet: [TestApp; 3] = fleet_with(&at(&node), of_calls(60, 0.000_001));
    let token = fleet[0].token("ada", "guest");
    let first = admitted(&fleet, &token, 8, |calls| calls < 20);
    assert!(first <= 60, "{first} of 60");
    // What a server holds and does not need comes back to the others.
    let mut all = first;
    until("all of it was given away", Duration::from_secs(10), || {
        all += admitted(&fleet, &token, 1, |calls| calls < 1);
        assert!(all <= 60, "{all} of 60");
        all == 60
    });
    let more = admitted(&fleet, &token, 4, |calls| calls < 5);
    assert_eq!(more, 0);
}

#[test]
fn at_a_steady_load_the_fleet_gives_what_comes_back_within_five_per_cent() {
    const RATE: f64 = 200.0;
    const CAPACITY: u32 = 40;
    let node = Node::start("save \"\"", &[]);
    let fleet: [TestApp; 3] = fleet_with(&at(&node), of_calls(CAPACITY, RATE));
    let token = fleet[0].token("ada", "guest");
    // Until the bucket is empty, which it stays.
    admitted(&fleet, &token, 4, |calls| calls < 60);
    let began = Instant::now();
    let let_in = admitted(&fleet, &token, 4, |_| began.elapsed() < Duration::from_secs(4)) as f64;
    let due = began.elapsed().as_secs_f64() * RATE;
    // What was in slices at the beginning may come on top, what is in them at the end may be missing.
    let slack = f64::from(CAPACITY);
    assert!(let_in <= due + slack, "{let_in} of {due}");
    assert!(let_in >= due * 0.95 - slack, "{let_in} of {due}");
}

#[test]
fn a_server_that_stops_leaves_what_it_held_to_the_others() {
    let node = Node::start("save \"\"", &[]);
    let [mut one, other] = fleet_with(&at(&node), of_calls(80, 0.000_001));
    let token = one.token("ada", "guest");
    let first = admitted(std::slice::from_ref(&one), &token, 1, |calls| calls < 12);
    assert_eq!(first, 12);
    one.stop();
    let rest = admitted(std::slice::from_ref(&other), &token, 1, |calls| calls < 90);
    assert_eq!(rest, 68, "all but what was used");
}

/// Two servers whose Redis has gone; tokens are good all the same.
fn orphans(policy: OnQuotaLoss) -> ([TestApp; 2], String) {
    let mut node = Node::start("save \"\"", &[]);
    let fleet = fleet_with(&at(&node), |settings| {
        of_calls(60, 0.000_001)(settings);
        settings.limits.on_store_loss = policy;
        settings.revocation.on_store_loss = OnStoreLoss::UnsafeAllow;
    });
    let token = fleet[0].token("ada", "guest");
    for app in &fleet {
        Rpc::weather().bearer(&token).send(app).result();
    }
    // Both have been counted by both once each has said twice that it is there.
    until("both are counted", Duration::from_secs(5), || {
        node.ask("ZCARD portcullis:servers").as_deref() == Some(":2")
    });
    super::support::pause(Duration::from_millis(1_500));
    node.end();
    (fleet, token)
}

#[test]
fn without_redis_each_server_gives_its_share() {
    let (fleet, token) = orphans(OnQuotaLoss::LocalShare);
    for app in &fleet {
        let own = std::slice::from_ref(app);
        let mut let_in = 0;
        until("the share is used up", Duration::from_secs(5), || {
            let more = admitted(own, &token, 1, |calls| calls < 10);
            let_in += more;
            more == 0
        });
        // One slice may have been at hand when Redis went.
        assert!((30..=30 + 60 / 8).contains(&let_in), "{let_in}");
    }
}

#[test]
fn without_redis_deny_lets_nobody_in_and_unsafe_allow_everybody() {
    let (fleet, token) = orphans(OnQuotaLoss::Deny);
    until("nobody is let in", Duration::from_secs(5), || {
        Rpc::weather().bearer(&token).send(&fleet[0]).status == 503
    });
    Rpc::weather().bearer(&token).send(&fleet[0]).refused(503, -31503, "store_unavailable");
    let (fleet, token) = orphans(OnQuotaLoss::UnsafeAllow);
    until("it is noticed", Duration::from_secs(5), || {
        fleet[0].metric("portcullis_store_errors_total{op=\"limits.beat\"}") >= 1.0
    });
    assert_eq!(admitted(&fleet[..1], &token, 1, |calls| calls < 100), 100);
}
