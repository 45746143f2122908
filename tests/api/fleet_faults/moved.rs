//! The store moves under load, to another node or to a replica: what was acknowledged is there afterwards.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use portcullis::{
    actors::api_keys::KeyRequest,
    domain::{KeyDigest, Timestamp},
    store::{Lookup, RevocationTarget, Stores},
};

use super::load::{Call, Load, under_load};
use crate::{
    fleet::fleet_with,
    nodes::{
        groups::{Cluster, Watched},
        proxy::{Fault, Proxy},
    },
    support::{
        Stops,
        app::TestApp,
        auth::{PASSWORD, Pair},
        block_on, keys, pause, until,
    },
};

/// The promise: so long there may be errors.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Until a writer tries again, or writes the next.
const BETWEEN: Duration = Duration::from_millis(20);

/// What servers have said is done, and when.
#[derive(Default)]
struct Done {
    revoked: Mutex<Vec<(Instant, String)>>,
    keys: Mutex<Vec<(Instant, KeyDigest)>>,
    pairs: Mutex<Vec<(Instant, Pair)>>,
}

/// Revokes, makes keys and exchanges refresh tokens at the servers of `fleet` until `over`.
fn write(fleet: &[TestApp; 3], stores: &Stores, (done, over): (&Done, &AtomicBool)) {
    let goes_on = || {
        pause(BETWEEN);
        !over.load(Ordering::SeqCst)
    };
    thread::scope(|threads| {
        threads.spawn(|| {
            for n in 0.. {
                let target = RevocationTarget::Jti(format!("gone-{n}"));
                if block_on(fleet[n % 3].tokens.revoke(target, Duration::from_secs(600))).is_ok() {
                    done.revoked.lock().unwrap().push((Instant::now(), format!("gone-{n}")));
                }
                if !goes_on() {
                    break;
                }
            }
        });
        threads.spawn(|| {
            while goes_on() {
                let request: KeyRequest = keys::request("ci-service", &["weather:read"]);
                let (secret, key) = request.mint(Timestamp::now()).unwrap();
                if block_on(stores.keys.insert(&secret.digest(), &key)).is_ok() {
                    done.keys.lock().unwrap().push((Instant::now(), secret.digest()));
                }
            }
        });
        threads.spawn(|| {
            let mut pair = Pair::of(&fleet[0].login("ann", PASSWORD));
            for n in 1.. {
                let answer = fleet[n % 3].refresh(&pair.refresh);
                if answer.status == 200 {
                    pair = Pair::of(&answer);
                    done.pairs.lock().unwrap().push((Instant::now(), pair.clone()));
                } else {
                    assert_eq!(answer.status, 503, "a good token is never refused: {}", answer.text());
                }
                if !goes_on() {
                    break;
                }
            }
        });
    });
}

/// Three servers at `url`, with one account.
fn fleet_at(url: &str) -> [TestApp; 3] {
    let fleet = fleet_with(url, |settings| settings.jwt.refresh_grace = Duration::from_secs(10));
    fleet[0].person("ann", &["user"]);
    until("all know the account", BACK_WITHIN, || fleet.iter().all(|app| app.users.find("ann").is_some()));
    fleet
}

