//! Rows O: guessing passwords, and making the server compute their digests.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::support::{
    Stops,
    app::{TestApp, without_limits},
    auth::{PASSWORD, Pair, refused},
    pause,
    rpc::Rpc,
    until,
};

#[test]
fn o23_guessing_costs_and_tells_the_same_whether_or_not_the_name_is_somebodys() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    let tries = |name: &str| {
        let before = app.users.hasher().runs();
        let answers: Vec<_> = (0..30).map(|n| app.login(name, &format!("wrong password {n}"))).collect();
        let told: Vec<_> = answers
            .iter()
            .map(|reply| {
                let mut body = reply.json();
                body["request_id"].take();
                (reply.status, body["title"].clone(), body["reason"].clone())
            })
            .collect();
        // Times are compared as work: one digest for each try that is let through, and none for the others.
        (app.users.hasher().runs() - before, told)
    };
    let (known, told) = tries("ann");
    let (unknown, told_nobody) = tries("nobody");
    let let_through = told.iter().filter(|(status, ..)| *status == 401).count() as u64;
    let let_through_nobody = told_nobody.iter().filter(|(status, ..)| *status == 401).count() as u64;
    assert_eq!((known, unknown), (let_through, let_through_nobody));
    for told in [&told, &told_nobody] {
        assert!(told[..5].iter().all(|(status, ..)| *status == 401), "{told:?}");
        assert_eq!(told[5].0, 429, "{told:?}");
        assert!(told.iter().all(|(status, ..)| matches!(status, 401 | 429)), "{told:?}");
    }
    assert_eq!(told[..6], told_nobody[..6]);
    let most = Duration::from_secs(70);
    until("nobody is locked out", most, || app.login("ann", PASSWORD).status == 200);
}

#[test]
fn o24_what_can_be_no_password_is_refused_before_any_work() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    let before = app.users.hasher().runs();
    for password in [
        "x".repeat(1_000_000),
        "x".repeat(15_000),
        "x".repeat(129),
        "ﬃ".repeat(100),
        "correct horse\0 battery staple".to_owned(),
        String::new(),
    ] {
        let reply = app.login("ann", &password);
        refused(&reply, 400, "invalid_request");
        assert!(!reply.text().contains("xxx"), "nothing of it is repeated");
    }
    let chunked = "POST /auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                   transfer-encoding: chunked\r\n\r\n";
    let mut connection = app.connect();
    connection.send(chunked);
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for _ in 0..8 {
        connection.try_send(&chunk);
    }
    refused(&connection.reply(), 400, "invalid_request");
    assert_eq!(app.users.hasher().runs(), before, "no digest was computed");
    Pair::of(&app.login("ann", PASSWORD));
}

#[test]
fn o25_two_hundred_logins_at_once_take_turns_and_everybody_else_is_served() {
    let app = TestApp::start_with(without_limits);
    let token = app.token("robot", "user");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let app = &app;
        let logins: Vec<_> = (0..200)
            .map(|n| scope.spawn(move || app.login(&format!("nobody{n}"), PASSWORD).status))
            .collect();
        for _ in 0..50 {
            Rpc::weather().bearer(&token).send(app).result();
        }
        logins.into_iter().map(|login| login.join().unwrap()).collect()
    });
    let count = |status: u16| statuses.iter().filter(|known| **known == status).count();
    assert_eq!(count(401) + count(429), 200, "{statuses:?}");
    assert_eq!(app.users.hasher().runs(), count(401) as u64);
    let reply = app.login("nobody", PASSWORD);
    refused(&reply, 401, "invalid_login");
}

