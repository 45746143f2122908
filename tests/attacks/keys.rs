//! Rows K: keys that are guessed, bent, shown in the wrong place, rotated, outlived and counted.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use portcullis::{
    actors::api_keys::KeyRequest,
    domain::{ApiKeySecret, KeyDigest, KeyState, Timestamp},
    settings::Durability,
};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::{TestApp, without_limits},
    http::Reply,
    keys::{DAY, made, request, rotated},
    output,
    rpc::Rpc,
    until,
};

/// An answer without what differs from one request to the next; the order of headers says nothing.
fn bare(reply: &Reply) -> (u16, BTreeSet<(String, String)>, Value) {
    let headers = reply.headers.iter().filter(|(name, _)| name != "x-request-id" && name != "date").cloned();
    let mut body = reply.json();
    body["error"]["data"]["requestId"].take();
    (reply.status, headers.collect(), body)
}

/// A wrong key that shares its first `shared` characters after the prefix with `key`.
fn near(key: &str, shared: usize) -> String {
    let other = ApiKeySecret::generate().unwrap();
    let body = &key["mcp_".len()..];
    let mut near = format!("mcp_{}{}", &body[..shared], &other.expose()["mcp_".len() + shared..]);
    if near == key {
        let last = if near.ends_with('A') { "B" } else { "A" };
        near.replace_range(near.len() - 1.., last);
    }
    output::secret(&near);
    near
}

