//! Never more than capacity + rate × time, hardly less, and nothing for a refusal.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{
    super::{
        Rate, Scope,
        bucket::{Bucket, Claim, Class, Clock, Limit, Limits, Moment, Short, backlog, take, ticks},
    },
    rate,
};

fn limits(rates: &[Rate]) -> Limits {
    Limits(rates.iter().map(|rate| Limit::new(*rate)).collect())
}

fn claim(bucket: &Bucket, class: Class, epoch: u64, cost: u32) -> Option<Claim<'_>> {
    Some(Claim { scope: Scope::User, bucket, class, epoch, cost })
}

fn full() -> Bucket {
    Bucket::new(0, Moment::default())
}

fn at(nanos: u64) -> Moment {
    Moment(ticks(Duration::from_nanos(nanos)))
}

fn one(limits: &Limits, bucket: &Bucket, cost: u32, now: Moment) -> Result<(), Short> {
    take(limits, [claim(bucket, 0, 0, cost), None, None], now)
}

#[test]
fn a_burst_of_the_capacity_passes_and_the_next_one_waits_for_exactly_one() {
    let limits = limits(&[rate(50, 1.0)]);
    let bucket = full();
    let start = at(7_000);
    assert!((0..50).all(|_| one(&limits, &bucket, 1, start).is_ok()));
    let short = one(&limits, &bucket, 1, start).unwrap_err();
    assert_eq!((short.wait, short.remaining), (Duration::from_secs(1), 0));
    let later = at(7_000 + 999_999_999);
    assert_eq!(one(&limits, &bucket, 1, later).unwrap_err().wait, Duration::from_millis(1), "rounded up");
    assert!(one(&limits, &bucket, 1, at(7_000 + 1_000_000_000)).is_ok());
    assert!(one(&limits, &bucket, 1, at(7_000 + 1_000_000_000)).is_err());
}

#[test]
fn a_request_that_began_earlier_and_comes_later_is_not_refused_for_it() {
    let limits = limits(&[rate(30, 0.2)]);
    let bucket = full();
    let began = |n: u64| at(1_000_000 * (40 - n));
    assert!((0..30).all(|n| one(&limits, &bucket, 1, began(n)).is_ok()));
    assert_eq!(one(&limits, &bucket, 1, began(35)).unwrap_err().wait, Duration::from_secs(5));
}

#[test]
fn all_buckets_or_none() {
    let limits = limits(&[rate(10, 10.0), rate(2, 1.0)]);
    let (user, key, tool) = (full(), full(), Bucket::new(1, Moment::default()));
    let claims = || {
        let of = |scope, bucket, class| Some(Claim { scope, bucket, class, epoch: 0, cost: 2 });
        [of(Scope::User, &user, 0), of(Scope::Key, &key, 0), of(Scope::Tool, &tool, 1)]
    };
    assert!(take(&limits, claims(), at(0)).is_ok());
    for _ in 0..100 {
        let short = take(&limits, claims(), at(0)).unwrap_err();
        assert_eq!((short.scope, short.wait), (Scope::Tool, Duration::from_secs(2)));
    }
    for bucket in [&user, &key] {
        assert!((0..8).all(|_| one(&limits, bucket, 1, at(0)).is_ok()), "a refusal took something");
        assert!(one(&limits, bucket, 1, at(0)).is_err());
    }
    let short = take(&limits, claims(), at(1_000_000_000)).unwrap_err();
    assert_eq!((short.scope, short.wait), (Scope::Tool, Duration::from_secs(1)), "the longest wait counts");
}

#[test]
fn another_role_forgives_nothing_and_the_larger_one_counts_until_credentials_change() {
    let limits = limits(&[rate(50, 1.0), rate(500, 10.0)]);
    let bucket = full();
    let by = |class, epoch, cost| take(&limits, [claim(&bucket, class, epoch, cost), None, None], at(0));
    assert!(by(0, 1, 50).is_ok() && by(0, 1, 1).is_err());
    assert!(by(1, 1, 450).is_ok(), "promoted: 500 less the 50 that were taken");
    assert!(by(1, 1, 1).is_err());
    assert_eq!(by(0, 1, 1).unwrap_err().wait, Duration::from_millis(100), "one principal, its larger role");
    let demoted = by(0, 2, 1).unwrap_err();
    assert!((450..=452).contains(&demoted.wait.as_secs()), "{demoted:?}: 500 were taken, 50 are held");
    for epoch in 3..1_000 {
        assert!(by((epoch % 2) as Class, epoch, 1).is_err(), "to and fro forgives nothing");
    }
}

