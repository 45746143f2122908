//! Exchanging refresh tokens: once each, the same pair for whoever was too quick, the end for a copy.

use std::{thread, time::Duration};

use portcullis::store::{MOST_ACCESS, RevocationTarget};
use serde_json::json;

use super::support::{
    SOON,
    app::{TestApp, without_limits},
    auth::{PASSWORD, Pair, refused},
    block_on,
    rpc::Rpc,
    until,
};

const BOUND: Duration = Duration::from_secs(1);

fn alive(app: &TestApp, pair: &Pair) {
    Rpc::weather().bearer(&pair.access).send(app).result();
}

fn dead(app: &TestApp, pair: &Pair) {
    Rpc::weather().bearer(&pair.access).send(app).refused(401, -31401, "revoked_token");
}

#[test]
fn an_exchange_gives_a_new_pair_and_the_old_access_token_lives_on() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    let first = Pair::of(&app.login("ann", PASSWORD));
    let reply = app.refresh(&first.refresh);
    let second = Pair::of(&reply);
    assert!(first.access != second.access && first.refresh != second.refresh);
    alive(&app, &first);
    alive(&app, &second);
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.outcome), ("token.refreshed", "ok"));
    assert_eq!(record.principal.unwrap().id, "ann");
    alive(&app, &Pair::of(&app.refresh(&second.refresh)));
}

#[test]
fn ten_at_once_get_one_and_the_same_pair_and_nobody_is_logged_out() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    let first = Pair::of(&app.login("ann", PASSWORD));
    let pairs: Vec<Pair> = thread::scope(|scope| {
        let asked: Vec<_> = (0..10).map(|_| scope.spawn(|| Pair::of(&app.refresh(&first.refresh)))).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(pairs.iter().all(|pair| *pair == pairs[0]), "more than one pair");
    let next = Pair::of(&app.refresh(&pairs[0].refresh));
    // Still within the grace of its first use, although its successor has been used as well.
    assert_eq!(Pair::of(&app.refresh(&first.refresh)), pairs[0]);
    alive(&app, &next);
}

#[test]
fn a_copy_that_is_used_after_the_grace_ends_the_family_and_its_access_tokens() {
    let app = TestApp::start_with(|settings| settings.jwt.refresh_grace = Duration::ZERO);
    app.person("ann", &["user"]);
    let [first, other] = [(); 2].map(|()| Pair::of(&app.login("ann", PASSWORD)));
    let second = Pair::of(&app.refresh(&first.refresh));
    let reply = app.refresh(&first.refresh);
    refused(&reply, 401, "revoked_token");
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.outcome), ("token.reuse_detected", "denied"));
    assert_eq!(record.reason.as_deref(), Some("revoked_token"));
    dead(&app, &first);
    dead(&app, &second);
    for pair in [&first, &second] {
        let again = app.refresh(&pair.refresh);
        refused(&again, 401, "revoked_token");
        assert_eq!(app.record_of(&again).event, "auth.failed", "told once");
    }
    alive(&app, &other);
    let app = app.restart();
    dead(&app, &second);
    refused(&app.refresh(&second.refresh), 401, "revoked_token");
    Pair::of(&app.refresh(&other.refresh));
}

#[test]
fn after_two_hundred_exchanges_the_newest_access_token_is_good_and_the_oldest_is_refused() {
    let app = TestApp::start_with(without_limits);
    app.person("ann", &["user"]);
    let mut pairs = vec![Pair::of(&app.login("ann", PASSWORD))];
    for _ in 0..200 {
        let next = Pair::of(&app.refresh(&pairs[pairs.len() - 1].refresh));
        pairs.push(next);
    }
    let status = |pair: &Pair| Rpc::weather().bearer(&pair.access).send(&app).status;
    until("the oldest is refused", BOUND, || status(&pairs[0]) == 401);
    dead(&app, &pairs[0]);
    until("all but the newest are refused", BOUND, || {
        pairs[..pairs.len() - MOST_ACCESS].iter().all(|pair| status(pair) == 401)
    });
    pairs[pairs.len() - MOST_ACCESS..].iter().for_each(|pair| alive(&app, pair));
}

#[test]
fn the_grace_holds_over_a_restart() {
    let app = TestApp::start_with(|settings| settings.jwt.refresh_grace = Duration::from_secs(10));
    app.person("ann", &["user"]);
    let first = Pair::of(&app.login("ann", PASSWORD));
    let second = Pair::of(&app.refresh(&first.refresh));
    let app = app.restart();
    assert_eq!(Pair::of(&app.refresh(&first.refresh)), second);
}

