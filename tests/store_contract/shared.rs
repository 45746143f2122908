//! What a Redis adds to the contract: several servers on one, and a Redis that hangs, goes, fails over or is emptied.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use portcullis::{
    domain::{KeyDigest, Timestamp},
    store::{self, ChangeKind, KeyUse, Lookup, RedisUse, Revocation, Rotated, StoreError, Stores, UseBatch},
};
use uuid::Uuid;

use super::{
    families::{access, family, rotation},
    jti, keys, live, next,
    nodes::{Node, Nodes, until},
    user, wait,
};

/// Longest that one question may take: the timeout, and what a busy machine adds.
const ANSWERED_WITHIN: Duration = Duration::from_millis(900);

fn open(url: &str) -> Stores {
    store::open(url).unwrap()
}

fn at(node: &Node) -> String {
    format!("redis://127.0.0.1:{}", node.port)
}

/// One that will matter for an hour, as the clock goes.
fn lasting(name: &str) -> Revocation {
    let now = Timestamp::now();
    Revocation { at: now, until: now.plus(Duration::from_hours(1)), ..jti(name, 0, 0) }
}

fn is_lost<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_) | StoreError::Replaced))
}

#[test]
fn what_one_server_does_another_knows_within_200_ms() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster(), nodes.watched()] {
        let (one, other) = (open(&url), open(&url));
        let mut watch = other.feed.watch(0);
        assert_eq!(watch.poll().unwrap(), [], "{url}");
        let (ann, gone) = (user("ann"), lasting("a"));
        wait(one.users.put(&ann)).unwrap();
        assert_eq!(
            next(watch.as_mut(), Duration::from_millis(200)),
            [ChangeKind::User(ann.username.clone())]
        );
        wait(one.revocations.revoke(&gone)).unwrap();
        assert_eq!(next(watch.as_mut(), Duration::from_millis(200)), [ChangeKind::Revoked(gone.clone())]);
        drop(one);
        assert_eq!(wait(other.users.find(&ann.username)), Ok(Some(ann)), "{url}");
        assert_eq!(live(&other, 0), [gone].into(), "{url}");
        let again = open(&url);
        assert_eq!(wait(again.rings.secret("x")), wait(other.rings.secret("x")), "{url}");
    }
}

#[test]
fn of_two_servers_that_are_shown_the_same_refresh_token_at_once_one_exchanges_it() {
    let nodes = Nodes::start();
    for url in [nodes.single(), nodes.cluster()] {
        let servers = [open(&url), open(&url)];
        wait(servers[0].families.found(&family("f", "ann"), &access("a", 50), Timestamp::from_secs(0)))
            .unwrap();
        for round in 1..40_u64 {
            let shown = format!("f-{round}");
            let tries: Vec<Rotated> = thread::scope(|threads| {
                let ask = |n: usize| {
                    let rotation = rotation(&shown, &format!("f-{}", round + 1), 10 + round);
                    let mine = portcullis::store::Rotation { sealed: vec![n as u8], ..rotation };
                    wait(servers[n % 2].families.rotate(&mine)).unwrap()
                };
                let asked: Vec<_> = (0..4).map(|n| threads.spawn(move || ask(n))).collect();
                asked.into_iter().map(|asked| asked.join().unwrap()).collect()
            });
            let winner = tries.iter().position(|tried| *tried == Rotated::Done).expect("nobody exchanged it");
            for (n, tried) in tries.iter().enumerate().filter(|(n, _)| *n != winner) {
                assert_eq!(*tried, Rotated::Again(vec![winner as u8]), "{url}: round {round}, try {n}");
            }
        }
        let copied = wait(servers[1].families.rotate(&rotation("f-1", "x", 100))).unwrap();
        assert!(
            matches!(copied, Rotated::Reused(ended) if !ended.is_empty()),
            "{url}: a copy ends the family"
        );
        assert_eq!(wait(servers[0].families.rotate(&rotation("f-40", "y", 100))), Ok(Rotated::Gone), "{url}");
    }
}

