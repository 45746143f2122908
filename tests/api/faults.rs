//! Actors panic under load: nobody unauthorised passes, every answer is on record, service is back at once.

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use portcullis::actors::audit::{self, Filter};

use super::support::{
    Stops,
    app::{TestApp, without_limits},
    auth::PASSWORD,
    block_on,
    http::{Connection, Reply},
    rpc::Rpc,
    until,
};

/// The promise: back within this of the fault.
const BACK_WITHIN: Duration = Duration::from_secs(1);
/// Panics of one actor in one test.
const FAULTS: u32 = 5;
/// Callers at once.
const CALLERS: usize = 8;

/// What one caller was answered: how often with what, and the ids of its results.
#[derive(Debug, Default)]
struct Seen {
    kinds: BTreeMap<String, u64>,
    served: Vec<String>,
}

impl Seen {
    fn note(&mut self, reply: &Reply) {
        let served = reply.status == 200 && reply.json()["result"].is_object();
        let kind = if served { "served".to_owned() } else { format!("{} {}", reply.status, reply.reason()) };
        *self.kinds.entry(kind).or_default() += 1;
        if served {
            self.served.push(reply.header("x-request-id").unwrap().to_owned());
        }
    }
}

/// Calls until told to stop, on a new connection whenever the old one ends.
fn load(app: &TestApp, token: Option<&str>, stop: &AtomicBool) -> Seen {
    let rpc = token.map_or_else(Rpc::weather, |token| Rpc::weather().bearer(token));
    let (mut seen, mut connection) = (Seen::default(), app.connect());
    while !stop.load(Ordering::SeqCst) {
        connection.try_send(rpc.bytes());
        match connection.try_reply() {
            Some(reply) => seen.note(&reply),
            None => connection = app.connect(),
        }
    }
    seen
}

/// Lets `actor` panic again and again under load, and holds the promises.
fn panics_under_load(actor: &str) {
    let app = TestApp::start_roomy();
    let good = app.token("ada", "user");
    let (key, _) = app.key("ada", &["weather:read"]);
    let (revoked, jti) = app.minted("mallory", &["user"], &[], "tests");
    block_on(app.tokens.revoke(portcullis::store::RevocationTarget::Jti(jti), Duration::from_secs(600)))
        .unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{message}.{other}{}", &signature[1..]);
    let stop = AtomicBool::new(false);
    let (mut callers, mut strangers) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let spawn = |token: Option<String>| {
            let (app, stop) = (&app, &stop);
            scope.spawn(move || load(app, token.as_deref(), stop))
        };
        let running: Vec<_> =
            (0..CALLERS).map(|n| spawn(Some(if n % 2 == 0 { &good } else { &key }.clone()))).collect();
        let refused = [None, Some(revoked), Some(forged)].map(spawn);
        let stops = Stops(&stop);
        for n in 1..=FAULTS {
            app.fault(actor);
            let faulted = Instant::now();
            until("one panic, one restart", BACK_WITHIN, || restarts(&app, actor) >= f64::from(n));
            until("the house is ready", BACK_WITHIN.saturating_sub(faulted.elapsed()), || app.is_ready());
            Rpc::weather().bearer(&good).send(&app).result();
            assert!(faulted.elapsed() < BACK_WITHIN);
        }
        drop(stops);
        callers.extend(running.into_iter().map(|caller| caller.join().unwrap()));
        strangers.extend(refused.into_iter().map(|caller| caller.join().unwrap()));
    });
    assert!((restarts(&app, actor) - f64::from(FAULTS)).abs() < 0.5, "one panic, one restart");
    hold(&app, &callers, &strangers);
}

fn hold(app: &TestApp, callers: &[Seen], strangers: &[Seen]) {
    for stranger in strangers {
        assert!(!stranger.kinds.is_empty());
        let fair = |kind: &String| kind.starts_with("401 ") || kind.starts_with("503 ");
        assert!(stranger.kinds.keys().all(fair), "{:?}", stranger.kinds);
    }
    for caller in callers {
        let fair = |kind: &String| kind == "served" || kind.starts_with("503 ");
        assert!(caller.kinds.keys().all(fair), "{:?}", caller.kinds);
        assert!(!caller.served.is_empty());
    }
    let called =
        Filter { event: Some("tool.called".into()), outcome: Some("ok".into()), ..Filter::default() };
    let recorded: HashSet<String> = app.records(called).into_iter().filter_map(|r| r.request_id).collect();
    let missing =
        callers.iter().flat_map(|caller| &caller.served).filter(|id| !recorded.contains(*id)).count();
    assert_eq!(missing, 0, "answered and not recorded");
    let report = audit::verify(app.dir(), None).unwrap();
    assert!(report.ok(), "{:?}", report.problems);
}