#[test]
fn an_exchange_gives_no_role_that_the_account_has_lost_and_none_that_the_login_did_not_have() {
    let app = TestApp::start();
    app.person("ann", &["user", "admin"]);
    let listing = |pair: &Pair| Rpc::call("list_users", json!({})).bearer(&pair.access).send(&app);
    let first = Pair::of(&app.login("ann", PASSWORD));
    listing(&first).result();
    app.account("ann", &["user", "premium"], true);
    until("the roles have changed", SOON, || {
        app.users.find("ann").unwrap().roles.contains(&"premium".into())
    });
    let second = Pair::of(&app.refresh(&first.refresh));
    let served = Rpc::weather().bearer(&second.access).send(&app);
    assert_eq!(app.record_of(&served).principal.unwrap().roles, ["user"]);
    listing(&second).refused(403, -31403, "forbidden");
    let refused = Rpc::call("write_file", json!({})).bearer(&second.access).send(&app);
    assert_ne!(refused.status, 401);
}

#[test]
fn whoever_is_disabled_or_taken_back_exchanges_nothing() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    app.person("bob", &["user"]);
    let [ann, bob] = ["ann", "bob"].map(|name| Pair::of(&app.login(name, PASSWORD)));
    app.account("ann", &["user"], false);
    until("it is disabled", BOUND, || !app.users.find("ann").unwrap().active);
    refused(&app.refresh(&ann.refresh), 401, "revoked_token");

    let life = Duration::from_secs(600);
    block_on(app.tokens.revoke(RevocationTarget::Subject("bob".into()), life)).unwrap();
    refused(&app.refresh(&bob.refresh), 401, "revoked_token");
    dead(&app, &bob);
    let later = Pair::of(&app.login("bob", PASSWORD));
    alive(&app, &later);
    Pair::of(&app.refresh(&later.refresh));
}

#[test]
fn another_token_is_no_refresh_token_and_a_refresh_token_opens_nothing() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    let pair = Pair::of(&app.login("ann", PASSWORD));
    refused(&app.refresh(&pair.access), 401, "wrong_token_type");
    for text in ["", "x", "a.b.c", &format!("{}x", pair.refresh)] {
        let reply = app.refresh(text);
        refused(&reply, 401, "invalid_token");
        assert_eq!(app.record_of(&reply).event, "auth.failed");
    }
    Rpc::weather().bearer(&pair.refresh).send(&app).refused(401, -31401, "wrong_token_type");
    let short = TestApp::start_with(|settings| {
        settings.jwt.refresh_ttl = Duration::from_secs(1);
        settings.jwt.leeway = Duration::ZERO;
    });
    short.person("ann", &["user"]);
    let pair = Pair::of(&short.login("ann", PASSWORD));
    until("it has expired", Duration::from_secs(3), || short.refresh(&pair.refresh).status == 401);
    refused(&short.refresh(&pair.refresh), 401, "expired_token");
}

#[test]
fn exchanges_are_requests_of_their_principal_and_one_too_many_waits_with_its_token_unspent() {
    let app = TestApp::start_with(|settings| {
        let user = settings.roles.get_mut("user").unwrap();
        (user.capacity, user.refill_per_second) = (Some(3), Some(0.001));
    });
    app.person("ann", &["user"]);
    let first = Pair::of(&app.login("ann", PASSWORD));
    let second = Pair::of(&app.refresh(&first.refresh));
    alive(&app, &second);
    let third = Pair::of(&app.refresh(&second.refresh));
    let over = app.refresh(&third.refresh);
    refused(&over, 429, "rate_limited");
    assert_eq!(over.header("ratelimit-policy"), Some("\"user\";q=3;w=3000"));
    assert!(over.header("retry-after").is_some());
    let record = app.awaited("rate.limited", "limited", SOON);
    assert_eq!((record.scope.as_deref(), record.principal.unwrap().id.as_str()), (Some("user"), "ann"));
    // Somebody else's token is nobody else's limit, and what holds nothing takes nothing.
    refused(&app.refresh("a.b.c"), 401, "invalid_token");
    app.person("bob", &["user"]);
    Pair::of(&app.refresh(&Pair::of(&app.login("bob", PASSWORD)).refresh));

    let app = app.restart_with(|settings| {
        settings.roles.get_mut("user").unwrap().refill_per_second = Some(1_000.0);
    });
    Pair::of(&app.refresh(&third.refresh));
}