#[test]
fn uses_that_several_servers_count_add_up_and_a_batch_counts_once() {
    let node = Node::start("save \"\"", &[]);
    let servers = [open(&at(&node)), open(&at(&node))];
    let (digest, key) = keys::minted();
    wait(servers[0].keys.insert(&digest, &key)).unwrap();
    thread::scope(|threads| {
        for stores in &servers {
            let id = key.id;
            threads.spawn(move || {
                let writer = Uuid::now_v7();
                for number in 1..=50 {
                    let uses = vec![KeyUse { id, count: 3, last_used: Timestamp::from_secs(number) }];
                    let batch = UseBatch { writer, number, uses };
                    (0..2).for_each(|_| wait(stores.keys.add_uses(&batch)).unwrap());
                }
            });
        }
    });
    let Lookup::Key(counted) = wait(servers[1].keys.find(&digest)).unwrap() else {
        panic!("the key is gone")
    };
    assert_eq!((counted.usage_count, counted.last_used), (300, Some(Timestamp::from_secs(50))));
}

#[test]
fn names_have_the_prefix_and_what_ends_has_an_end() {
    let node = Node::start("save \"\"", &[]);
    let how = RedisUse { prefix: "gate:".into(), ..RedisUse::default() };
    let stores = store::open_shared(&at(&node), &how).unwrap();
    wait(stores.revocations.revoke(&lasting("a"))).unwrap();
    let (digest, key) = keys::minted();
    wait(stores.keys.insert(&digest, &key)).unwrap();
    let name = |digest: &KeyDigest| {
        digest.as_bytes().iter().fold("gate:api_key:".to_owned(), |t, b| format!("{t}{b:02x}"))
    };
    assert_eq!(node.ask(&format!("EXISTS {}", name(&digest))).as_deref(), Some(":1"));
    let all = node.all("KEYS *");
    assert!(all.len() > 5 && all.iter().all(|key| key.starts_with("gate:")), "{all:?}");
    let revocation = all.iter().find(|key| key.starts_with("gate:blacklist:")).expect("no revocation");
    let left: u64 = node.ask(&format!("TTL {revocation}")).unwrap().trim_start_matches(':').parse().unwrap();
    assert!((3_600..=7_300).contains(&left), "{left} s");
    assert!(node.ask("CLIENT LIST").unwrap().contains("name=portcullis"));
}

#[test]
fn a_redis_that_hangs_is_given_up_in_time_and_heals_alone() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    let mut watch = stores.feed.watch(0);
    wait(stores.users.put(&user("ann"))).unwrap();
    node.signal("-STOP");
    let started = Instant::now();
    assert!(is_lost(&wait(stores.users.page(1, 1))), "while it hangs");
    assert!(started.elapsed() < ANSWERED_WITHIN, "{:?}", started.elapsed());
    assert!(is_lost(&watch.poll()), "the feed");
    assert!(started.elapsed() < ANSWERED_WITHIN * 2, "{:?}", started.elapsed());
    node.signal("-CONT");
    until(|| wait(stores.users.page(1, 1)).is_ok());
    assert_eq!(watch.poll().unwrap().len(), 1, "what was missed is told");
}

#[test]
fn a_redis_that_was_gone_and_is_back_needs_no_new_start() {
    let mut node = Node::start("appendonly yes\nappendfsync always", &[]);
    let stores = open(&at(&node));
    wait(stores.revocations.revoke(&lasting("a"))).unwrap();
    node.end();
    assert!(is_lost(&wait(stores.revocations.revoke(&lasting("b")))), "while it is gone");
    node.restart();
    until(|| wait(stores.revocations.revoke(&lasting("c"))).is_ok());
    let kept: BTreeSet<_> = live(&stores, 0).into_iter().map(|one| one.target).collect();
    assert!(kept.contains(&jti("a", 0, 0).target) && kept.contains(&jti("c", 0, 0).target), "{kept:?}");
}

