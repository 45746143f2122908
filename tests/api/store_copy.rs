//! `portcullis store copy`: what was given out before a move holds after it, and a copy that was killed goes on.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use portcullis::{
    app::AppError,
    domain::{ApiKey, ApiKeySecret, KeyId, KeyState, Timestamp},
    settings::{Settings, StoreUrl},
    store::{
        RevocationTarget,
        moving::{Mark, Record},
    },
};
use serde_json::Value;

use super::{
    nodes::Node,
    support::{
        SOON,
        app::{TestApp, refusal, without_limits},
        auth::{PASSWORD, Pair},
        block_on, keys, output,
        rpc::Rpc,
        until,
    },
};

const HOUR: Duration = Duration::from_hours(1);
/// How long a copy may take here.
const PATIENCE: Duration = Duration::from_secs(120);

fn redis() -> (Node, String) {
    let node = Node::start("save \"\"", &[]);
    let url = format!("redis://127.0.0.1:{}", node.port);
    (node, url)
}

fn on(url: &str) -> impl FnOnce(&mut Settings) + use<> {
    let url = StoreUrl::parse(url).unwrap();
    move |settings| settings.store.url = url
}

/// What a copy said of itself.
fn said(printed: &str) -> Value {
    let said: Value = serde_json::from_str(printed).unwrap();
    assert_eq!(said["verified"], true, "{said}");
    for kind in said["kinds"].as_array().unwrap() {
        assert_eq!(kind["source"], kind["target"], "{said}");
    }
    said
}

fn count(said: &Value, kind: &str, what: &str) -> u64 {
    let kinds = said["kinds"].as_array().unwrap();
    let one = kinds.iter().find(|one| one["kind"] == kind).unwrap();
    one.pointer(what).and_then(Value::as_u64).unwrap()
}

/// What somebody has been given by a server.
struct Given {
    pair: Pair,
    key: (String, KeyId),
    disabled: String,
    revoked: String,
    uses: u64,
}

fn give(app: &TestApp) -> Given {
    app.person("ann", &["user"]);
    let first = Pair::of(&app.login("ann", PASSWORD));
    let pair = Pair::of(&app.refresh(&first.refresh));
    let (revoked, jti) = app.minted("ada", &["user"], &[], "desk");
    block_on(app.tokens.revoke(RevocationTarget::Jti(jti), HOUR)).unwrap();
    let (text, key) = app.key("ci-service", &["weather:read"]);
    let (disabled, other) = app.key("ci-service", &["weather:read"]);
    app.set_key(other.id, KeyState::Disabled);
    let given = Given { pair, key: (text, key.id), disabled, revoked, uses: 0 };
    used(app, given)
}

/// Uses the key three times more, and waits until that is written down.
fn used(app: &TestApp, mut given: Given) -> Given {
    (0..3).for_each(|_| assert_eq!(Rpc::weather().bearer(&given.key.0).send(app).status, 200));
    given.uses += 3;
    until("all uses are counted", SOON, || app.key_now(given.key.1).usage_count == given.uses);
    given
}

/// Everything is as it was, and goes on.
fn holds(app: &TestApp, given: Given) -> Given {
    let status = |credential: &str| Rpc::weather().bearer(credential).send(app).status;
    assert_eq!(app.key_now(given.key.1).usage_count, given.uses, "what was counted before");
    assert_eq!(
        [status(&given.pair.access), status(&given.revoked), status(&given.disabled)],
        [200, 401, 401]
    );
    let given = used(app, given);
    let before = given.pair.refresh.clone();
    let pair = Pair::of(&app.refresh(&before));
    assert_eq!(Pair::of(&app.refresh(&before)), pair, "the same pair again");
    assert_eq!(status(&pair.access), 200);
    Pair::of(&app.login("ann", PASSWORD));
    Given { pair, ..given }
}