/// What is compared is a digest, in which nothing of the text's beginning is left: there is no "closer".
#[test]
fn k1_a_key_that_begins_like_a_real_one_is_no_closer_than_any_other() {
    let app = TestApp::start_roomy();
    let (key, _) = app.key("ada", &["weather:read"]);
    let real = *KeyDigest::of(&key).unwrap().as_bytes();
    let mut connection = app.connect();
    let mut answers: Vec<_> = Vec::new();
    for n in 0..1_000 {
        let near = near(&key, n % 43);
        let digest = *KeyDigest::of(&near).unwrap().as_bytes();
        assert!(digest.iter().zip(real).take_while(|(one, two)| *one == two).count() < 8);
        let answer =
            bare(Rpc::weather().key(&near).on(&mut connection).refused(401, -31401, "invalid_api_key"));
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    Rpc::weather().key(&key).on(&mut connection).result();
}

#[test]
fn k2_every_key_that_does_not_hold_is_told_the_same() {
    let app = TestApp::start_roomy();
    app.account("gone", &["user"], false);
    let stores = app.stores();
    let now = Timestamp::now();
    let (ada, weather) = ("ada", ["weather:read"]);
    let (known, _) = app.key(ada, &weather);
    let ((revoked, one), (disabled, two)) = (app.key(ada, &weather), app.key(ada, &weather));
    app.set_key(one.id, KeyState::Revoked);
    app.set_key(two.id, KeyState::Disabled);
    let (owner, _) = app.key("gone", &weather);
    let (over, _) = made(&stores, KeyRequest { life: DAY, ..request(ada, &weather) }, now.minus(DAY));
    let pinned = KeyRequest { cidrs: vec!["10.0.0.0/8".parse().unwrap()], ..request(ada, &weather) };
    let (pinned, _) = made(&stores, pinned, now);
    let mut answers = Vec::new();
    let unknown = near(&known, 40);
    for (key, why) in [
        (&unknown, "unknown"),
        (&revoked, "revoked"),
        (&disabled, "disabled"),
        (&over, "expired"),
        (&pinned, "address"),
        (&owner, "owner_disabled"),
        (&"mcp_short".to_owned(), "malformed"),
    ] {
        until("it is refused", SOON, || Rpc::weather().key(key).send(&app).status == 401);
        let reply = Rpc::weather().key(key).send(&app);
        assert_eq!(app.record_of(&reply).detail.unwrap()["api_key"], why, "the record tells which");
        answers.push(bare(&reply));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, 401);
    assert!(answers[0].2["error"]["message"] == "the API key is not valid", "{:?}", answers[0].2);
}

#[test]
fn k3_a_key_has_one_spelling() {
    let app = TestApp::start_roomy();
    let (key, _) = app.key("ada", &["weather:read"]);
    Rpc::weather().key(&key).send(&app).result();
    let at = key.char_indices().skip(4).find(|(_, c)| c.is_ascii_alphabetic()).unwrap().0;
    let mut other_case = key.clone();
    let flipped: String = key[at..=at]
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    other_case.replace_range(at..=at, &flipped);
    let quoted = format!("\"{key}\"");
    let (head, tail) = key.split_at(20);
    for bent in [
        other_case,
        key.to_uppercase(),
        key.to_lowercase(),
        key.replacen("mcp_", "MCP_", 1),
        key["mcp_".len()..].to_owned(),
        format!("{key}%20"),
        format!("{key}\\n"),
        format!("{key}="),
        format!("{key},{key}"),
        format!("{head} {tail}"),
        format!("{key} x"),
        quoted,
        format!("{key}A"),
        key[..key.len() - 1].to_owned(),
    ] {
        Rpc::weather().key(&bent).send(&app).refused(401, -31401, "invalid_api_key");
        assert_eq!(Rpc::weather().bearer(&bent).send(&app).status, 401, "{bent}");
    }
    // White space around a value is no part of it (RFC 9110 §5.5); behind the scheme there is one space.
    Rpc::weather().header("x-api-key", format!("{key} ")).send(&app).result();
    assert_eq!(Rpc::weather().header("authorization", format!("Bearer  {key}")).send(&app).status, 401);
}

#[test]
fn k4_a_key_is_read_nowhere_but_in_its_headers() {
    let app = TestApp::start_roomy();
    let (key, _) = app.key("ada", &["weather:read"]);
    for rpc in [
        Rpc::weather().target(&format!("/mcp?api_key={key}")),
        Rpc::weather().target(&format!("/mcp?x-api-key={key}")),
        Rpc::weather().header("cookie", format!("api_key={key}; x-api-key={key}")),
        Rpc::weather().header("api-key", key.as_bytes()),
        Rpc::weather().header("proxy-authorization", format!("Bearer {key}")),
        Rpc::weather().edit(|body| body["params"]["api_key"] = json!(key)),
        Rpc::weather().edit(|body| body["params"]["_meta"]["api_key"] = json!(key)),
    ] {
        rpc.send(&app).refused(401, -31401, "missing_credential");
    }
    let basic = Rpc::weather().header("authorization", format!("Basic {key}")).send(&app);
    basic.refused(400, -32600, "malformed_credential");
    let query = Rpc::weather().target(&format!("/mcp?access_token={key}")).key(&key).send(&app);
    query.refused(400, -32600, "malformed_credential");
}

#[test]
fn k6_a_key_is_shown_nowhere() {
    let app = TestApp::start_roomy();
    let (good, key) = app.key("quiet-as-a-mouse", &["weather:read"]);
    let (next, _) = rotated(&app.stores(), key.id, DAY);
    let wrong = near(&good, 20);
    for text in [&good, &next, &wrong] {
        Rpc::weather().key(text).send(&app);
        Rpc::weather().bearer(text).send(&app);
        Rpc::weather().target(&format!("/mcp?api_key={text}")).send(&app);
        Rpc::weather().key(text).bearer("x").send(&app);
        Rpc::weather().key(text).raw("{").send(&app);
    }
    app.fault("api_keys");
    until("the panic is logged", SOON, || !output::logged(&["actor died", "api_keys"]).is_empty());
    let secret: ApiKeySecret = good.parse().unwrap();
    let metrics = app.admin("GET", "/metrics").text();
    let mut seen =
        vec![metrics.into_bytes(), format!("{secret:?} {:?} {key:?}", secret.digest()).into_bytes()];
    let dir = app.dir().to_path_buf();
    let mut folders = vec![dir];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                seen.push(fs::read(entry.path()).unwrap());
            }
        }
    }
    seen.push(fs::read(output::log()).unwrap());
    for text in [&good, &next, &wrong] {
        for bytes in &seen {
            let shown = String::from_utf8_lossy(bytes);
            assert!(!shown.contains(text.as_str()) && !shown.contains(&text[4..]), "a key is shown");
        }
    }
}

