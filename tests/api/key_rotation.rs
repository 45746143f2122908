//! A key near its end asks for its successor: once, in time, and only for itself.

use portcullis::{
    actors::{api_keys::KeyRequest, audit::Filter},
    domain::{ApiKey, KeyDigest, KeyState, Timestamp},
};
use serde_json::json;

use super::support::{
    app::TestApp,
    http::Reply,
    keys::{DAY, made, request},
    output,
    rpc::Rpc,
    until,
};

/// Asks for the successor of the key or with the token that these headers show.
fn rotate(app: &TestApp, headers: &[(&str, &str)]) -> Reply {
    let mut connection = app.connect();
    let shown: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    connection.send(format!(
        "POST /auth/key/rotate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n{shown}\r\n"
    ));
    connection.reply()
}

/// A key that lives for ten days more of its ninety.
fn due(app: &TestApp) -> (String, ApiKey) {
    made(&app.stores(), request("ada", &["weather:read"]), Timestamp::now().minus(80 * DAY))
}

/// What a successor is told as; the text is noted as a secret.
#[track_caller]
fn told(reply: &Reply) -> (String, String) {
    assert_eq!(reply.status, 201, "{}", reply.status);
    let body = reply.json();
    let text = body["api_key"].as_str().unwrap().to_owned();
    output::secret(&text);
    let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["api_key", "expires_at", "key_id"]);
    (text, body["key_id"].as_str().unwrap().to_owned())
}

#[track_caller]
fn refused(app: &TestApp, reply: &Reply, status: u16, reason: &str) {
    assert_eq!((reply.status, &*reply.reason()), (status, reason), "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.json()["request_id"].as_str(), reply.header("x-request-id"));
    assert_eq!(app.record_of(reply).reason.as_deref(), Some(reason));
}

#[test]
fn a_key_near_its_end_gets_its_successor_once_and_says_so_from_then_on() {
    let app = TestApp::start_roomy();
    let (old, key) = due(&app);
    let before = Rpc::weather().key(&old).send(&app);
    before.result();
    assert!(before.header("deprecation").is_none());

    let reply = rotate(&app, &[("x-api-key", &old)]);
    let (new, id) = told(&reply);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(KeyDigest::of(&new).map(|_| new.len()), Ok(47));
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.outcome), ("key.rotated", "ok"));
    let detail = record.detail.unwrap();
    assert_eq!((&detail["key_id"], &detail["predecessor"]), (&json!(id), &json!(key.id)));
    assert_eq!(record.principal.unwrap().credential, key.id.to_string());
    assert_eq!(app.metric("portcullis_key_rotations_total"), 1.0);

    let successor = app.key_now(id.parse().unwrap());
    assert_eq!((&successor.owner, &successor.permissions), (&key.owner, &key.permissions));
    assert_eq!(successor.expires_at.micros() - successor.created_at.micros(), 90 * 86_400_000_000);
    assert_eq!(successor.created_by, format!("key:{}", key.id));
    Rpc::weather().key(&new).send(&app).result();
    // At once, in the process that made it: the answer and all that come after.
    for again in [reply, Rpc::weather().key(&old).send(&app), rotate(&app, &[("x-api-key", &old)])] {
        let rotation = app.key_now(key.id).rotation.unwrap();
        assert_eq!(again.header("deprecation"), Some(&*format!("@{}", rotation.at.secs())));
        let sunset = rotation.grace_until.date().unwrap().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        assert_eq!(again.header("sunset"), Some(&*sunset));
    }
    let grace = app.settings.api_keys.rotation_grace;
    let rotation = app.key_now(key.id).rotation.unwrap();
    assert_eq!(rotation.grace_until, rotation.at.plus(grace));
    for headers in [("x-api-key", old.clone()), ("authorization", format!("Bearer {old}"))] {
        refused(&app, &rotate(&app, &[(headers.0, &headers.1)]), 409, "already_rotated");
    }
}

#[test]
fn a_key_that_is_seen_first_when_it_is_rotated_is_on_record_as_seen_once() {
    let app = TestApp::start_roomy();
    let (old, key) = due(&app);
    let reply = rotate(&app, &[("x-api-key", &old)]);
    told(&reply);
    app.record_of(&reply);
    Rpc::weather().key(&old).send(&app).result();
    let seen = app.records(Filter { event: Some("auth.succeeded".into()), ..Filter::default() });
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].request_id.as_deref(), reply.header("x-request-id"));
    assert_eq!(seen[0].principal.as_ref().unwrap().credential, key.id.to_string());
    assert_eq!(seen[0].path.as_deref(), Some("/auth/key/rotate"));
}

#[test]
fn a_key_that_lives_long_yet_and_a_key_that_holds_no_more_get_none() {
    let app = TestApp::start_roomy();
    let (fresh, key) = app.key("ada", &["weather:read"]);
    let reply = rotate(&app, &[("x-api-key", &fresh)]);
    refused(&app, &reply, 409, "rotation_not_due");
    assert!(reply.text().contains("14 days") && reply.header("deprecation").is_none());
    assert!(app.key_now(key.id).rotation.is_none());

    let (gone, key) = due(&app);
    app.set_key(key.id, KeyState::Revoked);
    let over = Timestamp::now().minus(91 * DAY);
    let (over, _) = made(&app.stores(), request("ada", &["weather:read"]), over);
    let pinned = KeyRequest { cidrs: vec!["10.0.0.0/8".parse().unwrap()], ..request("ada", &[]) };
    let (pinned, _) = made(&app.stores(), pinned, Timestamp::now().minus(80 * DAY));
    for text in [&gone, &over, &pinned] {
        let reply = rotate(&app, &[("x-api-key", text)]);
        refused(&app, &reply, 401, "invalid_api_key");
        assert!(reply.header("www-authenticate").is_some());
        assert_eq!(app.record_of(&reply).event, "auth.failed");
    }
    let made = Filter { event: Some("key.rotated".into()), ..Filter::default() };
    assert!(app.records(made).is_empty());
}

#[test]
fn only_a_key_has_a_successor_and_only_by_post() {
    let app = TestApp::start_roomy();
    let token = format!("Bearer {}", app.token("ada", "user"));
    refused(&app, &rotate(&app, &[("authorization", &token)]), 403, "forbidden");
    refused(&app, &rotate(&app, &[]), 401, "missing_credential");
    refused(
        &app,
        &rotate(&app, &[("authorization", &token), ("x-api-key", "mcp_x")]),
        400,
        "malformed_credential",
    );
    assert_eq!(app.get("/auth/key/rotate").status, 405);
}

#[test]
fn of_many_who_ask_at_once_one_is_told_a_key() {
    let app = TestApp::start_roomy();
    let (old, key) = due(&app);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let reply = rotate(&app, &[("x-api-key", &old)]);
                    if reply.status == 201 {
                        told(&reply);
                    }
                    reply.status
                })
            })
            .collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
    assert!(app.key_now(key.id).rotation.is_some());
}

#[test]
fn a_successor_is_worth_no_more_than_its_owner_is_by_then() {
    let app = TestApp::start_roomy();
    app.account("ada", &["user"], true);
    let (old, _) = due(&app);
    until("the account is known", super::support::SOON, || Rpc::weather().key(&old).send(&app).status == 200);
    let (new, _) = told(&rotate(&app, &[("x-api-key", &old)]));
    app.account("ada", &["user"], false);
    for text in [&old, &new] {
        until("nobody is let in", super::support::SOON, || Rpc::weather().key(text).send(&app).status == 401);
        refused(&app, &rotate(&app, &[("x-api-key", text)]), 401, "invalid_api_key");
    }
}