#[test]
fn what_was_given_out_holds_after_a_move_to_redis_and_after_the_way_back() {
    let (_node, url) = redis();
    let mut app = TestApp::start_with(without_limits);
    let given = give(&app);
    let refused = app.refuses(&["store", "copy", "--to", &url], "");
    assert!(refused.contains("is served by another process"), "{refused}");
    app.stop();
    let identity = std::fs::read_to_string(app.dir().join("keys/store.id")).unwrap();
    let copy = said(&app.does(&["store", "copy", "--to", &url, "--json"], ""));
    let counts = ["accounts", "api_keys", "refresh_families"].map(|kind| count(&copy, kind, "/target/count"));
    assert_eq!((counts, &copy["resumed"]), ([2, 2, 1], &Value::Bool(false)));

    let mut app = app.restart_with(on(&url));
    let given = holds(&app, given);
    app.stop();
    let back = format!("sqlite:{}", app.dir().join("back.db").display());
    // The server has just left; the fleet's list still has it for a moment.
    let table = app.does(&["store", "copy", "--from", &url, "--to", "sqlite:<data_dir>/back.db"], "");
    assert!(table.contains("refresh families") && !table.contains('≠'), "{table}");
    let app = app.restart_with(on(&back));
    holds(&app, given);
    assert_eq!(std::fs::read_to_string(app.dir().join("keys/store.id")).unwrap(), identity);
    let record = serde_json::to_value(app.awaited("alert.raised", "ok", SOON)).unwrap();
    assert_eq!((&record["reason"], &record["principal"]["id"]), (&"store_copied".into(), &"operator".into()));
    assert_eq!(record["detail"]["to"], url, "{record}");
}

/// So many keys in the store of a server, put there at once.
fn with_many_keys(app: &TestApp, many: usize) {
    let stores = app.stores();
    let mark = Mark::new("many".into());
    block_on(stores.moving.mark_as(&mark)).unwrap();
    let (_, model) = keys::request("ci-service", &["weather:read"]).mint(Timestamp::now()).unwrap();
    let record = |n: usize| {
        let digest = ApiKeySecret::generate().unwrap().digest();
        let key = ApiKey { id: KeyId::new(), usage_count: n as u64, ..model.clone() };
        Record::Key { digest, key: Box::new(key), told_ended: false }
    };
    block_on(stores.moving.put_all(&mark, (0..many).map(record).collect())).unwrap();
    block_on(stores.moving.unmark(&mark)).unwrap();
}

/// A copy in a process of its own.
fn spawned(app: &TestApp, url: &str) -> Child {
    let secret = std::str::from_utf8(app.settings.jwt.secret.as_ref().unwrap().expose()).unwrap().to_owned();
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["store", "copy", "--settings", concat!(env!("CARGO_MANIFEST_DIR"), "/settings")])
        .env("PORTCULLIS_COPY_TO", url)
        .env("PORTCULLIS__DATA_DIR", app.dir())
        .env("JWT_SECRET_KEY", secret)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_copy_that_is_killed_serves_nobody_and_goes_on_where_it_was() {
    const MANY: usize = 12_000;
    let (node, url) = redis();
    let mut app = TestApp::start_with(without_limits);
    let given = give(&app);
    app.stop();
    with_many_keys(&app, MANY);
    let copied = || node.ask("ZCARD portcullis:api_keys").unwrap()[1..].parse::<usize>().unwrap();
    for part in [1, MANY / 3, 2 * MANY / 3, MANY] {
        let mut copy = spawned(&app, &url);
        until("so many are copied", PATIENCE, || copied() >= part || copy.try_wait().unwrap().is_some());
        assert!(copy.try_wait().unwrap().is_none(), "it was over before it could be killed");
        // That is SIGKILL.
        copy.kill().unwrap();
        copy.wait().unwrap();
        assert_eq!(node.ask("EXISTS portcullis:copying").as_deref(), Some(":1"));
        let mut settings = app.settings.clone();
        on(&url)(&mut settings);
        assert!(matches!(refusal(&settings, Vec::new()), AppError::HalfCopied));
        let verb = ["user", "list", "--set", &format!("store.url={url}")];
        assert!(app.refuses(&verb, "").contains("the unfinished copy of another one"));
    }
    // Meanwhile the old store is in use again, and somebody is locked out there.
    let app = app.restart();
    let (late, jti) = app.minted("ada", &["user"], &[], "desk");
    block_on(app.tokens.revoke(RevocationTarget::Jti(jti), HOUR)).unwrap();
    let mut app = app;
    app.stop();
    let copy = said(&app.does(&["store", "copy", "--to", &url, "--json"], ""));
    assert_eq!(copy["resumed"], true);
    assert_eq!(count(&copy, "api_keys", "/target/count"), MANY as u64 + 2);
    assert!(count(&copy, "api_keys", "/kept") >= MANY as u64 / 2, "{copy}");
    let app = app.restart_with(on(&url));
    assert_eq!(Rpc::weather().bearer(&late).send(&app).status, 401);
    let given = holds(&app, given);
    assert_eq!(app.key_now(given.key.1).usage_count, 6, "no use was counted twice");
}

