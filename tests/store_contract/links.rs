//! Ways to a Redis on which somebody is silent, slow, or not what he was.

use std::time::Duration;

use portcullis::{
    domain::Timestamp,
    store::{self, ChangeKind, Revocation, Stores},
};

use super::{
    jti, live, next,
    nodes::{
        Node, Nodes,
        groups::{Cluster, Watched},
        proxy::{Fault, Proxy},
        until,
    },
    wait,
};

/// How long a look at the feed may take to show what is there.
const SOON: Duration = Duration::from_secs(5);

/// One that will matter for an hour, as the clock goes.
fn lasting(name: &str) -> Revocation {
    let now = Timestamp::now();
    Revocation { at: now, until: now.plus(Duration::from_hours(1)), ..jti(name, 0, 0) }
}

fn revokes(stores: &Stores, name: &str) -> bool {
    wait(stores.revocations.revoke(&lasting(name))).is_ok()
}

/// A way to somebody who never says anything.
fn silent(node: u16) -> Proxy {
    let way = Proxy::to(node);
    way.set(Fault::BlackHole);
    way
}

#[test]
fn a_sentinel_or_a_seed_that_is_silent_holds_nobody_up() {
    let nodes = Nodes::start();
    let past_silence = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap();
        let port = rest.split(&[':', '/'][..]).nth(1).unwrap();
        let ways = [(); 2].map(|()| silent(port.parse().unwrap()));
        let [one, other] = ways.each_ref().map(|way| format!("127.0.0.1:{}", way.port));
        (format!("{scheme}://{one},{other},{rest}"), ways)
    };
    for (what, url) in [("sentinel", nodes.watched()), ("cluster", nodes.cluster())] {
        let (url, _ways) = past_silence(&url);
        // As a start does, and every command.
        let stores = store::open(&url).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(revokes(&stores, "a"), "{what}");
        let mut watch = stores.feed.watch(0);
        assert_eq!(next(watch.as_mut(), SOON).len(), 1, "{what}");
        nodes.drop_connections();
        until(|| revokes(&stores, "b"));
        assert_eq!(next(watch.as_mut(), SOON).len(), 1, "{what}: it is found again");
    }
}

#[test]
fn a_master_that_falls_silent_with_the_first_sentinel_is_replaced_for_whoever_is_open() {
    let group = Watched::start();
    let first = Proxy::to(group.sentinel.port);
    let url = format!("redis+sentinel://127.0.0.1:{},127.0.0.1:{}/main", first.port, group.sentinel.port);
    let stores = store::open(&url).unwrap();
    let mut watch = stores.feed.watch(0);
    assert!(revokes(&stores, "a"));
    assert_eq!(next(watch.as_mut(), SOON).len(), 1);
    let before = group.master();
    // Their machine loses power: nothing is refused, nothing answers.
    first.set(Fault::BlackHole);
    group.nodes.iter().find(|node| node.port == before).unwrap().signal("-STOP");
    until(|| group.master() != before);
    until(|| revokes(&stores, "b"));
    until(|| watch.poll().is_ok());
    assert!(store::open(&url).is_ok_and(|fresh| revokes(&fresh, "c")), "who starts now finds it too");
}

#[test]
fn connections_that_take_longer_to_make_than_a_question_may_take_are_made_all_the_same() {
    // The making alone takes too long; or it does not, and the first question over it comes too late.
    for (first, by) in [(2, 250), (3, 150)] {
        let mut node = Node::start("appendonly yes\nappendfsync always", &[]);
        let way = Proxy::to(node.port);
        let stores = store::open(&format!("redis://127.0.0.1:{}", way.port)).unwrap();
        let mut watch = stores.feed.watch(0);
        assert!(revokes(&stores, "a"));
        assert_eq!(next(watch.as_mut(), SOON).len(), 1);
        way.set(Fault::SlowToOpen(first, Duration::from_millis(by)));
        node.restart();
        until(|| revokes(&stores, "b"));
        until(|| watch.poll().is_ok_and(|told| told.len() == 1));
        assert_eq!(live(&stores, 0).len(), 2);
    }
}

#[test]
fn what_a_replica_says_of_the_feed_counts_for_nothing() {
    let one = Node::start("save \"\"", &[]);
    let stores = store::open(&format!("redis://127.0.0.1:{}", one.port)).unwrap();
    let mut watch = stores.feed.watch(0);
    assert!(revokes(&stores, "a"));
    assert_eq!(next(watch.as_mut(), SOON).len(), 1);
    one.ask("REPLICAOF 127.0.0.1 1").unwrap();
    assert!(watch.poll().is_err(), "it answers, and hears of nothing any more");
    one.ask("REPLICAOF NO ONE").unwrap();
    until(|| watch.poll().is_ok());
}

#[test]
fn who_finds_that_a_node_was_demoted_lets_go_of_every_connection_to_it() {
    let one = Node::start("save \"\"", &[]);
    let other = Node::start(&format!("save \"\"\nreplicaof 127.0.0.1 {}", one.port), &[]);
    until(|| other.ask("INFO replication").is_some_and(|info| info.contains("master_link_status:up")));
    let way = Proxy::to(one.port);
    let stores = store::open(&format!("redis://127.0.0.1:{}", way.port)).unwrap();
    let mut watch = stores.feed.watch(0);
    assert!(revokes(&stores, "a"));
    assert_eq!(next(watch.as_mut(), SOON).len(), 1);
    // By hand, with a name that leads to the new master from now on; connections stay.
    until(|| other.all("KEYS portcullis:blacklist:*").len() == 1);
    other.ask("REPLICAOF NO ONE").unwrap();
    way.leads_to(other.port);
    one.ask("REPLICAOF 127.0.0.1 1").unwrap();
    assert!(!revokes(&stores, "b"));
    assert_eq!(watch.poll(), Ok(Vec::new()), "the other pool has heard of it");
    assert!(revokes(&stores, "c"));
    assert!(matches!(&next(watch.as_mut(), SOON)[..], [ChangeKind::Revoked(_)]));
}

#[test]
fn a_node_of_a_cluster_that_holds_nothing_of_ours_may_be_silent() {
    let cluster = Cluster::start();
    for node in &cluster.0 {
        node.ask("CONFIG SET cluster-require-full-coverage no").unwrap();
    }
    let stores = store::open(&cluster.url()).unwrap();
    assert!(revokes(&stores, "a"));
    let (_, _, away) = cluster.owner_and_next("{portcullis:}generation");
    cluster.0[away].signal("-STOP");
    for n in 0..20 {
        assert!(revokes(&stores, &format!("b{n}")), "{n}");
    }
    assert!(revokes(&store::open(&cluster.url()).unwrap(), "c"), "who starts now");
}