#[test]
fn k7_the_old_key_holds_for_the_grace_and_says_so() {
    let app = TestApp::start_roomy();
    let (old, key) = app.key("ada", &["weather:read"]);
    let mut connection = app.connect();
    let rpc = Rpc::weather().key(&old);
    rpc.on(&mut connection).result();
    let grace = Duration::from_millis(2_500);
    let (new, successor) = rotated(&app.stores(), key.id, grace);
    until("the old key is deprecated", Duration::from_secs(1), || {
        rpc.on(&mut connection).header("deprecation").is_some()
    });
    let reply = rpc.on(&mut connection);
    reply.result();
    let rotation = app.key_now(key.id).rotation.unwrap();
    assert_eq!(reply.header("deprecation"), Some(&*format!("@{}", rotation.at.secs())));
    let sunset = rotation.grace_until.date().unwrap().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    assert_eq!(reply.header("sunset"), Some(&*sunset));
    let detail = app.record_of(&reply).detail.unwrap();
    assert_eq!(detail, json!({ "deprecated": true, "successor": successor.id }));
    assert!(app.metric("portcullis_deprecated_key_uses_total") >= 2.0);
    let fresh = Rpc::weather().key(&new).send(&app);
    fresh.result();
    assert!(fresh.header("deprecation").is_none() && app.record_of(&fresh).detail.is_none());

    until("the grace is over", SOON, || rpc.on(&mut connection).status == 401);
    assert!(Timestamp::now() >= rotation.grace_until);
    assert_eq!(app.record_of(&rpc.on(&mut connection)).detail.unwrap()["api_key"], "expired");
    Rpc::weather().key(&new).send(&app).result();
    app.awaited("key.expired", "ok", SOON);
}

#[test]
fn k8_of_a_lineage_only_the_last_two_live() {
    let app = TestApp::start_roomy();
    let (first, key) = app.key("ada", &["weather:read"]);
    Rpc::weather().key(&first).send(&app).result();
    let (second, _) = rotated(&app.stores(), key.id, DAY);
    for text in [&first, &second] {
        Rpc::weather().key(text).send(&app).result();
    }
    let (third, _) = rotated(&app.stores(), key.id, DAY);
    until("the first has ended", Duration::from_secs(1), || {
        Rpc::weather().key(&first).send(&app).status == 401
    });
    for text in [&second, &third] {
        Rpc::weather().key(text).send(&app).result();
    }
    Rpc::weather().key(&first).send(&app).refused(401, -31401, "invalid_api_key");
}

#[test]
fn k9_ten_thousand_uses_at_once_are_counted_as_ten_thousand() {
    const CALLERS: u64 = 20;
    const USES: u64 = 10_000;
    let app = TestApp::start_with(|settings| {
        without_limits(settings);
        settings.audit.durability = Durability::Buffered;
    });
    let (text, key) = app.key("ada", &["weather:read"]);
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let (rpc, mut connection) = (Rpc::weather().key(&text), app.connect());
                for _ in 0..USES / CALLERS {
                    rpc.on(&mut connection).result();
                }
            });
        }
        // Meanwhile whatever can disturb the count: a change, and the death of the actor.
        app.set_key(key.id, KeyState::Active);
        app.fault("api_keys");
        app.set_key(key.id, KeyState::Active);
    });
    until("the counts are written down", SOON, || app.key_now(key.id).usage_count >= USES);
    let app = app.restart();
    assert_eq!(app.key_now(key.id).usage_count, USES);
}

#[test]
fn k11_a_key_is_worth_nothing_without_its_owner_beyond_its_date_or_outside_its_scope() {
    let app = TestApp::start_roomy();
    app.account("ada", &["admin"], true);
    let (text, _) = app.key("ada", &["weather:read"]);
    let denied = Rpc::call("list_users", json!({})).key(&text).send(&app);
    denied.refused(403, -31403, "forbidden");
    assert_eq!(app.record_of(&denied).missing.as_deref(), Some("admin:users"));
    app.account("ada", &["admin"], false);
    until("the owner is disabled", Duration::from_secs(1), || {
        Rpc::weather().key(&text).send(&app).status == 401
    });
    Rpc::weather().key(&text).send(&app).refused(401, -31401, "invalid_api_key");
    let over = Timestamp::now().minus(DAY);
    let (text, _) = made(&app.stores(), KeyRequest { life: DAY, ..request("bob", &["weather:read"]) }, over);
    Rpc::weather().key(&text).send(&app).refused(401, -31401, "invalid_api_key");
}

#[test]
fn k12_a_key_beside_a_token_is_neither() {
    let app = TestApp::start_roomy();
    let ((key, _), token) = (app.key("ada", &["weather:read"]), app.token("bob", "user"));
    for rpc in [
        Rpc::weather().key(&key).bearer(&token),
        Rpc::weather().bearer(&token).key(&key),
        Rpc::weather().key(&key).bearer(&key),
        Rpc::weather().key(&key).key(&key),
    ] {
        let reply = rpc.send(&app);
        reply.refused(400, -32600, "malformed_credential");
        assert!(app.record_of(&reply).principal.is_none());
    }
    for rpc in [Rpc::weather().key(&key), Rpc::weather().bearer(&token)] {
        rpc.send(&app).result();
    }
}
