//! A restart with other limits: what was used up counts in calls, and comes back as fast as limits are now.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    super::{
        LimiterConfig, Rate, Scope,
        bucket::{Limit, Moment},
        restored::{Restored, Slowest},
        table::Id,
    },
    config,
    flow::{House, burst},
    principal, rate,
};
use crate::{
    domain::Timestamp,
    store::{self, Level},
};

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);
const WHOLE: u64 = 1_000_000;

fn guests_have(guest: Rate) -> LimiterConfig {
    let roles = [("guest".into(), guest), ("user".into(), rate(500, 1_000.0))];
    LimiterConfig { roles: roles.into(), fallback: guest, address: guest, ..config() }
}

/// What a server of this `config` saves of a bucket from which so many calls are missing.
fn saved(config: &LimiterConfig, scope: Scope, missing: u32, at: Timestamp) -> Level {
    let (id, spent) = (Id([7; 16]), u64::from(missing) * WHOLE);
    let until = Slowest::of(config).end_of((scope, &id), spent, at).unwrap();
    Level { scope: scope.as_str().into(), id: id.0, spent, at, until }
}

/// When the bucket is full again after a restart with `config`, and how many levels that start prolongs.
fn after(level: &Level, config: &LimiterConfig, own: Rate, now: Timestamp) -> (Moment, usize) {
    let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == level.scope).unwrap();
    let (restored, prolonged) = Restored::read(vec![level.clone()], &Slowest::of(config), now);
    (restored.find(scope, Id(level.id), Limit::new(own)), prolonged.len())
}

fn secs(secs: f64) -> Moment {
    Moment((secs * 1_024e9) as u128)
}

#[test]
fn what_the_faster_rate_would_have_given_back_is_still_missing_at_the_slower_one() {
    let [fast, half] = [10.0, 5.0].map(|refill| guests_have(rate(40, refill)));
    for scope in [Scope::Address, Scope::User, Scope::Key] {
        let level = saved(&fast, scope, 40, T0);
        // Full after four seconds at ten a second, after eight at five.
        for (down, left) in [(1.0, 7.0), (4.5, 3.5), (7.5, 0.5)] {
            let now = T0.plus(Duration::from_secs_f64(down));
            let (full_again, prolonged) = after(&level, &half, rate(40, 5.0), now);
            assert_eq!((full_again, prolonged), (secs(left), 1), "{scope:?} after {down}");
        }
        assert_eq!(after(&level, &half, rate(40, 5.0), T0.plus(Duration::from_secs(8))), (Moment(0), 0));
        assert_eq!(after(&level, &fast, rate(40, 10.0), T0.plus(Duration::from_secs(1))), (secs(3.0), 0));
    }
}

#[test]
fn nobody_is_forgotten_before_the_slowest_that_it_may_come_back_as() {
    let config = guests_have(rate(40, 1.0));
    // A user of a thousand a second would be full at once; whoever lost that role meanwhile would not.
    let level = saved(&config, Scope::User, 40, T0);
    let now = T0.plus(Duration::from_secs(30));
    assert_eq!(after(&level, &config, rate(40, 1.0), now), (secs(10.0), 0));
    assert_eq!(after(&level, &config, rate(500, 1_000.0), now), (Moment(0), 0));
}

#[actix::test]
async fn spend_stop_and_start_again_at_half_the_rate() {
    let (fast, half) = (guests_have(rate(50, 10.0)), guests_have(rate(50, 5.0)));
    let house = House::with(&fast, store::open("memory:").unwrap()).await;
    let stores = house.stores().clone();
    for name in ["ada", "bob"] {
        assert_eq!(burst(&house.limiter().turnstile(), &principal(name, "guest"), None, 50).await, 50);
    }
    house.stop().await;
    // Five seconds go by, in which the faster rate would have filled both.
    let down = Duration::from_secs(5);
    let aged = |level: Level| Level { at: level.at.minus(down), until: level.until.minus(down), ..level };
    let levels = stores.quota.levels().await.unwrap().into_iter().map(aged).collect();
    stores.quota.save(levels, Timestamp::default()).await.unwrap();

    // Ada comes back after the first start, Bob only after the second.
    for name in ["ada", "bob"] {
        let house = House::with(&half, stores.clone()).await;
        let left = burst(&house.limiter().turnstile(), &principal(name, "guest"), None, 60).await;
        assert!((25..=40).contains(&left), "{left} are left of {name}'s fifty");
        house.stop().await;
    }
}

proptest! {
    #[test]
    fn no_restart_gives_more_than_capacity_and_the_new_rate_and_time(
        capacity in 1..100_000_u32,
        missing in 0..100_000_u32,
        refills in (1..1_000_000_u64, 1..1_000_000_u64),
        down in 0..100_000_000_u64,
    ) {
        let missing = missing.min(capacity);
        let [old, new] = [refills.0, refills.1].map(|milli| rate(capacity, milli as f64 / 1e3));
        let level = saved(&guests_have(old), Scope::Address, missing, T0);
        let now = T0.plus(Duration::from_micros(down));
        let (full_again, _) = after(&level, &guests_have(new), new, now);
        // In thousandths of a call: what may have come back since, and what the restart says has.
        let back = u128::from(down) * u128::from(refills.1) / 1_000_000;
        let interval = 1_024.0e12 / refills.1 as f64;
        let still = full_again.0 as f64 / interval * 1e3;
        let said = f64::from(missing) * 1e3 - still;
        prop_assert!(said <= back as f64 * 1.002 + 1.0, "{said} came back, {back} at most");
    }
}
