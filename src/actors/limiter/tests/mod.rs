//! The limiter from inside: the arithmetic, the tables, the actor.

mod arithmetic;
mod fleet;
mod flow;
mod memory;
mod restart;
mod stress;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{LimiterConfig, MAX_BUCKETS, Mode, OnLoss, Rate, ToolRule, Visit};
use crate::domain::{PermissionSet, Principal, PrincipalKind, Recorded, RequestId, Timestamp};

pub(super) const fn rate(capacity: u32, refill_per_second: f64) -> Rate {
    Rate { capacity, refill_per_second }
}

/// Generous to addresses, guests as shipped, users with ten times as much.
pub(super) fn config() -> LimiterConfig {
    LimiterConfig {
        mode: Mode::Enforce,
        on_loss: OnLoss::default(),
        store_wait: millis(500),
        address: rate(1_000, 100.0),
        failures: rate(30, 0.2),
        roles: [("guest".into(), rate(50, 1.0)), ("user".into(), rate(500, 10.0))].into(),
        fallback: rate(50, 1.0),
        tools: [
            ("dear".into(), ToolRule { cost: 10, rate: Some(rate(30, 0.5)), max_in_flight: None }),
            ("narrow".into(), ToolRule { cost: 1, rate: None, max_in_flight: Some(2) }),
            ("hopeless".into(), ToolRule { cost: 51, rate: None, max_in_flight: None }),
        ]
        .into(),
        max_buckets: MAX_BUCKETS,
    }
}

pub(super) fn principal(id: &str, role: &str) -> Arc<Principal> {
    Arc::new(Principal {
        id: id.parse().unwrap(),
        kind: PrincipalKind::Jwt,
        client: "tests".into(),
        credential: "j".into(),
        roles: vec![role.into()],
        permissions: PermissionSet::EMPTY,
        reach: PermissionSet::EMPTY,
        recorded: Recorded::default(),
    })
}

pub(super) fn key(owner: &str, role: &str, credential: &str) -> Arc<Principal> {
    let mut principal = Principal::clone(&principal(owner, role));
    principal.kind = PrincipalKind::ApiKey;
    principal.credential = credential.into();
    Arc::new(principal)
}

/// A visit at a moment of the test's choice.
pub(super) fn visit(ip: &str, clock: Instant) -> Visit<'static> {
    let ip: IpAddr = ip.parse().unwrap();
    Visit { request: RequestId::new(), time: Timestamp::now(), clock, ip: Some(ip), path: "/mcp", epoch: 1 }
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
