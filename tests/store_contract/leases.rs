//! Slices of shared limits: never more than the bucket holds, whoever asks how, and nothing lost for long.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use portcullis::store::{self, Granted, LeaseAsk, Leases, StoreError};
use uuid::Uuid;

use super::{
    nodes::{
        Node, Nodes,
        proxy::{Fault, Proxy},
        until,
    },
    wait,
};

fn ask(holder: Uuid) -> LeaseAsk {
    let (capacity, per_second) = (100, 0.000_001);
    LeaseAsk {
        scope: "user",
        id: [7; 16],
        holder,
        capacity,
        per_second,
        used: 0,
        returned: 0,
        needed: 1,
        wanted: 10,
    }
}

fn one(leases: &dyn Leases, ask: LeaseAsk) -> Granted {
    wait(leases.lease(vec![ask])).unwrap().remove(0)
}

#[test]
fn what_is_given_is_gone_until_it_is_given_back() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster(), nodes.watched()] {
        let stores = store::open(&url).unwrap();
        let leases = stores.leases.as_deref().unwrap();
        let (ann, bob) = (Uuid::now_v7(), Uuid::now_v7());
        let first = one(leases, LeaseAsk { wanted: 60, ..ask(ann) });
        assert_eq!((first.calls, first.left), (60, 40), "{url}");
        let second = one(leases, LeaseAsk { wanted: 60, ..ask(bob) });
        assert_eq!((second.calls, second.left), (40, 0), "{url}: as much as there is");
        let third = one(leases, LeaseAsk { used: 30, ..ask(bob) });
        assert_eq!(third.calls, 0, "{url}: what was used is gone");
        assert!(third.wait > Duration::from_secs(900_000), "{url}: {:?}", third.wait);
        let none = LeaseAsk { needed: 0, wanted: 0, ..ask(ann) };
        assert_eq!(one(leases, LeaseAsk { used: 10, returned: 25, ..none.clone() }).left, 25, "{url}");
        assert_eq!(
            one(leases, LeaseAsk { needed: 26, wanted: 26, ..ask(bob) }).calls,
            0,
            "{url}: all or none"
        );
        assert_eq!(one(leases, LeaseAsk { needed: 25, wanted: 26, ..ask(bob) }).calls, 25, "{url}");
        // Nobody gives back what is not theirs: ann holds 25 still, bob 35, eve nothing.
        assert_eq!(one(leases, LeaseAsk { returned: 90, ..none.clone() }).left, 25, "{url}");
        assert_eq!(one(leases, LeaseAsk { returned: 90, holder: Uuid::now_v7(), ..none }).left, 25, "{url}");
    }
}

#[test]
fn a_bucket_fills_with_time_but_not_beyond_what_is_held() {
    let node = Node::start("save \"\"", &[]);
    let stores = store::open(&format!("redis://127.0.0.1:{}", node.port)).unwrap();
    let leases = stores.leases.as_deref().unwrap();
    let holder = Uuid::now_v7();
    let fast = LeaseAsk { per_second: 1_000.0, ..ask(holder) };
    assert_eq!(one(leases, LeaseAsk { wanted: 100, ..fast.clone() }).calls, 100);
    let look = LeaseAsk { needed: 0, wanted: 0, ..fast.clone() };
    assert_eq!(one(leases, look.clone()).left, 0, "all of it is held");
    assert_eq!(one(leases, LeaseAsk { used: 100, ..look.clone() }).left, 0, "the moment it is reported");
    let began = Instant::now();
    until(|| one(leases, look.clone()).left >= 50);
    assert!(began.elapsed() >= Duration::from_millis(45), "it fills by the clock: {:?}", began.elapsed());
    until(|| one(leases, look.clone()).left == 100);
    let dry = one(leases, LeaseAsk { wanted: 100, ..fast.clone() });
    assert_eq!(dry.calls, 100, "and holds no more than it may");
    let short = one(leases, LeaseAsk { used: 100, needed: 10, ..fast });
    assert!(short.wait > Duration::ZERO && short.wait <= Duration::from_millis(10), "{short:?}");
}

/// The time in microseconds, as a node on this machine has it.
fn clock() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()
}

