//! A fleet whose Redis is emptied, or loses what it had not handed on: what was revoked stays revoked, everywhere, always.

use std::time::{Duration, Instant};

use portcullis::{
    app::AppError,
    settings::{Settings, StoreUrl},
    store::{self, RevocationTarget},
};
use serde_json::Value;

use super::{
    fleet::fleet_with,
    nodes::Node,
    support::{
        app::{TestApp, refusal},
        block_on,
        http::Connection,
        rpc::Rpc,
        until,
    },
};

/// How long it may take until servers have gone over to an adopted store.
const OVER_WITHIN: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3_600);

fn fleet<const N: usize>(url: &str) -> [TestApp; N] {
    fleet_with(url, |_| {})
}

fn url(node: &Node) -> String {
    format!("redis://127.0.0.1:{}", node.port)
}

fn status(connection: &mut Connection, credential: &str) -> u16 {
    Rpc::weather().bearer(credential).on(connection).status
}

impl TestApp {
    fn revoke(&self, jti: &str) {
        block_on(self.tokens.revoke(RevocationTarget::Jti(jti.into()), HOUR)).unwrap();
    }

    /// Whether that is on its own disk as revoked.
    fn has_kept(&self, jti: &str) -> bool {
        std::fs::read_to_string(self.dir().join("keys/revocations")).is_ok_and(|text| text.contains(jti))
    }

    /// What `store adopt` prints.
    fn adopts(&self, arguments: &[&str], succeeds: bool) -> Value {
        let StoreUrl::Redis(url) = &self.settings.store.url else { panic!("no Redis") };
        let set = format!("store.url={}", url.expose());
        let all = [&["--set", &set, "store", "adopt", "--json"], arguments].concat();
        let output = self.cli(&all, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), succeeds, "{said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"))
    }
}

#[test]
fn after_a_redis_was_emptied_and_adopted_everybody_serves_again_and_what_was_revoked_stays_so() {
    let node = Node::start("save \"\"", &[]);
    let [one, other, mut away] = fleet(&url(&node));
    let (good, _) = one.minted("ada", &["user"], &[], "desk");
    let (bad, jti) = one.minted("ada", &["user"], &[], "desk");
    let (key, _) = one.key("ci-service", &["weather:read"]);
    let mut connections = [one.connect(), other.connect()];
    assert!(connections.iter_mut().all(|c| status(c, &bad) == 200 && status(c, &key) == 200));
    one.revoke(&jti);
    until("all refuse it", OVER_WITHIN, || connections.iter_mut().all(|c| status(c, &bad) == 401));
    until("it is kept on the disk too", OVER_WITHIN, || one.has_kept(&jti));
    until("the one that goes away knows", OVER_WITHIN, || status(&mut away.connect(), &bad) == 401);
    away.stop();

    node.ask("FLUSHALL").unwrap();
    // For a second they may go by what they heard last.
    let is_stale = |app: &TestApp| app.metric("portcullis_revocation_staleness_seconds") > 1.0;
    until("nobody is let in", OVER_WITHIN, || {
        is_stale(&one) && is_stale(&other) && connections.iter_mut().all(|c| status(c, &good) == 503)
    });
    assert!(matches!(refusal(&away.settings, Vec::new()), AppError::OtherStore(_)), "nor does one start");
    let said = one.adopts(&[], false);
    assert_eq!((&said["adopted"], &said["known_revocations"]), (&false.into(), &1.into()), "{said}");
    assert_eq!(said["there"]["revocations"], 0, "nothing was changed");
    assert_eq!(connections.each_mut().map(|c| status(c, &good)), [503, 503], "nor is anybody let in");

    let said = one.adopts(&["--yes"], true);
    assert_eq!((&said["adopted"], &said["restored"]), (&true.into(), &1.into()), "{said}");
    let deadline = Instant::now() + OVER_WITHIN;
    let mut over = false;
    while !over {
        assert!(Instant::now() < deadline, "nobody goes over");
        assert!(connections.iter_mut().all(|c| status(c, &bad) != 200), "a revoked token was let in");
        over = connections.iter_mut().all(|c| status(c, &good) == 200);
    }
    until("the key is gone", OVER_WITHIN, || connections.iter_mut().all(|c| status(c, &key) == 401));
    assert!(connections.iter_mut().all(|c| status(c, &bad) == 401));
    until("all is well", OVER_WITHIN, || one.is_ready() && other.is_ready());
    one.awaited("store.adopted", "ok", OVER_WITHIN);

    // It is one store for all of them again.
    let (late, jti) = other.minted("ada", &["user"], &[], "desk");
    assert!(connections.iter_mut().all(|c| status(c, &late) == 200));
    other.revoke(&jti);
    until("all refuse the new one", OVER_WITHIN, || connections.iter_mut().all(|c| status(c, &late) == 401));
    let back = away.restart();
    let mut connection = back.connect();
    assert_eq!([&good, &bad, &late].map(|token| status(&mut connection, token)), [200, 401, 401]);
    let one = one.restart();
    let mut connection = one.connect();
    assert_eq!([&good, &bad, &late].map(|token| status(&mut connection, token)), [200, 401, 401]);
    assert_eq!(one.adopts(&[], true)["known"], true, "there is nothing more to do");
}

