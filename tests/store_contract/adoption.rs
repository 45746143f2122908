//! What a Redis may lose: everything, or what a node had not handed on when it was lost.

use std::{collections::BTreeSet, time::Duration};

use portcullis::{
    domain::{KeyState, Timestamp},
    store::{
        self, Adoption, ChangeKind, Family, FamilyAccess, IDENTITY_RING, Moved, RedisUse, Revocation,
        RevocationTarget, StoreError, Stores,
    },
};
use uuid::Uuid;

use super::{
    Backend, backends, jti, keys, live, next,
    nodes::{Node, Nodes, until},
    user, wait,
};

fn at(node: &Node) -> String {
    format!("redis://127.0.0.1:{}", node.port)
}

fn open(url: &str) -> Stores {
    store::open(url).unwrap()
}

fn adoption(stores: &Stores) -> &dyn Adoption {
    stores.adoption.as_deref().unwrap()
}

/// One that will matter for an hour, as the clock goes.
fn lasting(name: &str) -> Revocation {
    let now = Timestamp::now();
    Revocation { at: now, until: now.plus(Duration::from_hours(1)), ..jti(name, 0, 0) }
}

#[test]
fn what_a_store_has_lost_of_revocations_is_put_back_once_and_told() {
    for Backend { name, stores, .. } in backends() {
        let all_of =
            |at, until| Revocation { target: RevocationTarget::Subject("ann".into()), ..jti("", at, until) };
        wait(stores.revocations.revoke(&jti("a", 5, 50))).unwrap();
        wait(stores.revocations.revoke(&all_of(5, 50))).unwrap();
        let many: Vec<_> = (0..150).map(|n| jti(&format!("m{n}"), 5, 50)).collect();
        let known = [&[jti("a", 9, 50), all_of(4, 50), jti("b", 5, 50)], &many[..]].concat();
        assert_eq!(wait(stores.revocations.restore(&known)), Ok(151), "{name}: those that were not there");
        assert_eq!(wait(stores.revocations.restore(&known)), Ok(0), "{name}: again");
        assert_eq!(
            wait(stores.revocations.restore(&[all_of(6, 50), jti("a", 5, 60)])),
            Ok(2),
            "{name}: wider"
        );
        let kept = live(&stores, 0);
        assert_eq!(kept.len(), 153, "{name}");
        assert!(kept.contains(&all_of(6, 50)) && kept.contains(&jti("a", 5, 60)), "{name}");
        let told = wait(stores.feed.changes_after(2)).unwrap();
        assert_eq!(told.len(), 153, "{name}: each is told once");
        assert_eq!(told[0].what, ChangeKind::Revoked(jti("b", 5, 50)), "{name}");
    }
}

#[test]
fn a_revocation_that_is_put_back_ends_what_was_begun_before_it_and_nothing_that_was_begun_since() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    let now = Timestamp::now();
    let later = now.plus(Duration::from_secs(600));
    let founded = |at: Timestamp, name: &str| {
        let stamp = uuid::Timestamp::from_unix(uuid::NoContext, at.secs(), 0);
        let family = Family {
            id: Uuid::new_v7(stamp).to_string(),
            subject: "ann".parse().unwrap(),
            client: "desk".into(),
            roles: Vec::new(),
            permissions: Vec::new(),
            has_account: false,
            refresh: format!("r-{name}"),
            expires_at: later,
        };
        let access = FamilyAccess { jti: format!("a-{name}"), until: later };
        wait(stores.families.found(&family, &access, at)).unwrap();
        family.id
    };
    let (before, since) = (founded(now.minus(Duration::from_secs(60)), "before"), founded(now, "since"));
    let at = now.minus(Duration::from_secs(30));
    let lost = Revocation { target: RevocationTarget::Client("desk".into()), at, until: later };
    assert_eq!(wait(stores.revocations.restore(std::slice::from_ref(&lost))), Ok(1));
    assert_eq!(
        wait(stores.families.find(&before)),
        Ok(None),
        "its refresh token does not say of which client it is"
    );
    assert!(wait(stores.families.find(&since)).unwrap().is_some());
    let targets: BTreeSet<_> = live(&stores, 0).into_iter().map(|one| one.target).collect();
    assert_eq!(targets, [lost.target, RevocationTarget::Jti("a-before".into())].into());
}

