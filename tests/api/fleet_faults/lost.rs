//! The store is lost in every way there is, with three servers at work: the policy holds in time, nobody waits longer
//! than a question may take, nobody storms the store, and all is well soon after it is back.

use std::time::{Duration, Instant};

use super::load::under_load;
use crate::{
    fleet::fleet_with,
    nodes::{
        Node,
        proxy::{Fault, Proxy},
    },
    support::{app::TestApp, pause, rpc::Rpc, until},
};

/// The fleet's question may take so long; what a busy machine adds to it and to the rest of a call.
const ANSWERED_WITHIN: Duration = Duration::from_millis(400 + 800);
/// A look may be one second old when the store is lost, and its loss takes one look to be seen.
const NOTICED_WITHIN: Duration = Duration::from_secs(3);
/// What is known of revocations is good for a second after the last look; a call of then may be under way.
const STALE_AFTER: Duration = Duration::from_millis(1_500);
/// The promise.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Connections of three servers: eight each and one for the feed.
const MOST_CONNECTIONS: usize = 3 * 9;
/// How long a fault is looked at once it is noticed.
const LOOKED_AT: Duration = Duration::from_secs(2);
/// Connections that three servers open in that time: each has two ways to the store, on which it tries once a second
/// or, spread, up to twice; each try may have one before it that was on its way.
const MOST_TRIES: usize = 3 * 2 * 2 * 3;

/// Three servers behind one way to one Redis.
struct Place {
    node: Node,
    way: Proxy,
    fleet: [TestApp; 3],
    token: String,
}

impl Place {
    fn new(lines: &str) -> Self {
        let node = Node::start(lines, &[]);
        let way = Proxy::to(node.port);
        let fleet: [TestApp; 3] = fleet_with(&format!("redis://127.0.0.1:{}", way.port), |_| {});
        let token = fleet[0].token("ada", "user");
        Self { node, way, fleet, token }
    }

    /// Loses the store by `lose`, looks, brings it `back`, and looks again.
    fn weathers(
        &mut self,
        what: &str,
        lose: impl FnOnce(&mut Node, &Proxy),
        back: impl FnOnce(&mut Node, &Proxy),
    ) {
        let Self { node, way, fleet, token } = self;
        let calls = under_load(fleet, token, |load| {
            load.until(&format!("{what}: well before"), BACK_WITHIN, |call| call.is_well());
            lose(node, way);
            let stale = Instant::now() + STALE_AFTER;
            load.until(&format!("{what}: noticed"), NOTICED_WITHIN, |call| call.status == 503);
            pause(stale.saturating_duration_since(Instant::now()));
            let opened = way.opened();
            pause(LOOKED_AT);
            let meanwhile = load.since(stale);
            assert!(
                meanwhile.iter().all(|call| call.status == 503),
                "{what}: somebody was let in: {meanwhile:?}"
            );
            let tries = way.opened() - opened;
            assert!(tries <= MOST_TRIES, "{what}: {tries} connections in {LOOKED_AT:?}");
            assert!(way.open() <= MOST_CONNECTIONS, "{what}: {} connections", way.open());
            assert!(!fleet[0].is_ready(), "{what}");
            back(node, way);
            let took = load.until(&format!("{what}: well again"), BACK_WITHIN, |call| call.is_well());
            println!("{what}: well again after {took:?}, {tries} tries in {LOOKED_AT:?}");
        });
        let slowest = calls.iter().map(|call| call.took).max().unwrap();
        assert!(slowest <= ANSWERED_WITHIN, "{what}: somebody waited {slowest:?}");
        let connected = self.node.ask("CLIENT LIST").unwrap().matches("name=portcullis").count();
        assert!(connected <= MOST_CONNECTIONS, "{what}: {connected} connections are left");
        Rpc::weather().bearer(&self.token).send(&self.fleet[0]).result();
        until(what, BACK_WITHIN, || self.fleet.iter().all(TestApp::is_ready));
    }

    /// As [`weathers`](Self::weathers), with a spoilt way.
    fn weathers_way(&mut self, fault: Fault) {
        self.weathers(&format!("{fault:?}"), |_, way| way.set(fault), |_, way| way.set(Fault::None));
    }
}