#[test]
fn a_fleet_that_was_down_when_its_redis_was_emptied_starts_after_the_adoption_with_all_revocations() {
    let node = Node::start("save \"\"", &[]);
    let [mut one, mut other] = fleet(&url(&node));
    let (good, _) = one.minted("ada", &["user"], &[], "desk");
    let (bad, jti) = one.minted("ada", &["user"], &[], "desk");
    let (worse, second) = other.minted("eve", &["user"], &[], "desk");
    one.revoke(&jti);
    until("both know", OVER_WITHIN, || status(&mut other.connect(), &bad) == 401);
    one.stop();
    // The one that was stopped never hears of this.
    other.revoke(&second);
    until("it is kept", OVER_WITHIN, || other.has_kept(&second));
    other.stop();
    node.ask("FLUSHALL").unwrap();
    assert_eq!(one.adopts(&["--yes"], true)["restored"], 1);
    let one = one.restart();
    assert_eq!(status(&mut one.connect(), &bad), 401);
    let other = other.restart();
    until("what the other one knew comes back with it", OVER_WITHIN, || {
        status(&mut one.connect(), &worse) == 401
    });
    for app in [&one, &other] {
        let mut connection = app.connect();
        assert_eq!([&good, &bad, &worse].map(|token| status(&mut connection, token)), [200, 401, 401]);
    }
}

#[test]
fn a_revocation_that_the_new_master_had_not_heard_of_is_back_within_seconds_and_never_fails_to_hold() {
    let mut first = Node::start("save \"\"", &[]);
    let second = Node::start(&format!("save \"\"\nreplicaof 127.0.0.1 {}", first.port), &[]);
    let is_up = || second.ask("INFO replication").is_some_and(|info| info.contains("master_link_status:up"));
    until("the replica is there", OVER_WITHIN, is_up);
    let monitor = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 60000\nsentinel failover-timeout main 60000",
        first.port
    );
    // It only names whom it is told to: what it would do by itself is no part of this.
    let sentinel = Node::start(&monitor, &["--sentinel"]);
    until("the sentinel knows both", OVER_WITHIN, || {
        sentinel
            .ask("INFO sentinel")
            .is_some_and(|info| info.contains("status=ok,") && info.contains("slaves=1"))
    });
    let [one, other] = fleet(&format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port));
    let (good, _) = one.minted("ada", &["user"], &[], "desk");
    let (bad, jti) = one.minted("ada", &["user"], &[], "desk");
    let mut connections = [one.connect(), other.connect()];
    assert!(connections.iter_mut().all(|c| status(c, &bad) == 200));

    // From now on the replica hears nothing.
    let done =
        |node: &Node, command: &str| assert_eq!(node.ask(command).as_deref(), Some("+OK"), "{command}");
    done(&second, "REPLICAOF 127.0.0.1 1");
    one.revoke(&jti);
    until("both refuse it", OVER_WITHIN, || connections.iter_mut().all(|c| status(c, &bad) == 401));
    first.end();
    done(&second, "REPLICAOF NO ONE");
    done(&sentinel, "SENTINEL REMOVE main");
    done(&sentinel, &format!("SENTINEL MONITOR main 127.0.0.1 {} 1", second.port));
    // What is watched anew has the times of the defaults.
    done(&sentinel, "SENTINEL SET main down-after-milliseconds 60000");
    assert!(second.ask("INFO replication").is_some_and(|info| info.contains("role:master")));
    let _tells = Tells([&one, &other]);
    until("everybody serves again, and the store has it back", 3 * OVER_WITHIN, || {
        let mut connections = [one.connect(), other.connect()];
        assert!(connections.iter_mut().all(|c| status(c, &bad) != 200), "a revoked token was let in");
        // As long as nobody has noticed, everybody serves.
        let is_back = !second.all("KEYS portcullis:blacklist:*").is_empty();
        is_back && connections.iter_mut().all(|c| status(c, &good) == 200)
    });
    let mut connections = [one.connect(), other.connect()];
    assert!(connections.iter_mut().all(|c| status(c, &bad) == 401));
    drop(fleet_member_started_now(&one, &bad));
}