#[test]
fn a_slice_lasts_from_when_something_was_given_and_not_from_each_word_of_its_server() {
    let node = Node::start("save \"\"", &[]);
    let stores = store::open(&format!("redis://127.0.0.1:{}", node.port)).unwrap();
    let leases = stores.leases.as_deref().unwrap();
    let ann = Uuid::now_v7();
    assert_eq!(one(leases, LeaseAsk { wanted: 60, ..ask(ann) }).calls, 60);
    let bucket = node.all("KEYS *rate_limit*").remove(0);
    let ends = || -> u128 {
        let kept = node.ask(&format!("HGET {bucket} {ann}")).unwrap();
        kept.split_once(' ').unwrap().1.trim().parse().unwrap()
    };
    let first = ends();
    let said = LeaseAsk { used: 1, needed: 0, wanted: 0, ..ask(ann) };
    one(leases, said.clone());
    assert_eq!(ends(), first, "a word of what was used");
    one(leases, LeaseAsk { used: 0, needed: 90, wanted: 90, ..said });
    assert_eq!(ends(), first, "a question that got nothing");
    assert_eq!(one(leases, ask(ann)).calls, 10);
    assert!(ends() > first, "a gift");
}

#[test]
fn while_a_slice_was_held_the_bucket_did_not_fill_behind_it() {
    let node = Node::start("save \"\"", &[]);
    let stores = store::open(&format!("redis://127.0.0.1:{}", node.port)).unwrap();
    let leases = stores.leases.as_deref().unwrap();
    let ann = Uuid::now_v7();
    let slow = LeaseAsk { per_second: 10.0, ..ask(ann) };
    assert_eq!(one(leases, LeaseAsk { wanted: 100, ..slow.clone() }).calls, 100);
    let bucket = node.all("KEYS *rate_limit*").remove(0);
    let now = clock();
    // As if it had been given ten seconds ago, and had ended two seconds ago.
    node.ask(&format!("HSET {bucket} at {} {ann} \"100 {}\"", now - 10_000_000, now - 2_000_000));
    let left = one(leases, LeaseAsk { needed: 0, wanted: 0, ..slow }).left;
    assert!((20..50).contains(&left), "{left}: what came back in two seconds, not in ten");
}

#[test]
fn many_servers_at_once_never_get_more_than_there_is() {
    let node = Node::start("save \"\"", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    let given: u32 = thread::scope(|threads| {
        let server = || {
            let stores = store::open(&url).unwrap();
            let (leases, holder) = (stores.leases.as_deref().unwrap(), Uuid::now_v7());
            let mut all = 0;
            for round in 0..60 {
                let granted = one(leases, LeaseAsk { wanted: 1 + round % 5, used: 2, ..ask(holder) });
                all += granted.calls;
            }
            all
        };
        let servers: Vec<_> = (0..6).map(|_| threads.spawn(server)).collect();
        servers.into_iter().map(|server| server.join().unwrap()).sum()
    });
    assert_eq!(given, 100);
}

#[test]
fn the_servers_that_are_there_are_counted() {
    let node = Node::start("save \"\"", &[]);
    let stores = store::open(&format!("redis://127.0.0.1:{}", node.port)).unwrap();
    let leases = stores.leases.as_deref().unwrap();
    let (ann, bob) = (Uuid::now_v7(), Uuid::now_v7());
    let beats = [ann, bob, ann].map(|holder| wait(leases.beat(holder)).unwrap());
    assert_eq!(beats, [1, 2, 2]);
    node.ask("ZADD portcullis:servers 1 long-gone");
    assert_eq!(wait(leases.beat(ann)), Ok(2));
    node.signal("-STOP");
    assert!(matches!(wait(leases.beat(ann)), Err(StoreError::Unavailable(_))));
    node.signal("-CONT");
}

#[test]
fn what_was_told_counts_once_though_its_answer_was_lost() {
    let node = Node::start("save \"\"", &[]);
    let way = Proxy::to(node.port);
    let stores = store::open(&format!("redis://127.0.0.1:{}", way.port)).unwrap();
    let leases = stores.leases.as_deref().unwrap();
    let ann = Uuid::now_v7();
    for _ in 0..20 {
        node.ask("FLUSHALL").unwrap();
        assert_eq!(one(leases, LeaseAsk { wanted: 60, ..ask(ann) }).calls, 60);
        way.set(Fault::LosesAnswer);
        // Told the second time as well, it would be 90: as if what ann still holds were nobody's.
        let told = LeaseAsk { used: 10, returned: 25, needed: 0, wanted: 0, ..ask(ann) };
        assert_eq!(one(leases, told).left, 65);
    }
}
