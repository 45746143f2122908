//! The actor with a store and an audit log: first sights, restarts, panics, records.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix::Arbiter;
use tempfile::TempDir;

use super::{
    super::{LimitError, Limiter, LimiterConfig, Mode, Scope, Turnstile, Visit},
    config, key, millis, principal, visit,
};
use crate::{
    actors::audit::{self, Audit, AuditConfig, Filter, Record},
    domain::{Principal, Timestamp},
    store::{self, Level, Quota, StoreError, StoreFuture, Stores},
    telemetry::Metrics,
};

/// A running limiter with everything around it.
pub(super) struct House {
    limiter: Limiter,
    audit: Audit,
    metrics: Arc<Metrics>,
    stores: Stores,
    dir: TempDir,
}

impl House {
    pub(super) async fn with(config: &LimiterConfig, stores: Stores) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::start(&Arbiter::new().handle(), AuditConfig::new(dir.path())).await.unwrap();
        let metrics = Arc::new(Metrics::new(&[], &[], &stores.failures));
        let limiter = Limiter::start(&Arbiter::new().handle(), config, &stores, (audit.lane(), &metrics))
            .await
            .unwrap();
        Self { limiter, audit, metrics, stores, dir }
    }

    pub(super) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    pub(super) fn stores(&self) -> &Stores {
        &self.stores
    }

    async fn start() -> Self {
        Self::with(&config(), store::open("memory:").unwrap()).await
    }

    /// Stops in order; gives the records of refusals.
    pub(super) async fn stop(self) -> Vec<Record> {
        self.limiter.close().await;
        self.audit.close().await.unwrap();
        limited(self.dir.path())
    }

    fn counted(&self, scope: &str) -> bool {
        !self.metrics.render().contains(&format!("portcullis_rate_limited_total{{scope=\"{scope}\"}} 0"))
    }
}

fn limited(dir: &Path) -> Vec<Record> {
    let filter = Filter { event: Some("rate.limited".into()), ..Filter::default() };
    audit::query(dir, filter).unwrap().map(|found| found.unwrap().record).collect()
}

/// How many of `most` calls at once pass; what refuses is a limit.
pub(super) async fn burst(
    through: &Turnstile,
    who: &Arc<Principal>,
    tool: Option<&'static str>,
    most: u32,
) -> u32 {
    burst_of(through, who, tool, (most, 1)).await
}