#[test]
fn o26_a_digest_of_a_gibibyte_in_the_store_is_refused_unread() {
    let app = TestApp::start();
    app.person("ann", &["user"]);
    let file = app.settings.store.url.to_string();
    let store = rusqlite::Connection::open(file.strip_prefix("sqlite:").unwrap()).unwrap();
    let digest =
        "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHRzb21l$RdescudvJCsgt3ub+b2dWRWJTmaaJObGRdescudvJCs";
    store.execute("UPDATE users SET password_hash = ?1 WHERE username = 'ann'", [digest]).unwrap();
    let before = app.users.hasher().runs();
    refused(&app.login("ann", PASSWORD), 401, "invalid_login");
    assert_eq!(app.users.hasher().runs() - before, 1, "the same work as for nobody, and no more");
    refused(&app.login("nobody", PASSWORD), 401, "invalid_login");
    let token = app.token("robot", "user");
    Rpc::call("get_weather", json!({ "city": "Oslo" })).bearer(&token).send(&app).result();
}

#[test]
fn o23_an_address_that_fails_too_often_is_refused_before_any_digest_and_others_are_not() {
    let app = TestApp::start_with(|settings| {
        settings.limits.failures.capacity = 8;
        settings.limits.failures.refill_per_second = 0.001;
    });
    app.person("ann", &["user"]);
    let pair = Pair::of(&app.login("ann", PASSWORD));
    for n in 0..8 {
        refused(&app.login(&format!("nobody{n}"), PASSWORD), 401, "invalid_login");
    }
    let before = app.users.hasher().runs();
    let over = app.login("ann", PASSWORD);
    refused(&over, 429, "rate_limited");
    assert!(over.header("retry-after").is_some() && over.header("ratelimit").is_some());
    refused(&app.refresh(&pair.refresh), 429, "rate_limited");
    assert_eq!(app.users.hasher().runs(), before);
    Rpc::weather().bearer(&pair.access).send(&app);
    let id = over.header("x-request-id").unwrap().to_owned();
    let of_it = portcullis::actors::audit::Filter { request_id: Some(id), ..Default::default() };
    until("the limiter has recorded it", Duration::from_secs(5), || !app.records(of_it.clone()).is_empty());
    assert!(app.records(of_it).iter().all(|record| record.event == "rate.limited"));
}

/// Tries `ann` from `source` without end, as fast as it is answered, until `done`.
fn guess(app: &TestApp, source: &str, (waits, done): (&AtomicU32, &AtomicBool)) {
    while !done.load(Ordering::Acquire) {
        if app.login_from(source, "ann", "wrong horse battery").status == 429 {
            waits.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Logs in from `source`, waiting as long as it is told each time; how long that took.
fn log_in_patiently(app: &TestApp, source: &str) -> Duration {
    let began = Instant::now();
    loop {
        let reply = app.login_from(source, "ann", PASSWORD);
        if reply.status == 200 {
            return began.elapsed();
        }
        refused(&reply, 429, "rate_limited");
        let told = reply.header("retry-after").unwrap().parse().unwrap();
        pause(Duration::from_secs(told));
    }
}

#[test]
fn o23_whoever_guesses_without_end_keeps_the_owner_out_nowhere_for_long() {
    let app = TestApp::start_roomy();
    app.person("ann", &["user"]);
    Pair::of(&app.login_from("127.0.0.2", "ann", PASSWORD));
    let (waits, done) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for bot in ["127.0.0.11", "127.0.0.12"] {
            let (app, told) = (&app, (&waits, &done));
            scope.spawn(move || guess(app, bot, told));
        }
        let _stops = Stops(&done);
        until("strangers must wait", Duration::from_secs(10), || waits.load(Ordering::Acquire) > 20);
        for _ in 0..5 {
            Pair::of(&app.login_from("127.0.0.2", "ann", PASSWORD));
        }
        // The waits are 1, 2, 4 and 8 seconds by then: one turn of each of the others, and its own.
        let took = log_in_patiently(&app, "127.0.0.3");
        assert!(took < Duration::from_secs(30), "{took:?}");
        Pair::of(&app.login_from("127.0.0.3", "ann", PASSWORD));
    });
}
