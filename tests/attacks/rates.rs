//! Rows R, K5 and H16: too much of everything, from one address and from many.

use std::time::Duration;

use portcullis::{actors::audit::Filter, settings::RateSettings};

use super::support::{SOON, app::TestApp, http::Reply, rpc::Rpc, until};

fn rate(capacity: u32, refill_per_second: f64) -> RateSettings {
    RateSettings { capacity, refill_per_second }
}

/// A server whose addresses have so many requests and get hardly any back.
fn with_address(capacity: u32) -> TestApp {
    TestApp::start_with(|settings| settings.limits.ip = rate(capacity, 0.001))
}

/// A server on which a principal and an address have plenty, and guests so much.
fn with_guests(capacity: u32) -> TestApp {
    TestApp::start_with(|settings| {
        let guest = settings.roles.get_mut("guest").unwrap();
        (guest.capacity, guest.refill_per_second) = (Some(capacity), Some(0.001));
    })
}

fn is_limited(reply: &Reply) -> bool {
    reply.status == 429
}

#[test]
fn r1_a_stranger_who_says_he_is_many_is_one() {
    let app = with_address(5);
    let mut connection = app.connect();
    for n in 0..10 {
        let rpc = Rpc::weather()
            .header("x-forwarded-for", format!("198.51.100.{n}"))
            .header("forwarded", format!("for=203.0.113.{n}"));
        assert_eq!(is_limited(&rpc.on(&mut connection)), n >= 5, "{n}");
    }
}

#[test]
fn r2_a_proxys_client_is_the_last_one_before_it() {
    let app = TestApp::start_with(|settings| {
        settings.limits.ip = rate(3, 0.001);
        settings.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    });
    let mut connection = app.connect();
    let mut from = |client: &str, spoofed: usize| {
        let chain = format!("192.0.2.{spoofed}, {client}, 127.0.0.9");
        is_limited(&Rpc::weather().header("x-forwarded-for", chain).on(&mut connection))
    };
    for n in 0..6 {
        assert_eq!(from("198.51.100.1", n), n >= 3, "the spoofed one before it changes nothing: {n}");
    }
    assert!(!from("198.51.100.2", 1), "another client of the same proxy");
    assert!((0..9).any(|n| from("unknown", n)), "nonsense is the proxy's own");
}

#[test]
fn r7_exactly_the_capacity_and_not_one_more() {
    let app = with_guests(50);
    let rpc = Rpc::discover().bearer(&app.token("ada", "guest"));
    let mut connection = app.connect();
    (0..50).for_each(|_| drop(rpc.on(&mut connection).result()));
    let reply = rpc.on(&mut connection);
    reply.refused(429, -31429, "rate_limited");
    let (secs, millis) =
        (reply.header("retry-after").unwrap(), &reply.json()["error"]["data"]["retryAfterMs"]);
    assert_eq!(secs.parse::<u64>().unwrap(), millis.as_u64().unwrap().div_ceil(1_000), "whole seconds, up");
    assert!((990_000..=1_000_000).contains(&millis.as_u64().unwrap()), "{millis}");
}

#[test]
fn r8_the_stricter_one_counts_and_a_refusal_drains_no_other() {
    let app = with_guests(5);
    let (ada, bob) = (app.token("ada", "guest"), app.token("bob", "guest"));
    let tries = |token: &str, count: usize| {
        let mut connection = app.connect();
        (0..count).filter(|_| !is_limited(&Rpc::weather().bearer(token).on(&mut connection))).count()
    };
    assert_eq!(tries(&ada, 100), 5, "the address has ten thousand");
    assert_eq!(tries(&bob, 100), 5);
    let app = with_address(5);
    let token = app.token("ada", "admin");
    let mut connection = app.connect();
    let served = (0..100).filter(|_| !is_limited(&Rpc::weather().bearer(&token).on(&mut connection))).count();
    assert_eq!(served, 5, "the principal has five thousand");
}

#[test]
fn r9_a_flood_of_refusals_is_a_handful_of_records() {
    let app = with_guests(1);
    let rpc = Rpc::weather().bearer(&app.token("ada", "guest"));
    let mut connection = app.connect();
    rpc.on(&mut connection).result();
    let refused = (0..500).filter(|_| is_limited(&rpc.on(&mut connection))).count() as u64;
    assert_eq!(refused, 500);
    let limited = Filter { event: Some("rate.limited".into()), ..Filter::default() };
    let counted = || {
        let records = app.records(limited.clone());
        (records.len(), records.iter().filter_map(|record| record.count).sum::<u64>())
    };
    until("all of them are in the log", SOON, || counted().1 == refused);
    assert!(counted().0 <= 30, "{} records", counted().0);
    let of_ada = Filter { user: Some("ada".into()), outcome: Some("ok".into()), ..Filter::default() };
    assert_eq!(app.records(of_ada).iter().filter(|record| record.event == "tool.called").count(), 1);
    assert!((app.metric("portcullis_rate_limited_total{scope=\"user\"}") - 500.0).abs() < 0.5);
}