/// Writes and reads at all servers while `moving` moves the store; says for how long somebody was refused.
fn at_work(fleet: &[TestApp; 3], done: &Done, moving: impl FnOnce(&Load<'_>)) -> (Vec<Call>, Duration) {
    let token = fleet[0].token("ada", "user");
    let (stores, over) = (fleet[0].stores(), AtomicBool::new(false));
    let calls = under_load(fleet, &token, |load| {
        load.until("well before", BACK_WITHIN, Call::is_well);
        thread::scope(|threads| {
            let _ends = Stops(&over);
            threads.spawn(|| write(fleet, &stores, (done, &over)));
            until("everybody writes", BACK_WITHIN, || done.counts().iter().all(|count| *count >= 3));
            moving(load);
            let before = done.counts();
            until("everybody writes again", BACK_WITHIN, || {
                done.counts().iter().zip(before).all(|(now, before)| *now >= before + 3)
            });
            load.until("well afterwards", BACK_WITHIN, Call::is_well);
        });
    });
    let ill: Vec<Instant> = calls.iter().filter(|call| !call.is_well()).map(|call| call.at).collect();
    let refused =
        ill.iter().max().zip(ill.iter().min()).map_or(Duration::ZERO, |(last, first)| *last - *first);
    (calls, refused)
}

impl Done {
    fn counts(&self) -> [usize; 3] {
        [
            self.revoked.lock().unwrap().len(),
            self.keys.lock().unwrap().len(),
            self.pairs.lock().unwrap().len(),
        ]
    }

    /// Whether all of it is there that was not said within `but`; how much of that is lost.
    fn is_kept(&self, app: &TestApp, but: Option<(Instant, Instant)>) -> usize {
        let stores = app.stores();
        let live: BTreeSet<RevocationTarget> = block_on(stores.revocations.live(Timestamp::now()))
            .unwrap()
            .into_iter()
            .map(|r| r.target)
            .collect();
        let mut lost = 0;
        let mut check = |what: &str, at: Instant, there: bool| {
            let is_excused = but.is_some_and(|(from, to)| (from..to).contains(&at));
            assert!(there || is_excused, "{what} was acknowledged and is gone");
            lost += usize::from(!there);
        };
        for (at, jti) in self.revoked.lock().unwrap().iter() {
            check(jti, *at, live.contains(&RevocationTarget::Jti(jti.clone())));
        }
        for (at, digest) in self.keys.lock().unwrap().iter() {
            check("a key", *at, matches!(block_on(stores.keys.find(digest)), Ok(Lookup::Key(_))));
        }
        let (at, pair) = self.pairs.lock().unwrap().last().cloned().unwrap();
        check("the last refresh", at, app.refresh(&pair.refresh).status == 200);
        lost
    }
}

#[test]
fn resharding_under_load_loses_nothing_that_was_acknowledged() {
    let cluster = Cluster::start();
    let fleet = fleet_at(&cluster.url());
    let done = Done::default();
    let (_, refused) = at_work(&fleet, &done, |load| {
        let records = cluster.owner_and_next("{portcullis:}generation");
        cluster.move_slot(records, || pause(Duration::from_millis(5)));
        load.until("well at its new place", BACK_WITHIN, Call::is_well);
        // And back again, more slowly.
        let (slot, from, to) = records;
        cluster.move_slot((slot, to, from), || pause(Duration::from_millis(20)));
    });
    assert!(refused <= 2 * BACK_WITHIN, "somebody was refused for {refused:?}");
    assert_eq!(done.is_kept(&fleet[1], None), 0);
    println!("resharding: {:?} acknowledged, none lost; refused for {refused:?} at most", done.counts());
}

#[test]
fn a_failover_under_load_leaves_no_server_with_a_master_of_before() {
    let group = Watched::start();
    let fleet = fleet_at(&group.url());
    let done = Done::default();
    let (before, mut began, mut switched) = (group.master(), Instant::now(), Instant::now());
    let (calls, refused) = at_work(&fleet, &done, |load| {
        // What was acknowledged before has reached the replicas.
        pause(Duration::from_millis(500));
        began = Instant::now();
        assert_eq!(group.sentinel.ask("SENTINEL FAILOVER main").as_deref(), Some("+OK"));
        until("there is another master", BACK_WITHIN, || group.master() != before);
        // By then every server has asked the sentinels.
        pause(Duration::from_secs(1));
        switched = Instant::now();
        load.until("well with the new master", BACK_WITHIN, Call::is_well);
    });
    assert!(refused <= BACK_WITHIN, "somebody was refused for {refused:?}");
    let lost = done.is_kept(&fleet[1], Some((began, switched)));
    let all = done.counts();
    println!(
        "failover: {all:?} acknowledged, {lost} of them lost, all within {:?} around it; {} calls, refused for {refused:?}",
        switched - began,
        calls.len()
    );
    let old = group.nodes.iter().find(|node| node.port == before).unwrap();
    until("nobody writes to the old master", BACK_WITHIN, || {
        !old.ask("CLIENT LIST").unwrap().contains("name=portcullis")
    });
}

#[test]
fn a_machine_that_falls_silent_with_the_master_and_a_sentinel_on_it_takes_no_server_along() {
    let group = Watched::start();
    let first = Proxy::to(group.sentinel.port);
    let url = format!("redis+sentinel://127.0.0.1:{},127.0.0.1:{}/main", first.port, group.sentinel.port);
    let fleet = fleet_at(&url);
    let token = fleet[0].token("ada", "user");
    let before = group.master();
    under_load(&fleet, &token, |load| {
        load.until("well before", BACK_WITHIN, Call::is_well);
        // Nothing is refused, nothing answers.
        first.set(Fault::BlackHole);
        group.nodes.iter().find(|node| node.port == before).unwrap().signal("-STOP");
        load.until("noticed", BACK_WITHIN, |call| call.status == 503);
        let took = load.until("well with the new master", 2 * BACK_WITHIN, Call::is_well);
        println!("silent machine: well again {took:?} after it was noticed");
    });
    let target = RevocationTarget::Jti("gone".into());
    assert!(block_on(fleet[1].tokens.revoke(target, Duration::from_secs(60))).is_ok());
}

#[test]
fn a_master_that_dies_is_replaced_under_load_within_five_seconds() {
    let mut group = Watched::start();
    let fleet = fleet_at(&group.url());
    let done = Done::default();
    let (before, mut began) = (group.master(), Instant::now());
    let url_of_dead = group.nodes.iter().position(|node| node.port == before).unwrap();
    let (_, refused) = at_work(&fleet, &done, |load| {
        pause(Duration::from_millis(500));
        began = Instant::now();
        group.nodes[url_of_dead].end();
        load.until("noticed", BACK_WITHIN, |call| call.status == 503);
        // The sentinel waits for half a second before it believes it, and then has to be of one mind with itself.
        load.until("well with the new master", 2 * BACK_WITHIN, Call::is_well);
    });
    let lost = done
        .is_kept(&fleet[1], Some((began - Duration::from_millis(250), began + Duration::from_millis(250))));
    println!("killed master: {:?} acknowledged, {lost} of them lost; refused for {refused:?}", done.counts());
}
