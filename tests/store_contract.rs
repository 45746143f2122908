//! One contract for every backend of the store, and what a file adds to it: reopening, other processes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "store_contract/account.rs"]
mod account;
#[path = "store_contract/accounts.rs"]
mod accounts;
#[path = "store_contract/adoption.rs"]
mod adoption;
#[path = "store_contract/alike.rs"]
mod alike;
#[path = "store_contract/damaged.rs"]
mod damaged;
#[path = "store_contract/families.rs"]
mod families;
#[path = "store_contract/filled.rs"]
mod filled;
#[path = "store_contract/fleet_log.rs"]
mod fleet_log;
#[path = "store_contract/keys.rs"]
mod keys;
#[path = "store_contract/leases.rs"]
mod leases;
#[path = "store_contract/levels.rs"]
mod levels;
#[path = "store_contract/links.rs"]
mod links;
#[path = "store_contract/moved.rs"]
mod moved;
#[path = "store_contract/moving.rs"]
mod moving;
#[allow(dead_code, reason = "shared with tests/api; neither uses all of it")]
#[path = "nodes/mod.rs"]
mod nodes;
#[path = "store_contract/reports.rs"]
mod reports;
#[path = "store_contract/round_trips.rs"]
mod round_trips;
#[path = "store_contract/secure.rs"]
mod secure;
#[path = "store_contract/sessions.rs"]
mod sessions;
#[path = "store_contract/shared.rs"]
mod shared;
#[path = "store_contract/tasks.rs"]
mod tasks;

use std::{
    collections::BTreeSet,
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use futures_util::future::join;
use nodes::Nodes;
use portcullis::{
    domain::Timestamp,
    store::{
        self, Change, ChangeKind, FeedWatch, RedisUse, Revocation, RevocationTarget, StoreError, Stores, User,
    },
};
use tempfile::TempDir;
use uuid::Uuid;

/// One opened backend, and what lives as long as it does.
struct Backend {
    name: &'static str,
    stores: Stores,
    _dir: Option<TempDir>,
    _nodes: Option<Arc<Nodes>>,
}

/// A fresh store of each kind.
fn backends() -> [Backend; 5] {
    backends_on(&Arc::new(Nodes::start()), "portcullis:")
}

/// A fresh store of each kind, those on Redis under a prefix that nobody else has. A new backend is one more entry.
fn backends_on(nodes: &Arc<Nodes>, prefix: &str) -> [Backend; 5] {
    backends_with(nodes, &RedisUse { prefix: prefix.into(), ..RedisUse::default() })
}

/// The same where a Redis has as much time as a copy gives it.
fn unhurried(nodes: &Arc<Nodes>, prefix: &str) -> [Backend; 5] {
    let timeout = Duration::from_secs(10);
    backends_with(nodes, &RedisUse { prefix: prefix.into(), timeout, ..RedisUse::default() })
}

fn backends_with(nodes: &Arc<Nodes>, how: &RedisUse) -> [Backend; 5] {
    let file = tempfile::tempdir().unwrap();
    let redis = |name, url: String| {
        let stores = store::open_shared(&url, how).unwrap();
        Backend { name, stores, _dir: None, _nodes: Some(Arc::clone(nodes)) }
    };
    [
        Backend { name: "memory", stores: store::open("memory:").unwrap(), _dir: None, _nodes: None },
        Backend { name: "sqlite", stores: sqlite(file.path()), _dir: Some(file), _nodes: None },
        redis("redis", nodes.single()),
        redis("redis cluster", nodes.cluster()),
        redis("redis sentinel", nodes.watched()),
    ]
}

fn sqlite(dir: &Path) -> Stores {
    store::open(&format!("sqlite:{}", dir.join("inner/p.db").display())).unwrap()
}

/// Waits for a future without any runtime: the store must not need one.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn jti(jti: &str, at: u64, until: u64) -> Revocation {
    let (at, until) = (Timestamp::from_secs(at), Timestamp::from_secs(until));
    Revocation { target: RevocationTarget::Jti(jti.into()), at, until }
}

fn user(name: &str) -> User {
    User {
        id: Uuid::now_v7(),
        username: name.parse().unwrap(),
        roles: vec!["user".into(), "büro \"x\"".into()],
        active: true,
        created_at: Timestamp::from_micros(1_234_567),
        last_login: None,
    }
}

fn live(stores: &Stores, now: u64) -> BTreeSet<Revocation> {
    wait(stores.revocations.live(Timestamp::from_secs(now))).unwrap().into_iter().collect()
}