#[test]
fn a_redis_that_hangs_or_is_not_heard_is_given_up_in_time_and_found_again() {
    let mut place = Place::new("save \"\"");
    place.weathers("SIGSTOP", |node, _| node.signal("-STOP"), |node, _| node.signal("-CONT"));
    place.weathers_way(Fault::BlackHole);
    place.weathers_way(Fault::Slow(Duration::from_millis(500)));
}

#[test]
fn a_redis_that_is_not_there_is_given_up_at_once_and_found_again() {
    let mut place = Place::new("appendonly yes\nappendfsync always");
    place.weathers_way(Fault::Shut);
    place.weathers("killed", |node, _| node.end(), |node, _| node.restart());
}

#[test]
fn a_redis_that_talks_nonsense_or_refuses_everything_opens_nothing_and_is_found_again() {
    let mut place = Place::new("save \"\"");
    for fault in [
        Fault::Noise,
        Fault::CutShort,
        Fault::Says("-ERR no"),
        Fault::Says("-OOM command not allowed when used memory > 'maxmemory'."),
    ] {
        place.weathers_way(fault);
    }
}

#[test]
fn a_redis_that_loads_or_was_demoted_opens_nothing_and_is_found_again() {
    let mut place = Place::new("save \"\"");
    for fault in [
        Fault::Says("-LOADING Redis is loading the dataset in memory"),
        Fault::Says("-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
        Fault::Says("-READONLY You can't write against a read only replica."),
    ] {
        place.weathers_way(fault);
    }
}

#[test]
fn connections_that_went_deaf_are_replaced_before_anybody_is_refused_for_long() {
    let place = Place::new("save \"\"");
    let mut healed = Duration::ZERO;
    let calls = under_load(&place.fleet, &place.token, |load| {
        load.until("well before", BACK_WITHIN, |call| call.is_well());
        place.way.set(Fault::HalfOpen);
        // Long enough for a look of each server to be lost.
        pause(Duration::from_millis(500));
        healed = load.until("well again, with new connections", BACK_WITHIN, |call| call.is_well());
    });
    let slowest = calls.iter().map(|call| call.took).max().unwrap();
    assert!(slowest <= ANSWERED_WITHIN, "somebody waited {slowest:?}");
    println!("deaf connections: well again after {healed:?}");
}

#[test]
fn a_redis_that_comes_back_empty_lets_nobody_in() {
    let mut place = Place::new("save \"\"");
    let Place { node, fleet, token, .. } = &mut place;
    under_load(fleet, token, |load| {
        load.until("well before", BACK_WITHIN, |call| call.is_well());
        node.restart();
        let stale = Instant::now() + STALE_AFTER;
        load.until("noticed", NOTICED_WITHIN, |call| call.status == 503);
        pause(stale.saturating_duration_since(Instant::now()) + LOOKED_AT);
        let answers: Vec<u16> = load.since(stale).iter().map(|call| call.status).collect();
        assert!(answers.len() > 10 && answers.iter().all(|status| *status == 503), "{answers:?}");
    });
}

#[test]
fn a_full_redis_keeps_tokens_good_and_says_of_no_revocation_that_it_was_made() {
    let place = Place::new("save \"\"\nmaxmemory-policy noeviction");
    let [app, ..] = &place.fleet;
    let (gone, jti) = app.minted("ann", &["user"], &[], "desk");
    let revoke = || {
        let target = portcullis::store::RevocationTarget::Jti(jti.clone());
        crate::support::block_on(app.tokens.revoke(target, Duration::from_secs(60)))
    };
    place.node.ask("CONFIG SET maxmemory 1");
    let noticed = Instant::now();
    assert!(revoke().is_err(), "nothing was written");
    // Longer than a look may be old: reading goes on.
    while noticed.elapsed() < NOTICED_WITHIN {
        assert_eq!(Rpc::weather().bearer(&gone).send(app).status, 200);
        pause(Duration::from_millis(50));
    }
    place.node.ask("CONFIG SET maxmemory 0");
    crate::support::until("it is revoked", BACK_WITHIN, || revoke().is_ok());
    assert_eq!(Rpc::weather().bearer(&gone).send(app).status, 401);
}