/// The same by a principal who was authenticated as of `epoch`.
async fn burst_of(
    through: &Turnstile,
    who: &Arc<Principal>,
    tool: Option<&'static str>,
    (most, epoch): (u32, u64),
) -> u32 {
    let visit = Visit { epoch, ..visit("192.0.2.1", Instant::now()) };
    let mut passed = 0;
    for _ in 0..most {
        match through.principal(&visit, who, tool).await {
            Ok(_) => passed += 1,
            Err(LimitError::Exceeded(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    passed
}

#[actix::test]
async fn all_that_a_principal_shows_is_one_bucket_on_every_worker_and_each_key_has_one_more() {
    let house = House::start().await;
    let workers = [house.limiter.turnstile(), house.limiter.turnstile()];
    let [token, other] = ["ada", "ada"].map(|name| principal(name, "guest"));
    assert_eq!(burst(&workers[0], &token, None, 20).await, 20);
    assert_eq!(burst(&workers[1], &other, None, 20).await, 20);
    assert_eq!(burst(&workers[0], &key("ada", "guest", "k1"), None, 20).await, 10, "the rest of the fifty");
    assert_eq!(burst(&workers[1], &key("bob", "guest", "k2"), None, 60).await, 50);
    assert_eq!(burst(&workers[1], &principal("eve", "nobody"), None, 60).await, 50, "no role: guest's");
    let records = house.stop().await;
    let total: u64 = records.iter().map(|record| record.count.unwrap()).sum();
    assert_eq!(total, 10 + 10 + 10);
}

#[actix::test]
async fn a_tool_costs_its_caller_what_it_costs_and_a_refusal_takes_nothing() {
    let house = House::start().await;
    let through = house.limiter.turnstile();
    let (ada, bob) = (principal("ada", "guest"), principal("bob", "guest"));
    assert_eq!(burst(&through, &ada, Some("dear"), 4).await, 3, "the tool's thirty are out");
    assert_eq!(burst(&through, &bob, Some("dear"), 9).await, 0);
    assert_eq!(burst(&through, &bob, None, 60).await, 50, "what was refused took nothing of bob's");
    assert_eq!(burst(&through, &ada, None, 60).await, 20);
    let (at, cy) = (visit("192.0.2.1", Instant::now()), principal("cy", "guest"));
    let hopeless = through.principal(&at, &cy, Some("hopeless"));
    assert!(matches!(hopeless.await, Err(LimitError::TooCostly { cost: 51, capacity: 50 })));
}

#[actix::test]
async fn so_many_calls_of_a_tool_run_at_once_and_one_that_ends_makes_room() {
    let house = House::start().await;
    let through = house.limiter.turnstile();
    let ada = principal("ada", "guest");
    let call =
        || async { through.principal(&visit("192.0.2.1", Instant::now()), &ada, Some("narrow")).await };
    let (first, second) = (call().await.unwrap(), call().await.unwrap());
    let Err(LimitError::Exceeded(full)) = call().await else { panic!("a third call ran") };
    assert_eq!((full.scope, full.retry_after), (Scope::Tool, millis(100)));
    drop(first);
    let third = call().await.unwrap();
    assert!(call().await.is_err());
    drop((second, third));
    assert_eq!(burst(&through, &ada, None, 60).await, 50 - 3, "what had no room took nothing");
}

#[actix::test]
async fn an_address_is_limited_and_its_failures_are_apart() {
    let house = House::start().await;
    let through = house.limiter.turnstile();
    let now = Instant::now();
    let from = |ip: &str| visit(ip, now);
    for _ in 0..30 {
        assert!(through.may_try(&from("192.0.2.1")).is_ok());
        through.failed(&from("192.0.2.1")).await.unwrap();
    }
    assert!(through.has_failed_often(&from("192.0.2.1")));
    let Err(LimitError::Exceeded(refused)) = through.failed(&from("192.0.2.1")).await else { panic!("31") };
    assert_eq!((refused.scope, refused.retry_after), (Scope::Failures, millis(10_000)), "it owes that one");
    assert!(through.may_try(&from("192.0.2.1")).is_err() && through.may_try(&from("192.0.2.2")).is_ok());
    assert!(through.may_try(&visit("192.0.2.1", now + refused.retry_after)).is_ok());

    for owed in 2..=100 {
        let Err(LimitError::Exceeded(refused)) = through.failed(&from("192.0.2.1")).await else {
            panic!("{owed}")
        };
        let most = refused.window_secs;
        assert_eq!(refused.retry_after.as_secs(), (5 * (owed + 1)).min(most + 5), "{owed} at once");
    }
    for host in 0..1_000 {
        assert!(through.address(&from(&format!("2001:db8::{host:x}"))).await.is_ok());
    }
    assert!(through.address(&from("2001:db8::ffff:1")).await.is_err(), "one /64 is one address");
    assert!(through.address(&from("2001:db8:0:1::1")).await.is_ok());
    assert!(house.counted("address") && house.counted("failures") && !house.counted("user"));
}

#[actix::test]
async fn shadow_counts_and_records_and_lets_everything_in() {
    let shadow = LimiterConfig { mode: Mode::Shadow, ..config() };
    let house = House::with(&shadow, store::open("memory:").unwrap()).await;
    assert_eq!(burst(&house.limiter.turnstile(), &principal("ada", "guest"), None, 60).await, 60);
    assert!(house.counted("user"));
    assert!(!house.stop().await.is_empty());

    let off = LimiterConfig { mode: Mode::Off, ..config() };
    let house = House::with(&off, store::open("memory:").unwrap()).await;
    assert_eq!(burst(&house.limiter.turnstile(), &principal("ada", "guest"), None, 60).await, 60);
    assert!(house.stop().await.is_empty());
}

#[actix::test]
async fn a_second_of_refusals_is_one_record_with_its_count_and_the_first_ids() {
    let house = House::start().await;
    let through = house.limiter.turnstile();
    let (ada, now) = (principal("ada", "guest"), Instant::now());
    let second = Timestamp::from_secs(Timestamp::now().secs());
    let mut ids = Vec::new();
    for n in 0..150 {
        let mut visit = visit("192.0.2.1", now);
        visit.time = second.plus(millis(if n < 100 { n } else { 1_000 + n }));
        if through.principal(&visit, &ada, None).await.is_err() {
            ids.push(visit.request.to_string());
        }
    }
    let records = house.stop().await;
    let counts: Vec<_> = records.iter().filter_map(|record| record.count).collect();
    assert_eq!(counts, [50, 50]);
    let first = &records[0];
    assert_eq!((&*first.outcome, first.reason.as_deref()), ("limited", Some("rate_limited")));
    assert_eq!(
        (first.principal.as_ref().unwrap().id.as_str(), first.ip.as_deref()),
        ("ada", Some("192.0.2.1"))
    );
    assert_eq!((first.scope.as_deref(), &*first.request_ids), (Some("user"), &ids[..16]));
    let wanted = Filter { request_id: Some(ids[15].clone()), ..Filter::default() };
    assert!(wanted.matches(first) && !wanted.matches(&records[1]), "found by the id that the client has");
}

#[actix::test]
async fn what_was_used_up_outlives_a_stop_and_a_clock_that_steps_gives_nothing() {
    let stores = store::open("memory:").unwrap();
    let house = House::with(&config(), stores.clone()).await;
    assert_eq!(burst(&house.limiter.turnstile(), &key("ada", "guest", "k"), Some("dear"), 2).await, 2);
    house.stop().await;
    let mut saved = stores.quota.levels().await.unwrap();
    saved.sort_by(|one, other| one.scope.cmp(&other.scope));
    let scopes: Vec<_> = saved.iter().map(|level| &*level.scope).collect();
    assert_eq!(scopes, ["key", "tool", "user"]);

    let house = House::with(&config(), stores.clone()).await;
    let left = burst(&house.limiter.turnstile(), &principal("ada", "guest"), None, 60).await;
    assert!((30..=33).contains(&left), "{left} are left of fifty");
    house.stop().await;

    // Saved an hour ahead of the clock that we have now, and an hour behind.
    for (at, least, most) in [
        (Timestamp::now().plus(Duration::from_secs(3_600)), 0, 3),
        (Timestamp::now().minus(Duration::from_secs(3_600)), 50, 50),
    ] {
        let stores = store::open("memory:").unwrap();
        let levels = saved.iter().map(|level| Level {
            spent: 50_000_000,
            at,
            until: at.plus(Duration::from_secs(50)),
            ..level.clone()
        });
        stores.quota.save(levels.collect(), Timestamp::default()).await.unwrap();
        let house = House::with(&config(), stores).await;
        let left = burst(&house.limiter.turnstile(), &principal("ada", "guest"), None, 60).await;
        assert!((least..=most).contains(&left), "{left}");
        house.stop().await;
    }
}

/// A store that keeps no levels until it is told to.
struct Reluctant {
    inner: Arc<dyn Quota>,
    keeps: AtomicBool,
}

impl Quota for Reluctant {
    fn save(&self, levels: Vec<Level>, now: Timestamp) -> StoreFuture<'_, ()> {
        if self.keeps.load(Ordering::SeqCst) {
            return self.inner.save(levels, now);
        }
        Box::pin(async { Err(StoreError::Busy) })
    }

    fn levels(&self) -> StoreFuture<'_, Vec<Level>> {
        self.inner.levels()
    }
}

#[actix::test]
async fn a_crash_loses_a_second_and_what_the_store_refused_is_kept_when_it_can() {
    let mut stores = store::open("memory:").unwrap();
    let store = Arc::new(Reluctant { inner: Arc::clone(&stores.quota), keeps: AtomicBool::new(false) });
    stores.quota = Arc::<Reluctant>::clone(&store);
    let house = House::with(&config(), stores).await;
    burst(&house.limiter.turnstile(), &principal("ada", "guest"), None, 50).await;
    let waits = |what: &'static str, began: Instant| {
        assert!(began.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(millis(20))
    };
    let began = Instant::now();
    while !house.metrics.render().contains("store_errors_total{op=\"quota.save\"}") {
        waits("the store was not asked", began).await;
    }
    store.keeps.store(true, Ordering::SeqCst);
    let began = Instant::now();
    while house.stores.quota.levels().await.unwrap().is_empty() {
        waits("nothing was kept", began).await;
    }
    // The first one is not closed: it might as well have been killed.
    let next = House::with(&config(), house.stores.clone()).await;
    let left = burst(&next.limiter.turnstile(), &principal("ada", "guest"), None, 60).await;
    assert!(left <= 8, "{left}: nothing but the seconds that have gone by");
}

#[actix::test]
async fn whoever_is_known_is_served_and_limited_while_the_actor_is_down_and_nobody_starts_anew() {
    let house = House::start().await;
    let through = house.limiter.turnstile();
    let ada = principal("ada", "guest");
    assert_eq!(burst(&through, &ada, None, 40).await, 40);
    house.limiter.fault().unwrap();
    let began = Instant::now();
    while house.limiter.vitals().restarts == 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "not rebuilt");
        assert!(matches!(
            through.principal(&visit("192.0.2.1", began), &principal("new", "guest"), None).await,
            Ok(_) | Err(LimitError::Actor(_))
        ));
        tokio::time::sleep(millis(1)).await;
    }
    assert!((10..=12).contains(&burst(&through, &ada, None, 60).await), "the bucket is as it was");
    assert_eq!(burst(&house.limiter.turnstile(), &principal("bob", "guest"), None, 60).await, 50);
}