#[test]
fn a_password_in_a_url_is_shown_nowhere() {
    let hidden = "hunter2-is-shown-nowhere";
    output::secret(hidden);
    let node = Node::start(&format!("save \"\"\nrequirepass {hidden}"), &[]);
    let url = format!("redis://:{hidden}@127.0.0.1:{}", node.port);
    let mut app = TestApp::start();
    app.stop();
    let file = app.dir().join("redis-url");
    std::fs::write(&file, format!("{url}\n")).unwrap();
    let file = file.to_str().unwrap();
    let runs = [
        app.cli(&["store", "copy", "--to-file", file], ""),
        app.cli(&["store", "copy", "--to-file", file], ""),
        app.cli(&["store", "copy", "--to", &url, "--json"], ""),
        app.cli(&["store", "copy", "--to", &url.replace("redis://", "valkey://")], ""),
        app.cli(&["store", "copy", "--to", &url, "--to-file", file], ""),
        app.cli(&["store", "copy", "--to", &url, "--nonsense"], ""),
        app.cli(&["store", "copy", "--from", &format!("{url}x/1"), "--to", "sqlite:<data_dir>/x.db"], ""),
    ];
    let codes = runs.each_ref().map(|run| run.status.code().unwrap());
    let texts =
        runs.map(|run| [run.stdout, run.stderr].map(|text| String::from_utf8(text).unwrap()).concat());
    assert_eq!(codes, [0, 1, 1, 1, 2, 2, 1], "{texts:#?}");
    assert!(texts[0].contains(&format!("redis://127.0.0.1:{} holds", node.port)), "{}", texts[0]);
    assert!(texts[1].contains("is not empty"), "{}", texts[1]);
    app.awaited("alert.raised", "error", SOON);
    let log = std::fs::read_dir(app.dir().join("audit")).unwrap().flatten().map(|slot| slot.path());
    let log: Vec<String> = log.flat_map(|slot| lines(&slot)).collect();
    assert!(log.iter().any(|text| text.contains("store_copied")));
    assert!(texts.iter().chain(&log).all(|text| !text.contains(hidden)), "it is shown");
}

/// The texts of the files in a folder.
fn lines(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect()
}

#[test]
fn what_is_no_store_to_copy_from_or_to_is_refused() {
    let (_node, url) = redis();
    let mut app = TestApp::start();
    app.stop();
    let own = app.settings.store.url.to_string();
    for (arguments, reason) in [
        (&["--to", &*own][..], "both are the same store"),
        (&["--to", "memory:"], "--to: memory: ends with this command"),
        (&["--to", "bills"], "--to: has no scheme"),
        (&["--from", "sqlite:<data_dir>/none.db", "--to", &url], "a file that is not there"),
        (&["--from", &url, "--to", "sqlite:<data_dir>/x.db"], "has never been used"),
        (&["--from-file", "/nowhere/at/all", "--to", &url], "--from-file: /nowhere/at/all cannot be read"),
        (
            &["--set", "store.key_prefix=", "--to", &url.replace("redis:", "redis+cluster:")],
            "must not be empty",
        ),
    ] {
        let arguments = [&["store", "copy"][..], arguments].concat();
        let said = app.refuses(&arguments, "");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    assert!(!app.dir().join("none.db").exists());
    assert_eq!(app.cli(&["store", "copy"], "").status.code(), Some(2), "where to?");
    // What was refused has left no mark: it can still be used.
    drop(said(&app.does(&["store", "copy", "--to", &url, "--json"], "")));
}