#[test]
fn nobody_goes_over_to_an_emptied_redis_before_it_is_adopted_and_then_with_all_that_was_known() {
    let nodes = Nodes::start();
    for (url, node) in [(nodes.single(), nodes.node()), (nodes.cluster(), nodes.cluster_node())] {
        let stores = open(&url);
        let mut watch = stores.feed.watch(0);
        wait(stores.users.put(&user("ann"))).unwrap();
        wait(stores.revocations.revoke(&lasting("a"))).unwrap();
        let ring = wait(stores.rings.secret("x")).unwrap();
        assert_eq!(watch.poll().unwrap().len(), 2);
        let known = [lasting("a"), lasting("b")];
        assert_eq!(node.ask("FLUSHALL").as_deref(), Some("+OK"));
        assert_eq!(watch.poll(), Err(StoreError::Replaced), "{url}");
        let go_over = |own: &str| wait(adoption(&stores).go_over(own, &known));
        assert_eq!(go_over("old"), Ok(None), "{url}: while there is none");
        assert_eq!(node.ask("DBSIZE").as_deref(), Some(":0"), "{url}: nothing was written to it");

        let new = open(&url);
        assert_eq!(go_over("old"), Ok(None), "{url}: while nobody has said so");
        wait(adoption(&new).adopt("another")).unwrap();
        assert_eq!(go_over("old"), Ok(None), "{url}: for another one");
        assert_eq!(watch.poll(), Err(StoreError::Replaced), "{url}");
        assert_eq!(wait(adoption(&new).stands_in_for("old")), Ok(false));
        wait(adoption(&new).adopt("old")).unwrap();
        assert_eq!(wait(adoption(&new).stands_in_for("old")), Ok(true));
        let identity = store::identity(&wait(new.rings.secret(IDENTITY_RING)).unwrap());
        assert_eq!(go_over("old"), Ok(Some(Moved { identity, revocations: 2, foreign_rings: 0 })), "{url}");

        let told = next(watch.as_mut(), Duration::from_secs(1));
        assert_eq!(told, [ChangeKind::Unknown], "{url}: everything is read again");
        assert_eq!(watch.poll(), Ok(Vec::new()));
        assert_eq!(live(&new, 0).len(), 2, "{url}");
        assert_eq!(wait(new.rings.secret("x")), Ok(ring), "{url}: what was sealed opens everywhere");
        wait(stores.users.put(&user("bob"))).unwrap();
        assert_eq!(wait(adoption(&new).kept()).unwrap().accounts, 1, "{url}: it is the one store of both");
        assert_eq!(next(watch.as_mut(), Duration::from_secs(1)), [ChangeKind::User("bob".parse().unwrap())]);
    }
}

#[test]
fn a_server_whose_feed_had_told_it_nothing_yet_reads_all_of_an_adopted_store() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    for name in ["ann", "bob", "eve"] {
        wait(stores.users.put(&user(name))).unwrap();
    }
    let mut watch = stores.feed.watch(3);
    node.ask("FLUSHALL");
    let new = open(&at(&node));
    for name in ["a", "b", "c", "d"] {
        wait(new.users.put(&user(name))).unwrap();
    }
    wait(adoption(&new).adopt("old")).unwrap();
    assert!(wait(adoption(&stores).go_over("old", &[])).unwrap().is_some());
    let told = next(watch.as_mut(), Duration::from_secs(1));
    assert_eq!(told, [ChangeKind::Unknown], "although the new feed is longer than the old one was");
}

