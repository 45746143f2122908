//! The verbs of API keys beside a running server, and what a crash costs their counts.

use std::time::{Duration, Instant};

use portcullis::{
    domain::Timestamp,
    store::{self, User},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    home::Home,
    output, records,
    server::{LOOK_EVERY, Server},
};

/// The promise, for changes and for counts that a crash may lose.
const BOUND: Duration = Duration::from_secs(1);

/// A key of `owner`, by the verb that an operator would use: the text, noted as a secret, and its id.
async fn created(home: &Home, owner: &str, permission: &str) -> (String, String) {
    let verb =
        ["key", "create", "--user", owner, "--name", "build server", "--permission", permission, "--json"];
    told(&home.ok(&verb).await)
}

/// What `key create --json` and `key rotate --json` print: one line with these three members.
fn told(out: &str) -> (String, String) {
    let shown: Value = serde_json::from_str(out.trim()).unwrap();
    let members: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["api_key", "expires_at", "key_id"]);
    let text = shown["api_key"].as_str().unwrap().to_owned();
    output::secret(&text);
    assert!(text.starts_with("mcp_") && text.len() == 47, "the shape of a key");
    (text, shown["key_id"].as_str().unwrap().to_owned())
}

async fn shown(home: &Home, id: &str) -> Value {
    serde_json::from_str(home.ok(&["key", "show", id, "--json"]).await.trim()).unwrap()
}

