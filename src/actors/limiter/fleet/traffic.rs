//! How often the store is asked about one bucket, by servers and calls a second: the table of docs/scale.md.
//!
//! The slices are those that serve; the bucket is the arithmetic of `lease.lua`, and a load balancer without stickiness
//! sends each call to any server. `cargo test --lib traffic -- --nocapture` prints the table.

use std::{collections::HashMap, time::Duration};

use super::{
    super::{
        Rate,
        bucket::{Limit, Moment, ticks},
    },
    slice::{Has, Report, Slice},
};
use crate::store::{Granted, LEASED_FOR};

/// Seconds that are played, and those at the beginning that are not counted.
const PLAYED: f64 = 25.0;
const SKIPPED: f64 = 5.0;
/// How often servers look for slices that nobody takes from.
const LOOK_EVERY: f64 = 1.0;

/// What is in the store for one bucket; times are seconds.
struct Bucket {
    capacity: f64,
    per_second: f64,
    missing: f64,
    at: f64,
    /// What each server holds, and until when.
    held: HashMap<usize, (f64, f64)>,
}

impl Bucket {
    fn lease(&mut self, holder: usize, report: Report, now: f64) -> Granted {
        self.held.retain(|_, (_, ends)| *ends > now);
        let floor: f64 = self.held.values().map(|(calls, _)| calls).sum();
        let filled = self.missing - (now - self.at) * self.per_second;
        (self.missing, self.at) = (floor.min(self.missing).max(filled), now);
        let (own, ends) = self.held.get(&holder).copied().unwrap_or((0.0, now));
        let used = f64::from(report.used).min(own);
        let returned = f64::from(report.returned).min(own - used);
        self.missing = (self.missing - returned).max(0.0);
        let free = (self.capacity - self.missing).max(0.0).floor();
        let asks = report.wanted > 0;
        let given =
            if asks && free >= f64::from(report.needed) { free.min(report.wanted.into()) } else { 0.0 };
        let wait = if asks && given == 0.0 {
            (f64::from(report.needed) - (self.capacity - self.missing)) / self.per_second
        } else {
            0.0
        };
        self.missing += given;
        let ends = if given > 0.0 { now + LEASED_FOR.as_secs_f64() } else { ends };
        self.held.insert(holder, (own - used - returned + given, ends));
        let (calls, left) = (given as u32, (free - given) as u32);
        Granted { calls, left, wait: Duration::from_secs_f64(wait.max(0.0)) }
    }
}

/// What a second comes to.
#[derive(Debug, Clone, Copy)]
struct Second {
    admitted: f64,
    questions: f64,
}

/// Plays calls for one bucket.
struct Play {
    servers: usize,
    limit: Limit,
    bucket: Bucket,
    slices: Vec<Slice>,
    random: u64,
    admitted: u64,
    questions: u64,
}

impl Play {
    fn new(servers: usize, capacity: u32, per_second: f64) -> Self {
        let limit = Limit::new(Rate { capacity, refill_per_second: per_second });
        let bucket =
            Bucket { capacity: capacity.into(), per_second, missing: 0.0, at: 0.0, held: HashMap::new() };
        let slices = (0..servers).map(|_| Slice::default()).collect();
        Self { servers, limit, bucket, slices, random: 0x9e37_79b9_7f4a_7c15, admitted: 0, questions: 0 }
    }

    /// Between 0 and 1, the same in every run.
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn call(&mut self, now: f64) {
        let (at, moment) = ((self.chance() * self.servers as f64) as usize, moment(now));
        let slice = &mut self.slices[at];
        if slice.has(1, self.limit, moment) == Has::Unknown {
            let report = slice.ask(1, self.limit, moment);
            slice.credit(report, self.bucket.lease(at, report, now), moment);
            self.questions += 1;
        }
        if slice.has(1, self.limit, moment) == Has::Enough {
            slice.take(1, self.limit, 1, moment);
            self.admitted += 1;
        }
    }

    fn look(&mut self, now: f64) {
        for (at, slice) in self.slices.iter_mut().enumerate() {
            if let Some((report, _)) = slice.settle(false) {
                self.bucket.lease(at, report, now);
                self.questions += 1;
            }
        }
    }

    fn second(mut self, calls_per_second: f64) -> Second {
        let (mut now, mut next_look, mut before) = (0.0, LOOK_EVERY, None);
        while now < PLAYED {
            now += -(1.0 - self.chance()).ln() / calls_per_second;
            while next_look <= now {
                self.look(next_look);
                next_look += LOOK_EVERY;
            }
            if now >= SKIPPED && before.is_none() {
                before = Some((self.admitted, self.questions));
            }
            self.call(now);
        }
        let (admitted, questions) = before.unwrap_or_default();
        let a_second = |end: u64, begin: u64| (end - begin) as f64 / (now - SKIPPED);
        Second { admitted: a_second(self.admitted, admitted), questions: a_second(self.questions, questions) }
    }
}

fn moment(secs: f64) -> Moment {
    Moment(ticks(Duration::from_secs_f64(secs)))
}

fn play(servers: usize, (capacity, per_second): (u32, f64), calls_per_second: f64) -> Second {
    Play::new(servers, capacity, per_second).second(calls_per_second)
}

#[test]
fn the_traffic_of_slices_is_known_for_few_and_many_servers() {
    let limits = [(200, 5.0), (5_000, 100.0), (100_000, 10_000.0)];
    println!(
        "| bucket | calls/s | servers | admitted/s | questions/s | questions per admitted call |\n|---|---|---|---|---|---|"
    );
    for limit in limits {
        for calls in [0.1, 1.0, 10.0, 100.0, 1_000.0].into_iter().filter(|calls| *calls <= limit.1 * 10.0) {
            for servers in [1, 3, 10, 64, 1_000] {
                let Second { admitted, questions } = play(servers, limit, calls);
                let each = questions / admitted.max(f64::MIN_POSITIVE);
                println!(
                    "| {} + {}/s | {calls} | {servers} | {admitted:.1} | {questions:.1} | {each:.2} |",
                    limit.0, limit.1
                );
                // One question to get a slice, one to give the rest back: that is the most that a call can cost.
                assert!(questions <= 2.2 * calls + 1.0, "{servers} servers, {calls} calls: {questions}");
            }
        }
    }
}

#[test]
fn a_hot_bucket_is_asked_about_far_less_often_than_it_is_called() {
    for servers in [1, 3, 10] {
        let Second { admitted, questions } = play(servers, (100_000, 10_000.0), 1_000.0);
        assert!(admitted > 990.0, "{admitted}");
        assert!(questions < admitted / 20.0, "{servers} servers: {questions} questions a second");
    }
}