#[actix::test]
async fn identities_beyond_the_last_place_share_one_bucket() {
    let small = LimiterConfig { max_buckets: 2, ..config() };
    let house = House::with(&small, store::open("memory:").unwrap()).await;
    let through = house.limiter.turnstile();
    for name in ["ada", "bob"] {
        assert_eq!(burst(&through, &principal(name, "guest"), None, 10).await, 10);
    }
    assert_eq!(burst(&through, &principal("eve", "user"), None, 30).await, 30);
    assert_eq!(burst(&through, &principal("mallory", "guest"), None, 30).await, 20, "shared with eve");
    assert_eq!(burst(&through, &principal("ada", "guest"), None, 60).await, 40, "who was there is untouched");
}

#[actix::test]
async fn new_roles_count_at_once_and_forgive_nothing() {
    let house = House::start().await;
    let through = house.limiter.turnstile();
    assert_eq!(burst(&through, &principal("ada", "user"), None, 300).await, 300);
    assert_eq!(burst_of(&through, &principal("ada", "guest"), None, (10, 2)).await, 0);
    let late = burst_of(&through, &principal("ada", "user"), None, (10, 1)).await;
    assert_eq!(late, 0, "whoever was somebody else when it was looked at");
    let again = burst_of(&through, &principal("ada", "user"), None, (600, 3)).await;
    assert!((200..=220).contains(&again), "{again} of the 200 that were left");
}

#[test]
fn the_names_of_scopes_are_those_of_the_metrics() {
    let metrics = Metrics::new(&[], &[], &crate::telemetry::StoreFailures::default()).render();
    for scope in Scope::ALL {
        assert!(metrics.contains(&format!("rate_limited_total{{scope=\"{}\"}} 0", scope.as_str())));
    }
}
