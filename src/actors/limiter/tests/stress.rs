//! Four workers, many identities, tools, and a restart in between: together they admit what was set.

use std::{
    collections::HashMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{LimitError, Limiter, LimiterConfig, ToolRule},
    config,
    flow::House,
    key, principal, rate, visit,
};
use crate::{domain::Principal, store};

/// Calls at once, and calls a second, of each principal.
const EACH: (u32, f64) = (400, 300.0);
/// One life of the server: long enough for the actor to sweep and to save.
const LIFE: Duration = Duration::from_millis(1_300);

fn strict() -> LimiterConfig {
    let dear = ToolRule { cost: 3, rate: Some(rate(1_000_000, 1e6)), max_in_flight: None };
    LimiterConfig {
        roles: [("guest".into(), rate(EACH.0, EACH.1))].into(),
        tools: [("dear".into(), dear)].into(),
        ..config()
    }
}

/// By name: what was admitted, in calls, and when somebody was last refused.
type Seen = HashMap<String, (u64, Option<Instant>)>;

/// One worker until `ends`: every identity by tokens and by a key, in an order of its own.
fn work(limiter: &Limiter, worker: u64, ends: Instant) -> Seen {
    let through = limiter.turnstile();
    let shown: Vec<Arc<Principal>> = (0..6)
        .map(|n| match n % 2 {
            0 => principal(&format!("p{}", n / 2), "guest"),
            _ => key(&format!("p{}", n / 2), "guest", &format!("k{n}-{worker}")),
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut seen, mut dice) = (Seen::new(), worker + 1);
    runtime.block_on(async {
        while Instant::now() < ends {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let who = &shown[(dice >> 33) as usize % shown.len()];
            let tool = (dice >> 60 == 0).then_some("dear");
            let now = Instant::now();
            let passed = through.principal(&visit("192.0.2.1", now), who, tool).await;
            let entry = seen.entry(who.id.to_string()).or_default();
            match passed {
                Ok(_) => entry.0 += if tool.is_some() { 3 } else { 1 },
                Err(LimitError::Exceeded(_)) if tool.is_none() => entry.1 = Some(now),
                Err(LimitError::Exceeded(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    });
    seen
}

/// One life of the server; adds what it saw to `all`.
fn live(limiter: &Limiter, all: &mut Seen) {
    let ends = Instant::now() + LIFE;
    let seen = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|n| scope.spawn(move || work(limiter, n, ends))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    for (name, (calls, refused)) in seen {
        let entry = all.entry(name).or_default();
        entry.0 += calls;
        entry.1 = entry.1.max(refused);
    }
}

#[actix::test]
async fn four_workers_admit_what_was_set_over_a_restart_too() {
    let stores = store::open("memory:").unwrap();
    let (mut began, mut all) = (None, Seen::new());
    for _ in 0..2 {
        let house = House::with(&strict(), stores.clone()).await;
        // Until somebody calls the buckets are full, and more time fills them no further.
        began.get_or_insert_with(Instant::now);
        live(house.limiter(), &mut all);
        house.stop().await;
    }
    let began = began.unwrap();
    assert_eq!(all.len(), 3);
    for (name, (calls, refused)) in all {
        let due = |at: Instant| f64::from(EACH.0) + EACH.1 * (at - began).as_secs_f64();
        let most = due(Instant::now());
        assert!(calls as f64 <= most, "{name}: {calls} of {most}");
        let refused = refused.expect("nobody was ever refused");
        // The bucket was empty then, whatever filled it while nobody called: all that was due had been admitted.
        let least = due(refused) * 0.99 - 3.0;
        assert!(calls as f64 >= least, "{name}: {calls} of {least}");
    }
}
