//! What an account is worth acts on tokens that are out already: within a second, on every worker.

use std::time::Duration;

use serde_json::json;

use super::support::{app::TestApp, rpc::Rpc, until};

/// The promise.
const BOUND: Duration = Duration::from_secs(1);

/// A call that takes `admin:users`.
fn listing() -> Rpc {
    Rpc::call("list_users", json!({}))
}

#[test]
fn a_disabled_account_is_refused_within_a_second_by_every_worker_and_comes_back_when_enabled() {
    let app = TestApp::start();
    app.account("ada", &["user"], true);
    let token = app.token("ada", "user");
    let mut connections: Vec<_> = (0..8).map(|_| app.connect()).collect();
    let weather = Rpc::weather().bearer(&token);
    for connection in &mut connections {
        weather.on(connection).result();
    }
    app.account("ada", &["user"], false);
    until("every worker refuses", BOUND, || {
        connections.iter_mut().all(|connection| weather.on(connection).status == 401)
    });
    let refused = weather.send(&app);
    refused.refused(401, -31401, "revoked_token");
    assert_eq!(app.record_of(&refused).reason.as_deref(), Some("revoked_token"));
    app.account("ada", &["user"], true);
    until("it is let in again", BOUND, || {
        connections.iter_mut().all(|connection| weather.on(connection).status == 200)
    });
}

#[test]
fn a_role_that_is_taken_away_is_gone_from_live_tokens_within_a_second() {
    let app = TestApp::start();
    app.account("ada", &["admin", "user"], true);
    let (token, _) = app.minted("ada", &["admin", "user"], &[], "tests");
    let mut connection = app.connect();
    listing().bearer(&token).on(&mut connection).result();
    app.account("ada", &["user"], true);
    until("the role is gone", BOUND, || listing().bearer(&token).on(&mut connection).status == 403);
    let weather = Rpc::weather().bearer(&token).on(&mut connection);
    weather.result();
    assert_eq!(app.record_of(&weather).principal.unwrap().roles, ["user"]);
}

#[test]
fn a_token_is_never_worth_more_than_its_account() {
    let app = TestApp::start();
    app.account("ada", &["user"], true);
    let (token, _) = app.minted("ada", &["admin"], &["admin:users", "weather:read"], "tests");
    until("the account is known", BOUND, || listing().bearer(&token).send(&app).status == 403);
    Rpc::weather().bearer(&token).send(&app).result();
}

#[test]
fn a_service_without_an_account_has_what_its_token_claims() {
    let app = TestApp::start();
    let (token, _) = app.minted("robot", &[], &["admin:users"], "tests");
    listing().bearer(&token).send(&app).result();
}

#[test]
fn accounts_are_known_from_the_first_request_of_a_restarted_server() {
    let app = TestApp::start();
    app.account("ada", &["user"], false);
    let token = app.token("ada", "user");
    let app = app.restart();
    Rpc::weather().bearer(&token).send(&app).refused(401, -31401, "revoked_token");
}

#[test]
fn a_token_that_is_narrower_than_its_account_is_told_which_scope_would_help() {
    let app = TestApp::start();
    app.account("ada", &["user"], true);
    until("the account is known", BOUND, || app.users.find("ada").is_some());
    let (narrow, _) = app.minted("ada", &[], &["files:read"], "tests");
    let refused = Rpc::weather().bearer(&narrow).send(&app);
    refused.refused(403, -31403, "insufficient_scope");
    assert_eq!(refused.json()["error"]["data"]["missing"], "weather:read");
    let challenge = refused.header("www-authenticate").unwrap();
    let expected = "Bearer error=\"insufficient_scope\", scope=\"weather:read\", \
                    resource_metadata=\"http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp\"";
    assert_eq!(challenge, expected);
    let record = app.record_of(&refused);
    assert_eq!((&*record.event, &*record.outcome), ("tool.denied", "denied"));
    assert_eq!(record.reason.as_deref(), Some("insufficient_scope"));

    let beyond = listing().bearer(&narrow).send(&app);
    beyond.refused(403, -31403, "forbidden");
    assert_eq!(beyond.header("www-authenticate"), None, "no scope would help");
    let service = app.minted("robot", &[], &["files:read"], "tests").0;
    Rpc::weather().bearer(&service).send(&app).refused(403, -31403, "forbidden");
}

#[test]
fn where_denied_tools_are_hidden_a_narrow_token_learns_nothing_of_them() {
    let app = TestApp::start_with(|settings| settings.policy.denied = portcullis::settings::Denied::Hide);
    app.account("ada", &["user"], true);
    until("the account is known", BOUND, || app.users.find("ada").is_some());
    let (narrow, _) = app.minted("ada", &[], &["files:read"], "tests");
    Rpc::weather().bearer(&narrow).send(&app).refused(200, -32602, "unknown_tool");
}

/// Changes the store behind everybody's back, and tells the feed `what`.
fn behind(app: &TestApp, change: &str, what: &str) {
    let url = app.settings.store.url.to_string();
    let store = rusqlite::Connection::open(url.strip_prefix("sqlite:").unwrap()).unwrap();
    store.busy_timeout(BOUND).unwrap();
    store.execute_batch(change).unwrap();
    let at = i64::try_from(portcullis::domain::Timestamp::now().micros()).unwrap();
    store.execute("INSERT INTO feed (at, what) VALUES (?1, ?2)", rusqlite::params![at, what]).unwrap();
}

#[test]
fn a_change_that_cannot_be_told_has_all_accounts_read_again() {
    let app = TestApp::start();
    app.account("ada", &["user"], true);
    until("the account is known", BOUND, || app.users.find("ada").is_some());
    let token = app.token("ada", "user");
    Rpc::weather().bearer(&token).send(&app).result();
    behind(&app, "UPDATE users SET active = 0 WHERE username = 'ada'", r#"{"kind":"of a newer version"}"#);
    until("it is disabled", BOUND, || Rpc::weather().bearer(&token).send(&app).status == 401);
}

#[test]
fn an_account_that_does_not_read_opens_nothing_and_keeps_nobody_else_out_and_that_heals() {
    let app = TestApp::start();
    for name in ["ada", "bob"] {
        app.account(name, &["user"], true);
        until("the account is known", BOUND, || app.users.find(name).is_some());
    }
    let [ada, bob] = ["ada", "bob"].map(|name| app.token(name, "user"));
    let served = |app: &TestApp| [&ada, &bob].map(|token| Rpc::weather().bearer(token).send(app).status);
    assert_eq!(served(&app), [200, 200]);
    let told = r#"{"kind":"user","what":"ada"}"#;
    behind(&app, "UPDATE users SET roles = '7' WHERE username = 'ada'", told);
    until("it opens nothing", BOUND, || served(&app) == [401, 200]);
    assert!(app.is_ready());
    assert!(app.metric("portcullis_store_unreadable_total{record=\"an account\"}") >= 1.0);
    // Whoever reads all of them, again or first, takes it for the same.
    behind(&app, "UPDATE users SET roles = '[7]' WHERE username = 'ada'", r#"{"kind":"of a newer version"}"#);
    let counted = || app.metric("portcullis_store_unreadable_total{record=\"an account\"}");
    until("all were read again", BOUND, || counted() >= 2.0);
    assert_eq!(served(&app), [401, 200]);
    let app = app.restart();
    assert_eq!(served(&app), [401, 200]);
    let healed = "UPDATE users SET roles = '[\"user\"]' WHERE username = 'ada'";
    behind(&app, healed, told);
    until("it heals", BOUND, || served(&app) == [200, 200] && app.is_ready());
}