#[test]
fn an_adopted_store_that_has_secrets_of_its_own_is_gone_over_to_and_that_is_said() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    wait(stores.rings.secret("x")).unwrap();
    node.ask("FLUSHALL");
    let new = open(&at(&node));
    wait(new.rings.secret("x")).unwrap();
    wait(adoption(&new).adopt("old")).unwrap();
    let moved = wait(adoption(&stores).go_over("old", &[])).unwrap();
    let identity = store::identity(&wait(new.rings.secret(IDENTITY_RING)).unwrap());
    assert_eq!(moved, Some(Moved { identity, revocations: 0, foreign_rings: 1 }));
}

#[test]
fn whoever_goes_over_has_asked_all_there_is_to_ask_before_or_goes_on_refusing() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    let mut watch = stores.feed.watch(0);
    assert_eq!(watch.poll(), Ok(Vec::new()));
    node.ask("FLUSHALL");
    let new = open(&at(&node));
    wait(new.users.put(&user("ann"))).unwrap();
    wait(adoption(&new).adopt("old")).unwrap();
    // What says who it is does not read: that comes after everything else.
    node.ask(&format!("SET portcullis:ring:{IDENTITY_RING} x"));
    assert!(wait(adoption(&stores).go_over("old", &[lasting("a")])).is_err());
    assert_eq!(watch.poll(), Err(StoreError::Replaced), "all is as before");
    node.ask(&format!("DEL portcullis:ring:{IDENTITY_RING}"));
    let moved = wait(adoption(&stores).go_over("old", &[lasting("a")])).unwrap().unwrap();
    assert_eq!(moved.identity, store::identity(&wait(new.rings.secret(IDENTITY_RING)).unwrap()));
    assert_eq!(next(watch.as_mut(), Duration::from_secs(1)), [ChangeKind::Unknown]);
}

#[test]
fn to_an_emptied_redis_nothing_is_written_in_any_way() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    let mut watch = stores.feed.watch(0);
    assert_eq!(watch.poll(), Ok(Vec::new()));
    let (digest, key) = keys::minted();
    wait(stores.keys.insert(&digest, &key)).unwrap();
    node.ask("FLUSHALL");
    node.ask("SET portcullis:generation 1:another");
    assert_eq!(watch.poll(), Err(StoreError::Replaced));
    let leases = stores.leases.as_ref().unwrap();
    let uses = vec![store::KeyUse { id: key.id, count: 1, last_used: Timestamp::now() }];
    let batch = store::UseBatch { writer: Uuid::now_v7(), number: 1, uses };
    let (now, later) = (Timestamp::now(), Timestamp::now().plus(Duration::from_secs(60)));
    let level = store::Level { scope: "user".into(), id: [7; 16], spent: 1, at: now, until: later };
    let ask = store::LeaseAsk {
        scope: "user",
        id: [7; 16],
        holder: Uuid::now_v7(),
        capacity: 9,
        per_second: 1.0,
        used: 0,
        returned: 0,
        needed: 1,
        wanted: 1,
    };
    let refused = Err(StoreError::Replaced);
    assert_eq!(wait(stores.keys.add_uses(&batch)), refused);
    assert_eq!(wait(stores.quota.save(vec![level], now)), refused);
    assert_eq!(wait(stores.rings.secret("new")).map(drop), refused);
    assert_eq!(wait(leases.beat(Uuid::now_v7())).map(drop), refused);
    assert_eq!(wait(leases.lease(vec![ask])).map(drop), refused);
    assert_eq!(wait(stores.revocations.revoke(&lasting("a"))), refused);
    assert_eq!(node.all("KEYS *"), ["portcullis:generation"]);
}

/// A master with one replica that has caught up.
fn replicated(lines: &str) -> (Node, Node) {
    let master = Node::start(&format!("save \"\"\n{lines}"), &[]);
    let replica = Node::start(&format!("save \"\"\nreplicaof 127.0.0.1 {}", master.port), &[]);
    // The replica has all, and the master counts it only once it has been heard.
    until(|| replica.ask("INFO replication").is_some_and(|info| info.contains("master_link_status:up")));
    until(|| master.ask("INFO replication").is_some_and(|info| info.contains("state=online")));
    (master, replica)
}