#[test]
fn four_threads_get_what_one_would_and_no_more() {
    let limits = limits(&[rate(5_000, 5_000.0), rate(1_000_000, 1e9)]);
    let (user, tool) = (full(), Bucket::new(1, Moment::default()));
    let (admitted, refused_at) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    let clock = Clock::from(started);
    thread::scope(|threads| {
        let hammer = || {
            while started.elapsed() < Duration::from_millis(400) {
                let now = Instant::now();
                let tool = Some(Claim { scope: Scope::Tool, bucket: &tool, class: 1, epoch: 0, cost: 1 });
                match take(&limits, [claim(&user, 0, 0, 1), None, tool], clock.moment(now)) {
                    Ok(()) => _ = admitted.fetch_add(1, Ordering::Relaxed),
                    Err(_) => {
                        let at = u64::try_from((now - started).as_nanos()).unwrap();
                        refused_at.fetch_max(at, Ordering::Relaxed);
                    }
                }
            }
        };
        (0..4).for_each(|_| drop(threads.spawn(hammer)));
    });
    let due = |elapsed: Duration| 5_000.0 + 5_000.0 * elapsed.as_secs_f64();
    let admitted = admitted.load(Ordering::Relaxed) as f64;
    assert!(admitted <= due(started.elapsed()), "{admitted} is too much");
    // When somebody was last refused, everything that was due had been given out.
    let least = due(Duration::from_nanos(refused_at.load(Ordering::Relaxed))) * 0.99;
    assert!(admitted >= least, "{admitted} of {least}");
}

/// Rates of every size, with the refill as a whole number of calls in a thousand seconds.
fn rates() -> impl Strategy<Value = (u32, u64)> {
    let capacity = prop_oneof![1..20_u32, 1..1_000_000_000_u32];
    let refill = prop_oneof![1..100_000_u64, 1..1_000_000_000_000_u64];
    (capacity, refill)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_holds_more_than_capacity_and_rate_and_time(
        (capacity, milli_refill) in rates(),
        steps in prop::collection::vec((0..3_000_000_000_u64, 1..30_u32), 1..60),
    ) {
        let refill = milli_refill as f64 / 1e3;
        let limits = limits(&[rate(capacity, refill)]);
        let bucket = full();
        let (mut now, mut log) = (0_u64, Vec::new());
        // What an exact bucket holds, in millionths of a millionth of a call.
        let whole = 1_000_000_000_000_u128;
        let most = u128::from(capacity) * whole;
        let mut exact = most;
        for (wait, cost) in steps {
            now += wait;
            exact = most.min(exact + u128::from(wait) * u128::from(milli_refill));
            let taken = one(&limits, &bucket, cost, at(now));
            if taken.is_ok() {
                prop_assert!(exact >= u128::from(cost) * whole, "an exact bucket would have refused");
                exact -= u128::from(cost) * whole;
                log.push((now, u128::from(cost)));
            } else if let Err(short) = taken {
                // What we refuse an exact bucket has for at most 0.2 % of the capacity, rounded up.
                prop_assert!(exact < u128::from(cost) * whole + most / 500 + whole / 1_000, "{} of {}", exact, most);
                if cost <= capacity {
                    let ready = now + u64::try_from(short.wait.as_nanos()).unwrap();
                    prop_assert!(bucket.peek(&limits, &claim(&bucket, 0, 0, cost).unwrap(), at(ready)).is_ok());
                }
            }
        }
        for (from, (begin, _)) in log.iter().enumerate() {
            let mut sum = 0;
            for (end, cost) in &log[from..] {
                sum += cost * whole;
                prop_assert!(sum <= most + u128::from(end - begin) * u128::from(milli_refill));
            }
        }
    }

    #[test]
    fn a_restart_gives_no_more_than_going_on_would_have(
        (capacity, milli_refill) in rates(),
        taken in 0..2_000_000_000_u32,
        since in 0..5_000_000_000_u64,
        down in 0..100_000_000_u64,
    ) {
        let limits = limits(&[rate(capacity, milli_refill as f64 / 1e3)]);
        let (bucket, taken) = (full(), taken % (capacity + 1));
        one(&limits, &bucket, taken, at(0)).unwrap();
        let fresh = match bucket.changed_level(&limits, at(since)) {
            None => full(),
            Some(spent) => {
                // The new clock begins when the server does, `down` microseconds later.
                Bucket::new(0, Moment(backlog(limits.of(0), spent, Duration::from_micros(down))))
            }
        };
        let now = since + down * 1_000;
        for cost in [1, capacity / 2, capacity] {
            let claim_of = |bucket| claim(bucket, 0, 0, cost.max(1)).unwrap();
            let gone_on = bucket.peek(&limits, &claim_of(&bucket), at(now));
            if fresh.peek(&limits, &claim_of(&fresh), at(0)).is_ok() {
                prop_assert!(gone_on.is_ok(), "the restart forgave something");
            }
        }
        prop_assert!(fresh.peek(&limits, &claim(&fresh, 0, 0, capacity + 1).unwrap(), at(0)).is_err());
    }
}