/// Says how servers stand with their store if the test fails.
struct Tells<'a>([&'a TestApp; 2]);

impl Drop for Tells<'_> {
    fn drop(&mut self) {
        for app in self.0.iter().filter(|_| std::thread::panicking()) {
            let metrics = app.admin("GET", "/metrics").text();
            let store = metrics.lines().filter(|line| line.starts_with("portcullis_store"));
            println!("{}\n{}", app.get("/health/ready").text(), store.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// A server that knows nothing but what is in the store by now; it refuses `bad`.
fn fleet_member_started_now(like: &TestApp, bad: &str) -> TestApp {
    let settings = like.settings.clone();
    let fresh = TestApp::start_with(|own: &mut Settings| {
        (own.store, own.jwt) = (settings.store, settings.jwt);
    });
    assert_eq!(status(&mut fresh.connect(), bad), 401);
    fresh
}

#[test]
fn what_is_revoked_and_lost_before_any_server_has_read_of_it_is_put_back_by_the_one_that_was_asked() {
    let node = Node::start("save \"\"", &[]);
    let [one] = fleet(&url(&node));
    let (bad, jti) = one.minted("ada", &["user"], &[], "desk");
    let feed = |name: &str| node.ask(&format!("GET portcullis:feed:{name}"));
    // Whatever the server writes is undone at once, as if a replica had taken over that had not heard of it.
    for round in 0..20 {
        let before = feed("last");
        one.revoke(&format!("{jti}{round}"));
        for key in node.all("KEYS portcullis:blacklist*") {
            node.ask(&format!("DEL {key}"));
        }
        node.ask("DEL portcullis:feed");
        node.ask(&format!("SET portcullis:feed:last {}", before.unwrap_or_else(|| "0".into())));
        until("it is back", OVER_WITHIN, || !node.all("KEYS portcullis:blacklist:*").is_empty());
    }
    one.revoke(&jti);
    assert_eq!(status(&mut one.connect(), &bad), 401);
}

#[test]
fn a_redis_is_looked_over_at_the_start_and_the_operator_is_told() {
    let node = Node::start("save \"\"\nmaxmemory 100mb\nmaxmemory-policy allkeys-lru", &[]);
    let dir = tempfile::tempdir().unwrap();
    let mut settings = super::support::app::settings(dir.path());
    settings.store.url = StoreUrl::parse(&url(&node)).unwrap();
    let warnings = actix::System::new().block_on(async {
        let server = portcullis::app::start(&settings, Vec::new()).await.unwrap();
        let warnings = server.warnings().to_vec();
        server.run_until(async {}).await.unwrap();
        warnings
    });
    let said = warnings.join("\n");
    assert!(said.contains("allkeys-lru") && said.contains("appendonly"), "{said}");
}

#[test]
fn a_command_says_that_no_replica_has_confirmed_what_it_took_back() {
    let master = Node::start("save \"\"", &[]);
    let replica = Node::start(&format!("save \"\"\nreplicaof 127.0.0.1 {}", master.port), &[]);
    let says = |node: &Node, word: &str| node.ask("INFO replication").is_some_and(|info| info.contains(word));
    let is_up = || says(&replica, "master_link_status:up") && says(&master, "state=online");
    until("the replica is there", OVER_WITHIN, is_up);
    let [app] = fleet(&url(&master));
    let set = format!("store.url={}", url(&master));
    let revoke = || {
        let output = app.cli(
            &["--set", &set, "--set", "store.timeout=2s", "token", "revoke", "--jti", "x", "--json"],
            "",
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (serde_json::from_slice::<Value>(&output.stdout).unwrap()["confirmed"].clone(), said)
    };
    let (confirmed, said) = revoke();
    assert!(confirmed == true && !said.contains("replica"), "{said}");
    replica.signal("-STOP");
    let (confirmed, said) = revoke();
    assert!(confirmed == false && said.contains("no replica"), "{said}");
    block_on(app.tokens.revoke(RevocationTarget::Jti("y".into()), HOUR)).unwrap();
    assert!(app.metric("portcullis_store_errors_total{op=\"replication\"}") >= 1.0);
    let kept =
        block_on(store::open(&url(&master)).unwrap().revocations.live(portcullis::domain::Timestamp::now()));
    assert_eq!(kept.unwrap().len(), 2, "both are in force");
}