#[test]
fn an_emptied_redis_is_noticed_and_nothing_is_written_to_it() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    let mut watch = stores.feed.watch(0);
    wait(stores.revocations.revoke(&lasting("a"))).unwrap();
    assert_eq!(node.ask("FLUSHALL").as_deref(), Some("+OK"));
    assert!(is_lost(&watch.poll()), "the feed");
    assert!(is_lost(&wait(stores.revocations.revoke(&lasting("b")))), "a write");
    let later = open(&at(&node));
    assert!(is_lost(&watch.poll()), "another store in its place is another store");
    assert_eq!(live(&later, 0), BTreeSet::new());
}

#[test]
fn a_row_that_takes_the_id_of_one_that_was_read_and_lost_is_not_missed() {
    let node = Node::start("save \"\"", &[]);
    let (one, other) = (open(&at(&node)), open(&at(&node)));
    let (mut watch, mut later) = (one.feed.watch(0), one.feed.watch(0));
    for name in ["ann", "bob"] {
        wait(one.users.put(&user(name))).unwrap();
    }
    assert_eq!(watch.poll().unwrap().len(), 2);
    assert_eq!(later.poll().unwrap().len(), 2);
    assert_eq!(node.ask("XDEL portcullis:feed 2-0").as_deref(), Some(":1"));
    assert_eq!(node.ask("XSETID portcullis:feed 1-0").as_deref(), Some("+OK"));
    assert_eq!(node.ask("DECR portcullis:feed:last").as_deref(), Some(":1"));
    wait(other.users.put(&user("eve"))).unwrap();
    assert_eq!(next(watch.as_mut(), Duration::ZERO), [ChangeKind::Unknown], "a row of the same id");
    assert_eq!(next(later.as_mut(), Duration::ZERO), [ChangeKind::Unknown], "which one tells all the others");
    assert_eq!(watch.poll().unwrap(), []);
    wait(other.users.put(&user("dan"))).unwrap();
    let told = [ChangeKind::User("dan".parse().unwrap())];
    assert_eq!(
        (next(watch.as_mut(), Duration::ZERO), next(later.as_mut(), Duration::ZERO)),
        (told.clone().into(), told.into())
    );
}

#[test]
fn a_feed_that_ends_before_what_was_read_goes_on_above_it() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    let mut watch = stores.feed.watch(0);
    for name in ["ann", "bob", "eve"] {
        wait(stores.users.put(&user(name))).unwrap();
    }
    assert_eq!(watch.poll().unwrap().len(), 3);
    node.ask("XTRIM portcullis:feed MAXLEN 0");
    node.ask("XSETID portcullis:feed 0-1");
    node.ask("SET portcullis:feed:last 0");
    let told = watch.poll().unwrap();
    assert_eq!(told.iter().map(|c| (c.id, &c.what)).collect::<Vec<_>>(), [(4, &ChangeKind::Unknown)]);
    wait(stores.users.put(&user("dan"))).unwrap();
    assert_eq!(next(watch.as_mut(), Duration::ZERO), [ChangeKind::User("dan".parse().unwrap())]);
    node.ask("DEL portcullis:feed");
    assert_eq!(
        next(watch.as_mut(), Duration::ZERO),
        [ChangeKind::Unknown],
        "rows that are missing at the end"
    );
}

#[test]
fn forgotten_scripts_are_sent_again() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    for name in ["a", "b"] {
        wait(stores.revocations.revoke(&lasting(name))).unwrap();
        assert_eq!(node.ask("SCRIPT FLUSH").as_deref(), Some("+OK"));
    }
    assert_eq!(live(&stores, 0).len(), 2);
}