#[test]
fn r13_a_flood_of_bad_tokens_is_not_verified_and_harms_nobody_else() {
    let app = TestApp::start_with(|settings| settings.limits.failures = rate(30, 0.001));
    let (seen, unseen) = (app.token("ada", "admin"), app.token("bob", "admin"));
    let good = Rpc::weather().bearer(&seen);
    let mut connections: Vec<_> = (0..8).map(|_| app.connect()).collect();
    connections.iter_mut().for_each(|connection| drop(good.on(connection).result()));
    let forged = |n: usize| Rpc::weather().bearer(&format!("{}{n}", app.token("eve", "admin")));
    let statuses: Vec<u16> = (0..300).map(|n| forged(n).on(&mut connections[n % 8]).status).collect();
    assert!(statuses[..30].iter().all(|status| *status == 401));
    assert!(statuses[30..].iter().all(|status| *status == 429));
    let looked_at =
        app.metric("portcullis_auth_total{kind=\"jwt\",outcome=\"failed\",reason=\"invalid_token\"}");
    assert!((looked_at - 30.0).abs() < 0.5, "{looked_at} were verified");

    connections.iter_mut().for_each(|connection| drop(good.on(connection).result()));
    let reply = Rpc::weather().bearer(&unseen).send(&app);
    reply.refused(429, -31429, "rate_limited");
    assert_eq!(reply.header("ratelimit-policy"), Some("\"address\";q=30;w=30000"));
    Rpc::weather().send(&app).refused(401, -31401, "missing_credential");
    Rpc::weather().bearer(&unseen).on(&mut app.connect_from("127.0.0.2")).result();
}

#[test]
fn r14_a_hundred_tokens_of_one_principal_have_what_one_has() {
    let app = with_guests(50);
    let mut connections: Vec<_> = (0..4).map(|_| app.connect()).collect();
    let served = (0..100)
        .filter(|n| {
            let rpc = Rpc::discover().bearer(&app.token("ada", "guest"));
            !is_limited(&rpc.on(&mut connections[n % 4]))
        })
        .count();
    assert_eq!(served, 50);
}

#[test]
fn k5_of_thirty_one_bad_keys_at_once_the_last_is_told_to_wait() {
    let app = TestApp::start();
    let mut connections: Vec<_> = (0..31).map(|_| app.connect()).collect();
    for (n, connection) in connections.iter_mut().enumerate() {
        connection.send(Rpc::weather().header("x-api-key", format!("mcp_{n:043}")).bytes());
    }
    let replies: Vec<_> = connections.iter_mut().map(super::support::http::Connection::reply).collect();
    let limited: Vec<_> = replies.iter().filter(|reply| is_limited(reply)).collect();
    assert_eq!(limited.len(), 1);
    limited[0].refused(429, -31429, "rate_limited");
    let wait = limited[0].json()["error"]["data"]["retryAfterMs"].as_u64().unwrap();
    // Looked at beside the others, it is owed; told to wait before it was looked at, it is not.
    assert!(wait > 0 && wait <= 10_000, "{wait}");
    for reply in replies.iter().filter(|reply| !is_limited(reply)) {
        reply.refused(401, -31401, "invalid_api_key");
    }
    let other =
        Rpc::weather().header("x-api-key", format!("mcp_{:043}", 99)).on(&mut app.connect_from("127.0.0.2"));
    other.refused(401, -31401, "invalid_api_key");
}

#[test]
fn h16_a_thousand_requests_in_one_segment_are_a_thousand() {
    let app = with_address(1_000);
    let is_known = |n: usize| n % 7 == 3;
    let path = |n| if is_known(n) { "/.well-known/oauth-protected-resource" } else { "/nowhere" };
    let bytes: String =
        (0..1_001).map(|n| format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", path(n))).collect();
    let mut connection = app.connect();
    connection.send(bytes);
    for n in 0..1_000 {
        assert_eq!(connection.reply().status, if is_known(n) { 200 } else { 404 }, "{n}");
    }
    assert_eq!(connection.reply().status, 429);
    let wait = Duration::from_secs(app.get("/nowhere").header("retry-after").unwrap().parse().unwrap());
    assert!(wait <= Duration::from_secs(1_000), "one request comes back in a thousand seconds");
}
