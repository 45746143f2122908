//! Logging in and out.

use std::time::Duration;

use portcullis::{actors::audit::Filter, domain::Timestamp, store::MOST_FAMILIES};
use serde_json::json;

use super::support::{
    app::{TestApp, without_limits},
    auth::{PASSWORD, Pair, refused},
    block_on,
    rpc::Rpc,
    until,
};

const BOUND: Duration = Duration::from_secs(1);

#[test]
fn a_password_gives_a_pair_that_is_worth_what_the_account_is() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    let reply = app.login("ann", PASSWORD);
    let pair = Pair::of(&reply);
    let served = Rpc::weather().bearer(&pair.access).send(&app);
    served.result();
    let principal = app.record_of(&served).principal.unwrap();
    assert_eq!(
        (&*principal.id, &*principal.client, &principal.roles[..]),
        ("ann", "password", &["user".into()][..])
    );
    Rpc::call("list_users", json!({})).bearer(&pair.access).send(&app).refused(403, -31403, "forbidden");

    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.outcome), ("auth.succeeded", "ok"));
    assert_eq!(record.principal.as_ref().unwrap().id, "ann");
    assert_eq!(record.path.as_deref(), Some("/auth/login"));
    let text = serde_json::to_string(&record).unwrap();
    assert!(![&*pair.access, &*pair.refresh, PASSWORD].iter().any(|secret| text.contains(secret)), "{text}");
    app.login("ann", "wrong horse battery");
    assert!(
        (app.metric(r#"portcullis_auth_total{kind="password",outcome="ok",reason="none"}"#) - 1.0).abs()
            < 0.1
    );
    let failed = r#"portcullis_auth_total{kind="password",outcome="failed",reason="invalid_login"}"#;
    assert!((app.metric(failed) - 1.0).abs() < 0.1);
    let known = block_on(app.stores().users.find(&"ann".parse().unwrap())).unwrap().unwrap();
    assert!(known.last_login.is_some());
}

#[test]
fn a_wrong_password_a_name_that_nobody_has_and_a_disabled_account_are_told_the_same() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    app.person("dora", &["user"]);
    app.account("dora", &["user"], false);
    until("it is disabled", BOUND, || !app.users.find("dora").unwrap().active);
    let mut answers = Vec::new();
    for (name, password) in [
        ("ann", "wrong horse battery"),
        ("nobody", PASSWORD),
        ("dora", PASSWORD),
        ("no name at all", PASSWORD),
    ] {
        let reply = app.login(name, password);
        refused(&reply, 401, "invalid_login");
        let record = app.record_of(&reply);
        assert_eq!((&*record.event, &*record.outcome), ("auth.failed", "denied"));
        assert_eq!((record.reason.as_deref(), &record.principal), (Some("invalid_login"), &None));
        let mut body = reply.json();
        body["request_id"].take();
        answers.push((body, reply.header("www-authenticate").map(str::to_owned)));
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
}

#[test]
fn after_five_wrong_passwords_a_name_waits_and_then_the_right_one_is_taken() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    for name in ["ann", "nobody"] {
        for _ in 0..5 {
            refused(&app.login(name, "wrong horse battery"), 401, "invalid_login");
        }
        let waits = app.login(name, PASSWORD);
        refused(&waits, 429, "rate_limited");
        assert_eq!(waits.header("retry-after"), Some("1"));
        let record = app.record_of(&waits);
        let told = (&*record.event, &*record.outcome, record.reason.as_deref());
        assert_eq!(told, ("request.served", "limited", Some("rate_limited")), "nothing was looked at");
    }
    until("the wait is over", Duration::from_secs(3), || app.login("ann", PASSWORD).status == 200);
    app.login("ann", PASSWORD);
    refused(&app.login("ann", "wrong horse battery"), 401, "invalid_login");
}

#[test]
fn what_is_no_request_to_log_in_is_refused_as_what_it_is() {
    let app = TestApp::start();
    let short = json!({ "username": "ann", "password": "short" });
    for (body, status, reason) in [
        ("{", 400, "parse_error"),
        ("[]", 400, "invalid_request"),
        (r#"{"username":"ann"}"#, 400, "invalid_request"),
        (r#"{"username":"ann","password":"correct horse battery","role":"admin"}"#, 400, "invalid_request"),
        (r#"{"username":"ann","username":"bob","password":"correct horse battery"}"#, 400, "invalid_request"),
        (&short.to_string(), 400, "invalid_request"),
    ] {
        let reply = app.post_text("/auth/login", body);
        refused(&reply, status, reason);
        assert_eq!(app.record_of(&reply).event, "request.served");
    }
    let raw = |request: &str| {
        let mut connection = app.connect();
        connection.send(request);
        connection.reply()
    };
    let form = "POST /auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
                application/x-www-form-urlencoded\r\ncontent-length: 3\r\n\r\na=b";
    refused(&raw(form), 415, "unsupported_media_type");
    let foreign = "POST /auth/login HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 0\r\n\r\n";
    refused(&raw(foreign), 403, "host_forbidden");
    let page = "POST /auth/login HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\n\
                content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    refused(&raw(page), 403, "origin_forbidden");
    refused(&app.get("/auth/login"), 405, "method_not_allowed");
    refused(
        &app.post("/auth/refresh", &json!({ "refresh_token": "x".repeat(20_000) })),
        413,
        "body_too_large",
    );
}

#[test]
fn logging_out_ends_both_halves_at_once() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    let [first, other] = [(); 2].map(|()| Pair::of(&app.login("ann", PASSWORD)));
    let next = Pair::of(&app.refresh(&first.refresh));
    let reply = app.logout(&next.access);
    assert_eq!((reply.status, &*reply.body), (204, &b""[..]));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.principal.unwrap().id), ("token.revoked", "ann"));
    for access in [&first.access, &next.access] {
        Rpc::weather().bearer(access).send(&app).refused(401, -31401, "revoked_token");
    }
    refused(&app.refresh(&next.refresh), 401, "revoked_token");
    refused(&app.logout(&next.access), 401, "revoked_token");
    Rpc::weather().bearer(&other.access).send(&app).result();
    Pair::of(&app.refresh(&other.refresh));
}