#[test]
fn what_somebody_else_put_in_our_place_opens_nothing_and_hides_nothing() {
    let node = Node::start("save \"\"", &[]);
    let stores = open(&at(&node));
    wait(stores.revocations.revoke(&lasting("a"))).unwrap();
    let revocation = node.all("KEYS portcullis:blacklist:*").remove(0);
    let corrupt = |answer| matches!(answer, Err(StoreError::Corrupt(_)));
    for value in ["{}", "x", "{\"v\":2}"] {
        node.ask(&format!("SET {revocation} {value}"));
        assert!(corrupt(wait(stores.revocations.live(Timestamp::from_secs(0)))), "{value}");
    }
    node.ask(&format!("DEL {revocation}"));
    assert!(corrupt(wait(stores.revocations.live(Timestamp::from_secs(0)))), "one that is missing");
    let (digest, key) = keys::minted();
    wait(stores.keys.insert(&digest, &key)).unwrap();
    let name = node.all("KEYS portcullis:api_key:*").remove(0);
    node.ask(&format!("SET {name} x"));
    assert_eq!(wait(stores.keys.find(&digest)), Ok(Lookup::Unreadable));
    node.ask(&format!("DEL {name}"));
    node.ask(&format!("RPUSH {name} x"));
    assert!(wait(stores.keys.find(&digest)).is_err(), "a record of another kind");
}

#[test]
fn a_newer_schema_a_wrong_password_and_nobody_there_are_refused_without_a_word_too_many() {
    let node = Node::start("save \"\"\nrequirepass hunter2", &[]);
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", node.port);
    drop(open(&url("hunter2")));
    let refused = store::open(&url("hunter3")).unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(text) if !text.contains("hunter")), "{refused}");
    let started = Instant::now();
    assert!(is_lost(&store::open("redis://127.0.0.1:1").map(drop)));
    assert!(started.elapsed() < ANSWERED_WITHIN);

    let open_node = Node::start("save \"\"", &[]);
    open_node.ask("SET portcullis:generation 2:whatever");
    let newer = store::open(&at(&open_node)).unwrap_err();
    assert_eq!(newer, StoreError::Newer { found: 2, known: 1 });
}

#[test]
fn after_a_failover_the_same_store_goes_on_and_nothing_acknowledged_by_both_is_lost() {
    let mut first = Node::start("save \"\"", &[]);
    let second = Node::start(&format!("save \"\"\nreplicaof 127.0.0.1 {}", first.port), &[]);
    until(|| second.ask("INFO replication").is_some_and(|info| info.contains("master_link_status:up")));
    let monitor = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000",
        first.port
    );
    let sentinel = Node::start(&monitor, &["--sentinel"]);
    until(|| {
        sentinel
            .ask("INFO sentinel")
            .is_some_and(|info| info.contains("status=ok,") && info.contains("slaves=1"))
    });
    let stores = open(&format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port));
    let mut watch = stores.feed.watch(0);
    wait(stores.revocations.revoke(&lasting("a"))).unwrap();
    until(|| second.all("KEYS portcullis:blacklist:*").len() == 1);
    first.end();
    until(|| wait(stores.revocations.revoke(&lasting("b"))).is_ok());
    assert_eq!(live(&stores, 0).len(), 2);
    until(|| watch.poll().is_ok_and(|told| told.len() == 2));
}

#[test]
fn over_tls_a_certificate_that_nobody_vouches_for_is_refused_and_no_password_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let files = format!("tls-cert-file {}\ntls-key-file {}", certificate.display(), key.display());
    let node = Node::start(&format!("save \"\"\n{files}\ntls-port {port}\ntls-auth-clients no"), &[]);
    node.ask("CONFIG RESETSTAT");
    let refused = store::open(&format!("rediss://:hunter2@localhost:{port}")).unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(text) if !text.contains("hunter")), "{refused}");
    let commands = node.ask("INFO commandstats").unwrap();
    assert!(!commands.contains("cmdstat_auth") && !commands.contains("cmdstat_hello"), "{commands}");
    assert!(matches!(store::open("rediss://h/#insecure"), Err(StoreError::Config(_))));
}
