//! What was taken back is refused within a second: by every worker, on every connection, after a restart.

use std::time::Duration;

use portcullis::{
    actors::tokens::REVOCATION_BOUND,
    domain::Timestamp,
    store::{self, Revocation, RevocationTarget, Stores},
};

use super::support::{app::TestApp, block_on, http::Connection, pause, rpc::Rpc, until};

/// The store of a server, opened as another process would.
fn elsewhere(app: &TestApp) -> Stores {
    store::open(&app.settings.store.url.to_string()).unwrap()
}

/// Takes back what `target` names, in the store and nowhere else.
fn revoke(stores: &Stores, target: RevocationTarget) {
    let now = Timestamp::now();
    let revocation = Revocation { target, at: now, until: now.plus(Duration::from_secs(600)) };
    block_on(stores.revocations.revoke(&revocation)).unwrap();
}

/// Connections on every worker: actix hands them out in turns.
fn everywhere(app: &TestApp) -> Vec<Connection> {
    (0..4 * app.settings.server.workers).map(|_| app.connect()).collect()
}

/// Holds that every connection comes to refuse `token`, all of them within the bound, and for good.
fn refused_everywhere(connections: &mut [Connection], token: &str) {
    let rpc = Rpc::weather().bearer(token);
    until("the revocation is in force everywhere", REVOCATION_BOUND, || {
        connections.iter_mut().all(|connection| {
            let reply = rpc.on(connection);
            reply.status == 401 && reply.reason() == "revoked_token"
        })
    });
    for connection in connections {
        rpc.on(connection).refused(401, -31401, "revoked_token");
    }
}

fn works_everywhere(connections: &mut [Connection], token: &str) {
    for connection in connections {
        Rpc::weather().bearer(token).on(connection).result();
    }
}

#[test]
fn a_token_taken_back_by_another_process_is_refused_everywhere_within_a_second() {
    let app = TestApp::start_roomy();
    let ((token, jti), (other, _)) =
        (app.minted("ada", &["user"], &[], "desk"), app.minted("ada", &["user"], &[], "desk"));
    let mut connections = everywhere(&app);
    works_everywhere(&mut connections, &token);
    revoke(&elsewhere(&app), RevocationTarget::Jti(jti));
    refused_everywhere(&mut connections, &token);
    works_everywhere(&mut connections, &other);
}

#[test]
fn a_user_taken_back_may_come_again_with_a_new_token() {
    let app = TestApp::start_roomy();
    let (token, other) = (app.token("ada", "user"), app.token("bob", "user"));
    let mut connections = everywhere(&app);
    works_everywhere(&mut connections, &token);
    let stores = elsewhere(&app);
    revoke(&stores, RevocationTarget::Subject("ada".into()));
    // Ids of tokens count milliseconds: the next one is a later token.
    pause(Duration::from_millis(2));
    let fresh = app.token("ada", "user");
    refused_everywhere(&mut connections, &token);
    works_everywhere(&mut connections, &fresh);
    works_everywhere(&mut connections, &other);
}

#[test]
fn a_client_taken_back_takes_the_tokens_of_all_its_users() {
    let app = TestApp::start_roomy();
    let token = |user, client| app.minted(user, &["user"], &[], client).0;
    let (one, two, safe) = (token("ada", "lost-phone"), token("bob", "lost-phone"), token("ada", "desk"));
    let mut connections = everywhere(&app);
    works_everywhere(&mut connections, &one);
    revoke(&elsewhere(&app), RevocationTarget::Client("lost-phone".into()));
    refused_everywhere(&mut connections, &one);
    refused_everywhere(&mut connections, &two);
    works_everywhere(&mut connections, &safe);
}

#[test]
fn a_token_that_no_worker_has_seen_is_refused_at_first_sight() {
    let app = TestApp::start_roomy();
    let (token, jti) = app.minted("ada", &["user"], &[], "desk");
    revoke(&elsewhere(&app), RevocationTarget::Jti(jti));
    refused_everywhere(&mut everywhere(&app), &token);
}

#[test]
fn what_the_server_itself_takes_back_is_refused_at_once() {
    let app = TestApp::start_roomy();
    let (token, jti) = app.minted("ada", &["user"], &[], "desk");
    let mut connections = everywhere(&app);
    works_everywhere(&mut connections, &token);
    block_on(app.tokens.revoke(RevocationTarget::Jti(jti), Duration::from_secs(600))).unwrap();
    for connection in &mut connections {
        Rpc::weather().bearer(&token).on(connection).refused(401, -31401, "revoked_token");
    }
}

#[test]
fn a_restart_forgets_no_revocation() {
    let app = TestApp::start_roomy();
    let ((token, jti), other) = (app.minted("ada", &["user"], &[], "desk"), app.token("bob", "user"));
    block_on(app.tokens.revoke(RevocationTarget::Jti(jti), Duration::from_secs(600))).unwrap();
    let app = app.restart();
    Rpc::weather().bearer(&token).send(&app).refused(401, -31401, "revoked_token");
    Rpc::weather().bearer(&other).send(&app).result();
}

#[test]
fn many_revocations_at_once_all_arrive() {
    let app = TestApp::start_roomy();
    let tokens: Vec<_> = (0..200).map(|n| app.minted(&format!("u{n}"), &["user"], &[], "desk")).collect();
    let mut connection = app.connect();
    for (token, _) in &tokens {
        Rpc::weather().bearer(token).on(&mut connection).result();
    }
    let stores = elsewhere(&app);
    tokens.iter().for_each(|(_, jti)| revoke(&stores, RevocationTarget::Jti(jti.clone())));
    for (token, _) in &tokens {
        until("each is in force", REVOCATION_BOUND, || {
            Rpc::weather().bearer(token).on(&mut connection).status == 401
        });
    }
}