fn restarts(app: &TestApp, actor: &str) -> f64 {
    app.metric(&format!("portcullis_actor_restarts_total{{actor=\"{actor}\"}}"))
}

#[test]
fn the_jwt_manager_panics_under_load() {
    panics_under_load("tokens");
}

#[test]
fn the_keeper_of_accounts_panics_under_load() {
    panics_under_load("users");
}

#[test]
fn the_actor_of_the_keys_panics_under_load() {
    panics_under_load("api_keys");
}

#[test]
fn the_audit_writer_panics_under_load() {
    panics_under_load("audit");
}

#[test]
fn the_feed_reader_panics_under_load() {
    panics_under_load("feed");
}

#[test]
fn the_reader_of_the_log_panics_under_load() {
    panics_under_load("insight");
}

#[test]
fn logins_fail_closed_while_the_keeper_of_accounts_dies_and_work_again_at_once() {
    let app = TestApp::start_with(without_limits);
    app.person("ann", &["user"]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let faults = scope.spawn(|| {
            let _stops = Stops(&stop);
            for n in 1..=FAULTS {
                app.fault("users");
                until("one panic, one restart", BACK_WITHIN, || restarts(&app, "users") >= f64::from(n));
            }
        });
        while !stop.load(Ordering::SeqCst) {
            let wrong = app.login("ann", "wrong horse battery");
            // A wait is a 429: a panic forgives no tries.
            assert!(matches!(wrong.status, 401 | 429 | 503), "{}", wrong.text());
        }
        faults.join().unwrap();
    });
    assert!(app.users.find("ann").is_some());
    until("it logs in", Duration::from_secs(5), || app.login("ann", PASSWORD).status == 200);
}

#[test]
fn the_limiter_panics_under_load() {
    panics_under_load("limiter");
}

#[test]
fn a_new_address_that_finds_the_limiter_down_is_refused_on_record() {
    let app = TestApp::start();
    let (mut host, mut refused) = (0, None);
    until("somebody finds it down", BACK_WITHIN * 20, || {
        let mut strangers: Vec<_> = (0..8)
            .map(|_| {
                host += 1;
                app.connect_from(&format!("127.1.{}.{}", host / 250, host % 250 + 1))
            })
            .collect();
        app.fault("limiter");
        let asked = "GET /nothing HTTP/1.1\r\nhost: localhost\r\nuser-agent: stranger\r\n\r\n";
        strangers.iter_mut().for_each(|stranger| stranger.send(asked));
        refused = strangers.iter_mut().map(Connection::reply).find(|reply| reply.status == 503);
        refused.is_some()
    });
    let reply = refused.unwrap();
    assert_eq!((&*reply.reason(), reply.header("retry-after")), ("overloaded", Some("1")));
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.outcome), ("request.served", "failed"));
    assert_eq!((record.reason.as_deref(), record.path.as_deref()), (Some("overloaded"), Some("/nothing")));
    assert!(record.ip.unwrap().starts_with("127.1."));
}

#[test]
fn a_revocation_made_while_actors_die_is_in_force_within_a_second_all_the_same() {
    let app = TestApp::start();
    let (token, jti) = app.minted("ada", &["user"], &[], "tests");
    Rpc::weather().bearer(&token).send(&app).result();
    app.fault("feed");
    app.fault("tokens");
    let stores = portcullis::store::open(&app.settings.store.url.to_string()).unwrap();
    let now = portcullis::domain::Timestamp::now();
    let target = portcullis::store::RevocationTarget::Jti(jti);
    let revocation =
        portcullis::store::Revocation { target, at: now, until: now.plus(Duration::from_secs(600)) };
    block_on(stores.revocations.revoke(&revocation)).unwrap();
    let mut connection = app.connect();
    let refused = |reply: &Reply| reply.status == 401 && reply.reason() == "revoked_token";
    until("it is in force", BACK_WITHIN, || refused(&Rpc::weather().bearer(&token).on(&mut connection)));
}

#[test]
fn faults_cannot_be_asked_for_unless_the_setting_says_so_and_never_on_the_main_listener() {
    let app = TestApp::start_with(|settings| settings.admin.unsafe_faults = false);
    assert_eq!(app.admin("POST", "/admin/faults/tokens").status, 404);
    let open = TestApp::start();
    assert_eq!(open.admin("POST", "/admin/faults/nobody").status, 404);
    let mut connection = open.connect();
    connection.send("POST /admin/faults/tokens HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(connection.reply().status, 404);
}