/// Polls until something comes, for as long as a change may take to arrive.
fn next(watch: &mut dyn FeedWatch, within: Duration) -> Vec<ChangeKind> {
    let deadline = Instant::now() + within;
    loop {
        let changes = watch.poll().unwrap();
        if !changes.is_empty() || Instant::now() > deadline {
            return changes.into_iter().map(|change| change.what).collect();
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_revocation_counts_until_its_end_and_is_then_forgotten() {
    for Backend { name, stores, .. } in backends() {
        let (short, long) = (jti("a", 1, 10), jti("b'\"\0\u{202e}", 1, 20));
        let all = [short, long.clone()];
        for revocation in &all {
            wait(stores.revocations.revoke(revocation)).unwrap();
        }
        assert_eq!(live(&stores, 9), all.into(), "{name}");
        assert_eq!(live(&stores, 10), [long.clone()].into(), "{name}: over at its end");
        for forgotten in [1, 0] {
            assert_eq!(
                wait(stores.revocations.forget_ended(Timestamp::from_secs(10))),
                Ok(forgotten),
                "{name}"
            );
            assert_eq!(live(&stores, 0), [long.clone()].into(), "{name}: the other one is still there");
        }
    }
}

#[test]
fn revoking_again_never_narrows_and_targets_of_one_name_are_three() {
    for Backend { name, stores, .. } in backends() {
        let x = |target: fn(String) -> RevocationTarget| Revocation {
            target: target("x".into()),
            ..jti("", 5, 9)
        };
        let (subject, client) = (x(RevocationTarget::Subject), x(RevocationTarget::Client));
        for revocation in [&jti("x", 7, 30), &subject, &jti("x", 3, 40), &client, &jti("x", 5, 20)] {
            wait(stores.revocations.revoke(revocation)).unwrap();
        }
        assert_eq!(live(&stores, 0), [jti("x", 7, 40), subject, client].into(), "{name}");
        let told = wait(stores.feed.changes_after(2)).unwrap();
        assert_eq!(told[0].what, ChangeKind::Revoked(jti("x", 7, 40)), "{name}: told as it now stands");
    }
}

#[test]
fn a_user_reads_as_it_was_put_and_is_replaced_by_name() {
    for Backend { name, stores, .. } in backends() {
        let mut ann = user("ann");
        assert_eq!(wait(stores.users.find(&ann.username)), Ok(None), "{name}");
        wait(stores.users.put(&ann)).unwrap();
        assert_eq!(wait(stores.users.find(&ann.username)), Ok(Some(ann.clone())), "{name}");
        ann = User { active: false, roles: vec![], last_login: Some(Timestamp::from_micros(7)), ..ann };
        wait(stores.users.put(&ann)).unwrap();
        assert_eq!(wait(stores.users.page(1, 10)), Ok((vec![ann.clone()], 1)), "{name}");

        let other = User { id: ann.id, ..user("bob") };
        assert!(matches!(wait(stores.users.put(&other)), Err(StoreError::Taken(_))), "{name}");
        assert_eq!(wait(stores.users.find(&other.username)), Ok(None), "{name}");
        let told = wait(stores.feed.changes_after(0)).unwrap();
        let ann = ChangeKind::User(ann.username);
        assert!(told.into_iter().map(|change| change.what).eq([ann.clone(), ann]), "{name}");
    }
}

#[test]
fn pages_show_every_user_once_by_name_and_clamp_what_is_absurd() {
    for Backend { name, stores, .. } in backends() {
        let mut names = ["b", "B", "a", "a-", "a.b", "Z", "_"];
        for one in names {
            wait(stores.users.put(&user(one))).unwrap();
        }
        names.sort_unstable();
        let page = |page, size| {
            let (users, 7) = wait(stores.users.page(page, size)).unwrap() else {
                panic!("{name}: the total")
            };
            users.into_iter().map(|u| u.username.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!([page(1, 3), page(2, 3), page(3, 3)].concat(), names, "{name}");
        assert_eq!(page(0, 3), page(1, 3), "{name}");
        assert_eq!(page(1, 0).len(), 1, "{name}");
        assert_eq!(page(1, u64::MAX).len(), 7, "{name}");
        assert!(page(u64::MAX, u64::MAX).is_empty() && page(4, 3).is_empty(), "{name}");
    }
}

#[test]
fn all_accounts_are_read_by_going_on_behind_the_last_one() {
    for Backend { name, stores, .. } in backends() {
        let mut expected: Vec<_> = (0..1_500).map(|n| user(&format!("u{n}"))).collect();
        for some in expected.chunks(100) {
            wait(futures_util::future::try_join_all(some.iter().map(|one| stores.users.put(one)))).unwrap();
        }
        expected.sort_by(|a, b| a.username.cmp(&b.username));
        let (mut all, mut last) = (Vec::new(), None);
        loop {
            let page = wait(stores.users.after(last.as_ref())).unwrap();
            let Some(end) = page.last() else { break };
            assert!(page.len() <= 1_000, "{name}: a page");
            last = Some(end.username.clone());
            all.extend(page);
        }
        assert!(all == expected, "{name}: {} of {} accounts", all.len(), expected.len());
    }
}

#[test]
fn sixty_four_at_once_are_all_kept_and_told_in_order() {
    for Backend { name, stores, .. } in backends() {
        let mut watch = stores.feed.watch(0);
        let one = |n: u64| jti(&format!("j{n}"), 1, 100 + n);
        let revoke = |n| wait(stores.revocations.revoke(&one(n))).unwrap();
        thread::scope(|threads| (0..64).for_each(|n| drop(threads.spawn(move || revoke(n)))));

        let expected: BTreeSet<_> = (0..64).map(one).collect();
        assert_eq!(live(&stores, 0), expected, "{name}");
        let told = wait(stores.feed.changes_after(0)).unwrap();
        assert!(told.iter().map(|change| change.id).eq(1..=64), "{name}: ids without holes");
        assert_eq!(wait(stores.feed.latest()), Ok(64), "{name}");
        let told_of =
            |one: &_| told.iter().any(|change| change.what == ChangeKind::Revoked(Revocation::clone(one)));
        assert!(expected.iter().all(told_of), "{name}");
        assert_eq!(watch.poll().unwrap(), told, "{name}: the watch tells the same");
        assert_eq!(watch.poll().unwrap(), [], "{name}: and only once");
    }
}

#[test]
fn a_feed_that_ends_before_what_was_read_is_another_store_or_tells_all_to_read_again() {
    for Backend { name, stores, .. } in backends() {
        wait(stores.users.put(&user("ann"))).unwrap();
        assert_eq!(wait(stores.feed.changes_after(1)), Ok(vec![]), "{name}");
        assert!(matches!(wait(stores.feed.changes_after(2)), Err(StoreError::Unavailable(_))), "{name}");
        let told = stores.feed.watch(2).poll();
        if name.starts_with("redis") {
            // It knows itself by its generation: a replica that took over may just not have heard of the row.
            let unknown = |told: &[Change]| told.iter().all(|change| change.what == ChangeKind::Unknown);
            assert!(told.as_ref().is_ok_and(|told| told.len() == 1 && unknown(told)), "{name}: {told:?}");
        } else {
            assert!(matches!(told, Err(StoreError::Unavailable(_))), "{name}");
        }
    }
}

#[test]
fn a_shared_secret_is_made_once_by_name() {
    for Backend { name, stores, .. } in backends() {
        let digests = wait(stores.rings.secret("digests")).unwrap();
        assert_eq!(wait(stores.rings.secret("digests")), Ok(digests), "{name}");
        assert_ne!(wait(stores.rings.secret("cursors")), Ok(digests), "{name}");
    }
}

#[test]
fn what_was_answered_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (ann, gone) = (user("ann"), jti("a", 1, u64::MAX / 2_000_000));
    let stores = sqlite(dir.path());
    wait(stores.users.put(&ann)).unwrap();
    wait(stores.revocations.revoke(&gone)).unwrap();
    wait(stores.quota.save(vec![levels::level(1, 5, 10)], Timestamp::from_secs(1))).unwrap();
    let secret = wait(stores.rings.secret("digests")).unwrap();
    drop(stores);
    assert!(!dir.path().join("inner/p.db-wal").exists(), "the log was folded in at closing");

    let stores = sqlite(dir.path());
    assert_eq!(wait(stores.users.find(&ann.username)), Ok(Some(ann)));
    assert_eq!(live(&stores, 0), [gone].into());
    assert_eq!(levels::levels(&stores), [levels::level(1, 5, 10)]);
    assert_eq!(wait(stores.rings.secret("digests")), Ok(secret));
    assert_eq!(wait(stores.feed.latest()), Ok(2));
}

#[test]
fn another_processs_change_gets_its_turn_and_arrives_within_200_ms_however_busy_we_are() {
    let dir = tempfile::tempdir().unwrap();
    let (server, cli) = (sqlite(dir.path()), sqlite(dir.path()));
    let mut watch = server.feed.watch(0);
    assert_eq!(watch.poll().unwrap(), []);
    let ann = user("ann");
    wait(cli.users.put(&ann)).unwrap();
    assert_eq!(next(watch.as_mut(), Duration::from_millis(200)), [ChangeKind::User(ann.username)]);

    let (bob, busy, done) = (user("bob"), jti("busy", 1, 2), AtomicBool::new(false));
    let keep_busy = || {
        while !done.load(Ordering::Relaxed) {
            wait(server.revocations.revoke(&busy)).unwrap();
        }
    };
    let waits = thread::scope(|threads| {
        (0..8).for_each(|_| drop(threads.spawn(keep_busy)));
        let started = Instant::now();
        let waits = (0..50).map(|_| wait(cli.users.put(&bob)).map(|()| started.elapsed()));
        let waits: Result<Vec<_>, _> = waits.collect();
        done.store(true, Ordering::Relaxed);
        waits
    });
    assert!(waits.as_ref().is_ok_and(|ends| ends[49] < Duration::from_secs(5)), "starved: {waits:?}");
    let latest = wait(server.feed.latest()).unwrap();
    let mut last = 1;
    while last < latest {
        let news = next(watch.as_mut(), Duration::from_millis(200));
        assert!(!news.is_empty() && !news.contains(&ChangeKind::Unknown), "after {last} of {latest}");
        last += news.len() as u64;
    }
}

#[actix_web::test]
async fn an_actix_thread_can_wait_for_the_store() {
    for Backend { name, stores, .. } in backends() {
        let ann = user("ann");
        let (put, page) = join(stores.users.put(&ann), stores.users.page(1, 1)).await;
        assert!(put.is_ok() && page.is_ok(), "{name}");
    }
}