#[test]
fn a_token_that_is_seen_first_when_it_ends_is_on_record_as_seen_before() {
    let app = TestApp::start();
    let (token, jti) = app.minted("robot", &["user"], &[], "tests");
    let reply = app.logout(&token);
    assert_eq!(app.record_of(&reply).event, "token.revoked");
    let id = reply.header("x-request-id").map(str::to_owned);
    let both = app.records(Filter { request_id: id, ..Filter::default() });
    let told: Vec<_> = both.iter().map(|record| (&*record.event, &*record.outcome)).collect();
    assert_eq!(told, [("auth.succeeded", "ok"), ("token.revoked", "ok")]);
    assert!(both.iter().all(|record| record.principal.as_ref().unwrap().credential == jti), "{both:?}");
    // A token that was seen on the endpoint is no news here.
    let token = app.token("robot", "user");
    Rpc::weather().bearer(&token).send(&app).result();
    app.record_of(&app.logout(&token));
    let seen = app.records(Filter { event: Some("auth.succeeded".into()), ..Filter::default() });
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn a_token_without_a_login_ends_alone_and_what_is_no_token_is_refused() {
    let app = TestApp::start();
    let token = app.token("robot", "user");
    assert_eq!(app.logout(&token).status, 204);
    Rpc::weather().bearer(&token).send(&app).refused(401, -31401, "revoked_token");
    refused(&app.logout("x"), 401, "invalid_token");
    refused(&app.post("/auth/logout", &json!({})), 401, "missing_credential");
    app.person("ann", &["user"]);
    let pair = Pair::of(&app.login("ann", PASSWORD));
    refused(&app.logout(&pair.refresh), 401, "wrong_token_type");
}

#[test]
fn whoever_hangs_up_before_the_answer_pays_for_a_wrong_password_and_whoever_is_right_does_not() {
    let app = TestApp::start_with(|settings| {
        settings.limits.failures.capacity = 3;
        settings.limits.failures.refill_per_second = 0.001;
    });
    app.person("ann", &["user"]);
    for _ in 0..5 {
        Pair::of(&app.login("ann", PASSWORD));
    }
    for n in 0..3 {
        let looked_at = app.users.hasher().runs();
        let mut connection = app.connect();
        let body = json!({ "username": format!("nobody{n}"), "password": PASSWORD }).to_string();
        connection.send(format!(
            "POST /auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ));
        until("its password is looked at", BOUND * 10, || app.users.hasher().runs() > looked_at);
        connection.reset();
    }
    let failed = r#"portcullis_auth_total{kind="password",outcome="failed",reason="invalid_login"}"#;
    until("each was judged", BOUND * 10, || app.metric(failed) > 2.5);
    let of =
        Filter { event: Some("auth.failed".into()), outcome: Some("denied".into()), ..Filter::default() };
    until("each is on record", BOUND, || app.records(of.clone()).len() == 3);
    refused(&app.login("ann", PASSWORD), 429, "rate_limited");
}

#[test]
fn of_more_logins_than_there_may_be_the_one_that_was_not_used_for_longest_ends() {
    let app = TestApp::start_with(without_limits);
    app.person("ann", &["user"]);
    let [first, second] = [(); 2].map(|()| Pair::of(&app.login("ann", PASSWORD)));
    // Ends are told in whole seconds, and the one that is used must end later.
    let began = Timestamp::now().secs();
    until("a second has gone by", 2 * BOUND, || Timestamp::now().secs() > began);
    let first = Pair::of(&app.refresh(&first.refresh));
    let others = (2..MOST_FAMILIES).map(|_| Pair::of(&app.login("ann", PASSWORD)));
    let others: Vec<_> = others.collect();
    for pair in others.iter().chain([&first, &second]) {
        Rpc::weather().bearer(&pair.access).send(&app).result();
    }

    let reply = app.login("ann", PASSWORD);

    let last = Pair::of(&reply);
    Rpc::weather().bearer(&second.access).send(&app).refused(401, -31401, "revoked_token");
    refused(&app.refresh(&second.refresh), 401, "revoked_token");
    for pair in others.iter().chain([&first, &last]) {
        Rpc::weather().bearer(&pair.access).send(&app).result();
    }
    let record = app.record_of(&reply);
    let ended = record.detail.as_ref().and_then(|detail| detail["ended"].as_array());
    assert_eq!(ended.map(Vec::len), Some(1), "{record:?}");
    let app = app.restart();
    refused(&app.refresh(&second.refresh), 401, "revoked_token");
    Pair::of(&app.refresh(&first.refresh));
}