#[test]
fn what_locks_somebody_out_is_confirmed_by_a_replica_or_it_is_said_that_it_is_not() {
    let alone = Node::start("save \"\"", &[]);
    let (master, replica) = replicated("");
    for (node, has_replica) in [(&alone, false), (&master, true)] {
        let stores = open(&at(node));
        let (digest, key) = keys::minted();
        wait(stores.keys.insert(&digest, &key)).unwrap();
        wait(stores.revocations.revoke(&lasting("a"))).unwrap();
        wait(stores.keys.set_state(key.id, KeyState::Disabled)).unwrap();
        assert_eq!(stores.unconfirmed.so_far(), 0, "where there is nothing to be confirmed, or it is");
        let waited = node.ask("INFO commandstats").unwrap().contains("cmdstat_wait:calls=2,");
        assert_eq!(waited, has_replica, "nobody waits for replicas that are not there");

        replica.signal("-STOP");
        wait(stores.revocations.revoke(&lasting("b"))).unwrap();
        wait(stores.keys.set_state(key.id, KeyState::Revoked)).unwrap();
        assert_eq!(stores.unconfirmed.so_far(), if has_replica { 2 } else { 0 });
        wait(stores.users.put(&user("ann"))).unwrap();
        assert_eq!(stores.unconfirmed.so_far(), if has_replica { 2 } else { 0 }, "other writes do not wait");
        assert_eq!(live(&stores, 0).len(), 2, "it is in force all the same");
        replica.signal("-CONT");
        until(|| replica.ask("INFO replication").is_some_and(|info| info.contains("master_link_status:up")));
    }
}

#[test]
fn what_a_master_that_has_lost_its_replicas_takes_is_not_said_to_be_safe() {
    let (master, mut replica) = replicated("");
    let [stores, fresh] = [open(&at(&master)), open(&at(&master))];
    let is_confirmed = |name: &str| {
        let before = stores.unconfirmed.so_far();
        wait(stores.revocations.revoke(&lasting(name))).unwrap();
        stores.unconfirmed.so_far() == before
    };
    // A replica that has just come may take its time over the first one.
    until(|| is_confirmed("a"));
    replica.end();
    until(|| master.ask("INFO replication").is_some_and(|info| info.contains("connected_slaves:0")));
    assert!(!is_confirmed("b"), "it had one");
    wait(fresh.revocations.revoke(&lasting("c"))).unwrap();
    assert_eq!(fresh.unconfirmed.so_far(), 0, "to whom this is a node alone");

    let nodes = Nodes::start();
    let watched = open(&nodes.watched());
    wait(watched.revocations.revoke(&lasting("a"))).unwrap();
    assert_eq!(watched.unconfirmed.so_far(), 1, "sentinels watch nodes that have replicas");
}

#[test]
fn who_may_not_ask_for_replicas_is_told_that_nothing_is_confirmed() {
    let user = "user gate on >hush ~* +@all -info";
    let (master, _replica) = replicated(user);
    let how = RedisUse::default();
    let stores = store::open_shared(&format!("redis://gate:hush@127.0.0.1:{}", master.port), &how).unwrap();
    wait(stores.revocations.revoke(&lasting("a"))).unwrap();
    assert_eq!(stores.unconfirmed.so_far(), 1);
}

#[test]
fn how_a_redis_is_run_is_said() {
    let careless = Node::start("save \"\"\nmaxmemory 100mb\nmaxmemory-policy allkeys-lru", &[]);
    let careful = Node::start("appendonly yes", &[]);
    let said = |node: &Node| wait(adoption(&open(&at(node))).survey()).unwrap().join("\n");
    let (careless, careful) = (said(&careless), said(&careful));
    for word in ["allkeys-lru", "appendonly"] {
        assert!(careless.contains(word) && !careful.contains(word), "{word}: {careless}; {careful}");
    }
}
