//! What the server may do on a Redis where it has an account of its own, and which connections it has there.

use portcullis::{
    domain::Timestamp,
    store::{self, LeaseAsk, Level, RedisUse},
};
use uuid::Uuid;

use super::{jti, nodes::Node, user, wait};

/// The row of the README that says what the account needs.
fn rights() -> String {
    let readme = include_str!("../../README.md");
    let row = readme.lines().find(|line| line.starts_with("| its account |")).unwrap();
    let quoted = row.split('`').skip(1).step_by(2);
    // A bar in a table has a stroke before it.
    quoted.collect::<Vec<_>>().join(" ").replace("\\|", "|")
}

#[test]
fn an_account_with_the_rights_that_the_readme_names_is_enough() {
    let lines = format!("save \"\"\nuser default on nopass ~* &* +@all\nuser gate on >hunter2 {}", rights());
    let node = Node::start(&lines, &[]);
    let stores = store::open(&format!("redis://gate:hunter2@127.0.0.1:{}", node.port)).unwrap();
    let mut watch = stores.feed.watch(0);
    wait(stores.users.put(&user("ann"))).unwrap();
    wait(stores.users.page(1, 1)).unwrap();
    wait(stores.revocations.revoke(&jti("a", 1, 10))).unwrap();
    assert_eq!(wait(stores.revocations.forget_ended(Timestamp::from_secs(10))), Ok(1));
    assert_eq!(watch.poll().unwrap().len(), 2);
    node.ask("DEL portcullis:feed");
    assert_eq!(watch.poll().unwrap().len(), 1, "lost rows are told of");
    wait(stores.rings.secret("x")).unwrap();
    let (at, until) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
    let level = Level { scope: "user".into(), id: [7; 16], spent: 1, at, until };
    wait(stores.quota.save(vec![level], at)).unwrap();
    wait(stores.quota.save(Vec::new(), until)).unwrap();
    assert_eq!(wait(stores.quota.levels()), Ok(Vec::new()));
    let leases = stores.leases.as_deref().unwrap();
    let holder = Uuid::now_v7();
    let ask = LeaseAsk {
        scope: "user",
        id: [7; 16],
        holder,
        capacity: 100,
        per_second: 1.0,
        used: 0,
        returned: 0,
        needed: 1,
        wanted: 10,
    };
    assert_eq!(wait(leases.lease(vec![ask; 9])).unwrap().len(), 9);
    assert_eq!(wait(leases.beat(holder)), Ok(1));
}

#[test]
fn the_same_rights_are_enough_to_copy_into_it_and_out_of_it() {
    let lines = format!("save \"\"\nuser default on nopass ~* &* +@all\nuser gate on >hunter2 {}", rights());
    let node = Node::start(&lines, &[]);
    let stores = store::open(&format!("redis://gate:hunter2@127.0.0.1:{}", node.port)).unwrap();
    let [from, to] = [store::open("memory:").unwrap(), store::open("memory:").unwrap()];
    let filled = super::filled::fill(&from);
    super::moving::verified(&from, &stores);
    super::moving::verified(&stores, &to);
    assert!(super::filled::answers(&to, &filled) == super::filled::answers(&from, &filled));
}

#[test]
fn the_feed_is_read_over_a_connection_of_its_own() {
    let node = Node::start("save \"\"", &[]);
    let how = RedisUse { connections: 1, ..RedisUse::default() };
    let stores = store::open_shared(&format!("redis://127.0.0.1:{}", node.port), &how).unwrap();
    let ours = || node.ask("CLIENT LIST").unwrap().matches("name=portcullis").count();
    wait(stores.users.put(&user("ann"))).unwrap();
    assert_eq!(ours(), 1);
    let mut watches = [stores.feed.watch(0), stores.feed.watch(1)];
    watches.iter_mut().for_each(|watch| drop(watch.poll().unwrap()));
    assert_eq!(ours(), 2, "one for all that ask, one for all that watch");
}

#[test]
fn what_was_renewed_behind_its_index_is_not_swept_away() {
    let node = Node::start("save \"\"", &[]);
    let stores = store::open(&format!("redis://127.0.0.1:{}", node.port)).unwrap();
    let (now, until) = (Timestamp::from_secs(100), 200);
    wait(stores.revocations.revoke(&jti("a", 1, until))).unwrap();
    let family = super::families::family("f", "ann");
    let access = super::families::access("b", 50);
    wait(stores.families.found(&family, &access, Timestamp::from_secs(0))).unwrap();
    let revocation = node.all("KEYS portcullis:blacklist:*").remove(0);
    // As the sweep saw it before somebody renewed it.
    node.ask(&format!("ZADD portcullis:blacklist 1 {revocation}"));
    node.ask("ZADD portcullis:families 1 f");
    wait(stores.revocations.forget_ended(now)).unwrap();
    wait(stores.families.forget_ended_families(now)).unwrap();
    assert_eq!(super::live(&stores, 100), [jti("a", 1, until)].into());
    assert_eq!(wait(stores.families.find("f")), Ok(Some(family)));
    let ended = Timestamp::from_secs(1_000_000);
    assert_eq!(wait(stores.revocations.forget_ended(ended)), Ok(1), "it ends when it does");
    assert_eq!(wait(stores.families.forget_ended_families(ended)), Ok(1));
}