/// Waits until the server answers `key` with `status`, within the bound.
async fn until_answered(server: &Server, key: &str, status: u16) {
    let (caller, started) = (server.caller(Some(key)), Instant::now());
    while caller.weather("Oslo").await.unwrap().status != status {
        assert!(started.elapsed() < BOUND, "not {status} within {BOUND:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[tokio::test]
async fn a_key_is_made_listed_disabled_rotated_and_revoked_beside_a_running_server() {
    let home = Home::for_load("key_verbs");
    let server = Server::start(&home).await;
    let said =
        home.cli(&["key", "create", "--user", "ci", "--name", "n", "--permission", "weather:read"]).await;
    let alone = said.out.trim().to_owned();
    output::secret(&alone);
    assert_eq!((said.code(), alone.len(), said.out.lines().count()), (0, 47, 1), "the key alone");
    assert!(said.err.contains("no account") && !said.err.contains(&alone));
    until_answered(&server, &alone, 200).await;

    let (key, id) = created(&home, "ci", "weather:read").await;
    until_answered(&server, &key, 200).await;
    let listed = home.ok(&["key", "list", "--json"]).await;
    let lines: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["key_id"], *id);
    assert_eq!(home.ok(&["key", "list"]).await.lines().count(), 2);
    let known = shown(&home, &id).await;
    assert_eq!(
        (&known["user_id"], &known["name"], &known["active"]),
        (&"ci".into(), &"build server".into(), &true.into())
    );
    assert_eq!(known["permissions"], serde_json::json!(["weather:read"]));

    home.ok(&["key", "disable", &id]).await;
    until_answered(&server, &key, 401).await;
    assert_eq!(shown(&home, &id).await["active"], false);
    home.ok(&["key", "enable", &id]).await;
    until_answered(&server, &key, 200).await;

    let (next, next_id) = told(&home.ok(&["key", "rotate", &id, "--grace", "1h", "--json"]).await);
    until_answered(&server, &next, 200).await;
    until_answered(&server, &key, 200).await;
    assert_eq!(shown(&home, &id).await["successor"], *next_id);
    let (last, _) = told(&home.ok(&["key", "rotate", &id, "--json"]).await);
    until_answered(&server, &key, 401).await;
    home.ok(&["key", "revoke", &next_id]).await;
    until_answered(&server, &next, 401).await;
    until_answered(&server, &last, 200).await;
    let said = home.cli(&["key", "enable", &next_id]).await;
    assert_eq!(said.code(), 1, "revoked is for good");
    for (event, times) in [("key.created", 2), ("key.rotated", 2), ("key.revoked", 1), ("key.changed", 2)] {
        assert_eq!(records::query(&home, &["--event", event]).await.len(), times, "{event}");
    }
    server.stopped().await;
    home.audit_verifies().await;
}

#[tokio::test]
async fn what_is_no_key_is_refused_and_nothing_is_printed() {
    let home = Home::new("key_refused");
    let with = |user: &'static str, permission: &'static str| {
        ["key", "create", "--user", user, "--name", "n", "--permission", permission]
    };
    home.ok(&["key", "list"]).await;
    let stores = store::open(&format!("sqlite:{}", home.data_dir().join("portcullis.db").display())).unwrap();
    for (name, active) in [("ada", true), ("gone", false)] {
        let user = User {
            id: Uuid::now_v7(),
            username: name.parse().unwrap(),
            roles: vec!["user".into()],
            active,
            created_at: Timestamp::now(),
            last_login: None,
        };
        stores.users.put(&user).await.unwrap();
    }
    for (verb, code, why) in [
        (&with("ci", "weather:raed")[..], 1, "no permission"),
        (&with("ci", "files:*"), 1, "no permission"),
        (&with("ada", "admin:users"), 1, "does not hold admin:users"),
        (&with("gone", "weather:read"), 1, "is disabled"),
        (&with("no name", "weather:read"), 2, "--user"),
        (&["key", "create", "--user", "ci", "--name", "n"], 2, "--permission"),
        (
            &["key", "create", "--user", "ci", "--name", "a\u{202e}b", "--permission", "weather:read"],
            2,
            "invisible",
        ),
        (&["key", "rotate", "019ab2c4-7d1e-7f00-8a3b-2f6c5d4e3b2a"], 1, "no key"),
        (&["key", "show", "7"], 2, "UUID"),
    ] {
        let said = home.cli(verb).await;
        assert_eq!((said.code(), said.out.as_str()), (code, ""), "{verb:?}: {}", said.err);
        assert!(said.err.contains(why), "{verb:?}: {}", said.err);
    }
    let said = home.cli(&with("ada", "files:read")).await;
    output::secret(said.out.trim());
    assert_eq!(said.code(), 0, "{}", said.err);

    // A store that takes nothing in: there is no key then, and none is printed.
    let holder = rusqlite::Connection::open(home.data_dir().join("portcullis.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let said = home.cli(&with("ada", "files:read")).await;
    assert_eq!((said.code(), said.out.as_str()), (1, ""), "{}", said.err);
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(home.ok(&["key", "list"]).await.lines().count(), 1);
}

#[tokio::test]
async fn what_a_key_may_is_explained_as_it_is_decided() {
    let home = Home::new("key_explain");
    let (_, id) = created(&home, "ci", "weather:read").await;
    let explained = |out: String| -> Vec<(String, bool)> {
        let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (line["tool"].as_str().unwrap().to_owned(), line["allowed"] == true)).collect()
    };
    let lines = explained(home.ok(&["policy", "explain", "--key", &id, "--json"]).await);
    assert!(lines.contains(&("get_weather".into(), true)) && lines.contains(&("list_users".into(), false)));
    home.ok(&["key", "revoke", &id]).await;
    let lines = explained(home.ok(&["policy", "explain", "--key", &id, "--json"]).await);
    assert!(lines.iter().all(|(_, allowed)| !allowed), "{lines:?}");
}

#[tokio::test]
async fn kill_9_costs_at_most_a_second_of_use() {
    let home = Home::for_load("key_kill");
    let (key, id) = created(&home, "ci", "weather:read").await;
    let mut answered: u64 = 0;
    for round in 0..3 {
        let server = Server::start(&home).await;
        let (caller, started) = (server.caller(Some(&key)), Instant::now());
        let mut times = Vec::new();
        // Not always at the same phase of a flush.
        while started.elapsed() < 2 * BOUND + Duration::from_millis(370 * (1 + round)) {
            assert_eq!(caller.weather("Oslo").await.unwrap().status, 200);
            times.push(Instant::now());
        }
        let killed = Instant::now();
        server.killed().await;
        let known = shown(&home, &id).await["usage_count"].as_u64().unwrap();
        // A flush begins each second, and takes a moment itself.
        let old = times.iter().filter(|time| **time + BOUND + Duration::from_millis(300) < killed).count();
        let least = answered + old as u64;
        let most = answered + times.len() as u64;
        assert!((least..=most).contains(&known), "{known} of {least} to {most}");
        output::figure(&format!("kill -9: {} of {} uses of a key lost", most - known, times.len()));
        answered = known;
    }
    let server = Server::start(&home).await;
    assert_eq!(server.caller(Some(&key)).weather("Oslo").await.unwrap().status, 200);
    server.stopped().await;
    assert_eq!(shown(&home, &id).await["usage_count"], answered + 1, "exact after a clean stop");
}

/// Mean and variance, nanoseconds.
fn moments(samples: &[f64]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    (mean, samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0))
}

#[tokio::test]
async fn a_wrong_key_takes_as_long_whatever_it_shares_with_a_real_one() {
    let home = Home::for_load("key_timing");
    let server = Server::start(&home).await;
    let (key, _) = created(&home, "ci", "weather:read").await;
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // One group differs from the key in its last letter alone, the other in its first.
    let near: Vec<String> = letters.chars().map(|letter| format!("{}{letter}", &key[..46])).collect();
    let far: Vec<String> = letters.chars().map(|letter| format!("mcp_{letter}{}", &key[5..])).collect();
    // All over one connection: with one each, those of a group would all be the same worker's.
    let caller = server.caller(None);
    let callers = [near, far].map(|group| {
        let wrong = group.into_iter().filter(|text| *text != key);
        wrong.map(|text| caller.with_token(&text)).collect::<Vec<_>>()
    });
    let rounds = if output::full() { 100_000 } else { 1_000 };
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        // Interleaved, and neither group always first.
        for group in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let caller = &callers[group][(round / 2) % callers[group].len()];
            let answer = caller.weather("Oslo").await.unwrap();
            assert_eq!((answer.status, answer.reason().as_str()), (401, "invalid_api_key"));
            samples[group].push(answer.took.as_nanos() as f64);
        }
    }
    let [near, far] = samples.map(|mut group| {
        // The slowest belong to the machine: a test beside this one, a flush of the disk.
        group.sort_by(f64::total_cmp);
        group.truncate(group.len() * 9 / 10);
        (moments(&group), group.len() as f64)
    });
    let apart = near.0.0 - far.0.0;
    let welch = apart / (near.0.1 / near.1 + far.0.1 / far.1).sqrt();
    output::figure(&format!(
        "wrong keys: near {:.0} ns, far {:.0} ns, Welch t {welch:.2} of {rounds} each",
        near.0.0, far.0.0
    ));
    assert!(apart.abs() < near.0.0 / 100.0 || welch.abs() < 4.5, "near {near:?}, far {far:?}, t {welch}");
}
