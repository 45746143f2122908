//! The store goes away: within two seconds nobody is let in whom it might have taken back, and afterwards
//! everybody is again.

use std::{fs, path::PathBuf, time::Duration};

use portcullis::{settings::OnStoreLoss, store::RevocationTarget};

use super::support::{SOON, app::TestApp, block_on, http::Connection, rpc::Rpc, until};

/// A look may be one bound old when the store is lost, and its loss takes one look to be seen.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

fn database(app: &TestApp) -> PathBuf {
    app.dir().join("portcullis.db")
}

/// Takes the database away; gives the place it is kept at meanwhile.
fn lose(app: &TestApp) -> PathBuf {
    let aside = app.dir().join("aside.db");
    fs::rename(database(app), &aside).unwrap();
    aside
}

fn status(connection: &mut Connection, token: &str) -> u16 {
    Rpc::weather().bearer(token).on(connection).status
}

#[test]
fn under_deny_a_lost_store_lets_nobody_in_and_a_found_one_everybody() {
    let app = TestApp::start();
    let (token, fresh) = (app.token("ada", "user"), app.token("bob", "user"));
    let mut connection = app.connect();
    Rpc::weather().bearer(&token).on(&mut connection).result();
    assert!(app.is_ready());

    let aside = lose(&app);
    until("nobody is let in", NOTICED_WITHIN, || status(&mut connection, &token) == 503);
    for token in [&token, &fresh] {
        let reply = Rpc::weather().bearer(token).on(&mut connection);
        reply.refused(503, -31503, "store_unavailable");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.json()["error"]["data"]["retryAfterMs"], 1_000);
        let record = app.record_of(&reply);
        assert_eq!(record.reason.as_deref(), Some("store_unavailable"));
        assert_eq!(record.event, "request.served", "what cannot be checked has not failed");
    }
    // Those who show nothing, or nonsense, are told what is wrong with it only as far as that is known.
    Rpc::weather().on(&mut connection).refused(401, -31401, "missing_credential");
    let ready = app.get("/health/ready");
    assert_eq!(ready.status, 503);
    let checks = &ready.json()["checks"];
    assert_eq!((&checks["store"], &checks["revocation"]), (&false.into(), &false.into()));
    assert_eq!(app.get("/health").status, 200);
    assert!(app.metric("portcullis_revocation_staleness_seconds") > 1.0);
    assert!(app.metric("portcullis_store_errors_total{op=\"feed\"}") >= 1.0);
    app.awaited("store.lost", "failed", SOON);

    fs::rename(aside, database(&app)).unwrap();
    until("everybody is let in again", NOTICED_WITHIN, || status(&mut connection, &token) == 200);
    until("all is well", NOTICED_WITHIN, || app.is_ready());
    app.awaited("store.recovered", "ok", SOON);
}

#[test]
fn another_file_in_its_place_is_not_the_store() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    Rpc::weather().bearer(&token).on(&mut connection).result();
    let aside = lose(&app);
    fs::copy(&aside, database(&app)).unwrap();
    until("nobody is let in", NOTICED_WITHIN, || status(&mut connection, &token) == 503);
    fs::rename(aside, database(&app)).unwrap();
    until("everybody is let in again", NOTICED_WITHIN, || status(&mut connection, &token) == 200);
}

#[test]
fn a_store_that_somebody_holds_locked_takes_no_revocation_and_says_so() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    Rpc::weather().bearer(&token).on(&mut connection).result();
    let holder = rusqlite::Connection::open(database(&app)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Revoking waits for the writer and fails; whoever asked is told so, and nothing else stops.
    let target = RevocationTarget::Jti("x".into());
    let revoked = block_on(app.tokens.revoke(target, Duration::from_secs(60)));
    assert!(revoked.is_err(), "a locked store cannot have taken a revocation");
    assert_eq!(app.metric("portcullis_store_errors_total{op=\"revocations.revoke\"}"), 1.0);
    assert_eq!(status(&mut connection, &token), 200, "readers go on beside a writer, and know everything");
    holder.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn under_grace_a_lost_store_is_borne_for_so_long_and_no_longer() {
    const GRACE: Duration = Duration::from_millis(800);
    let app = TestApp::start_with(|settings| {
        settings.revocation.on_store_loss = OnStoreLoss::Grace;
        settings.revocation.grace = GRACE;
    });
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    Rpc::weather().bearer(&token).on(&mut connection).result();
    let _aside = lose(&app);
    until("the loss is noticed", NOTICED_WITHIN, || {
        app.get("/health/ready").json()["checks"]["store"] == false
    });
    let mut served_while_stale = false;
    until("the grace ends", NOTICED_WITHIN + GRACE, || {
        let stale = app.metric("portcullis_revocation_staleness_seconds") > 1.05;
        let status = status(&mut connection, &token);
        served_while_stale |= stale && status == 200;
        status == 503
    });
    assert!(served_while_stale, "grace was not given");
}

#[test]
fn under_unsafe_allow_a_lost_store_stops_nobody_and_readiness_says_so() {
    let app = TestApp::start_with(|settings| settings.revocation.on_store_loss = OnStoreLoss::UnsafeAllow);
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    let _aside = lose(&app);
    until("the loss is old", SOON, || app.metric("portcullis_revocation_staleness_seconds") > 1.5);
    assert_eq!(status(&mut connection, &token), 200);
    let ready = app.get("/health/ready");
    assert_eq!((ready.status, &ready.json()["checks"]["store"]), (503, &false.into()));
    assert!(app.settings.weakenings().iter().any(|name| name.contains("revocation")));
}
