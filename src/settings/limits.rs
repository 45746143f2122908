//! `[limits]`: who may have how much.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{kind::Kind, problem::Report, schema::Key, units};

/// Largest capacity.
pub(super) const MOST: u64 = 1_000_000_000;
/// Slowest refill: one call in eleven days.
pub(super) const LEAST_REFILL: f64 = 0.000_001;
/// Fastest refill.
pub(super) const MOST_REFILL: f64 = 1e9;

/// The keys of `[limits]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "limits.mode",
        Kind::OneOf(&["enforce", "shadow", "unsafe_off"]),
        "What happens to a request over a limit: enforce refuses it, shadow only counts and records it, \
         unsafe_off limits nothing.",
    ),
    Key::new(
        "limits.on_store_loss",
        Kind::OneOf(&["local_share", "deny", "unsafe_allow"]),
        "What holds while a store that several servers share is lost: local_share limits by this server's \
         share, deny refuses, unsafe_allow limits nothing. One server alone limits by its own memory.",
    ),
    Key::new(
        "limits.store_wait",
        Kind::Span(Duration::from_millis(1), Duration::from_secs(10)),
        "Time that one request waits for a store that several servers share to say how much is left, 1ms to 10s; \
         then it is refused as overloaded, or let in where on_store_loss is unsafe_allow.",
    ),
    Key::new(
        "limits.default.capacity",
        Kind::Whole(1, MOST),
        "Calls at once of a principal whose role says nothing of it, 1 to 1000000000.",
    ),
    Key::new(
        "limits.default.refill_per_second",
        Kind::Number(LEAST_REFILL, MOST_REFILL),
        "Calls that come back to it in a second, 0.000001 to 1000000000.",
    ),
    Key::new(
        "limits.ip.capacity",
        Kind::Whole(1, MOST),
        "Requests at once of one address (IPv6 by its /64) before anybody is asked who it is, 1 to \
         1000000000. /health is free.",
    ),
    Key::new(
        "limits.ip.refill_per_second",
        Kind::Number(LEAST_REFILL, MOST_REFILL),
        "Requests that come back to the address in a second, 0.000001 to 1000000000.",
    ),
    Key::new(
        "limits.failures.capacity",
        Kind::Whole(1, MOST),
        "Failed authentications at once of one address, 1 to 1000000000; after that no credential from there \
         is looked at, save those that were good before.",
    ),
    Key::new(
        "limits.failures.refill_per_second",
        Kind::Number(LEAST_REFILL, MOST_REFILL),
        "Failed authentications that come back to the address in a second, 0.000001 to 1000000000.",
    ),
    Key::new(
        "limits.tools.<name>.capacity",
        Kind::Whole(1, MOST),
        "Calls at once of the tool by all callers together, in calls of cost 1, 1 to 1000000000; without it \
         only the callers are limited.",
    ),
    Key::new(
        "limits.tools.<name>.refill_per_second",
        Kind::Number(LEAST_REFILL, MOST_REFILL),
        "Calls that come back to the tool in a second, 0.000001 to 1000000000; goes with capacity.",
    ),
    Key::new(
        "limits.tools.<name>.cost",
        Kind::Whole(1, MOST),
        "Calls that one call of the tool takes, from its caller too, 1 to 1000000000; without it what the \
         tool says itself.",
    ),
    Key::new(
        "limits.tools.<name>.max_in_flight",
        Kind::Whole(1, MOST),
        "Most calls of the tool that run at the same time, 1 to 1000000000.",
    ),
];

/// `[limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSettings {
    /// What happens to a request over a limit.
    pub mode: LimitMode,
    /// What holds while a shared store is lost.
    pub on_store_loss: OnQuotaLoss,
    /// How long one request waits for a shared store.
    #[serde(deserialize_with = "units::read_duration")]
    pub store_wait: Duration,
    /// `[limits.default]`: a role that says nothing.
    pub default: RateSettings,
    /// `[limits.ip]`: requests of one address.
    pub ip: RateSettings,
    /// `[limits.failures]`: failed authentications of one address.
    pub failures: RateSettings,
    /// `[limits.tools.<name>]`, by name.
    #[serde(default)]
    pub tools: BTreeMap<String, ToolLimitSettings>,
}

/// How fast a bucket may be emptied, and how fast it fills.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateSettings {
    /// Most at once, 1 to 1 000 000 000.
    pub capacity: u32,
    /// What comes back in a second, 0.000001 to 1 000 000 000.
    pub refill_per_second: f64,
}

/// `[limits.tools.<name>]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolLimitSettings {
    /// Calls at once, of all callers together.
    pub capacity: Option<u32>,
    /// Calls that come back in a second; set if `capacity` is.
    pub refill_per_second: Option<f64>,
    /// Calls that one call takes; what the tool says itself if `None`.
    pub cost: Option<u32>,
    /// Most calls that run at the same time.
    pub max_in_flight: Option<u32>,
}

/// What happens to a request over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitMode {
    /// It is refused.
    Enforce,
    /// It is counted and recorded, and let in.
    Shadow,
    /// Nothing is limited.
    UnsafeOff,
}

/// What holds while the store that several servers share is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnQuotaLoss {
    /// This server's share of each limit.
    LocalShare,
    /// Nobody is let in.
    Deny,
    /// Nothing is limited.
    UnsafeAllow,
}

impl LimitsSettings {
    pub(super) fn check(&self, report: &mut Report) {
        if self.mode == LimitMode::UnsafeOff {
            let (problem, fix) = ("limits nothing", "set it to enforce, or to shadow to try limits out");
            report.refuse_in_production("limits.mode", problem, fix);
        }
        if self.on_store_loss == OnQuotaLoss::UnsafeAllow && report.is_production() {
            let (problem, fix) = ("limits nothing while the store is lost", "set it to local_share or deny");
            report.warn("limits.on_store_loss", problem, fix);
        }
        for (name, tool) in &self.tools {
            tool.check(&format!("limits.tools.{name}"), report);
        }
    }
}

impl ToolLimitSettings {
    fn check(&self, at: &str, report: &mut Report) {
        let both = self.capacity.is_some() == self.refill_per_second.is_some();
        let fix = "set both, or neither";
        report.require(both, at, ("has one of capacity and refill_per_second without the other", fix));
        if let (Some(capacity), Some(cost)) = (self.capacity, self.cost) {
            let fix = "raise the capacity or lower the cost";
            let fits = cost <= capacity;
            report.require(
                fits,
                &format!("{at}.capacity"),
                ("is below its cost: no call could ever run", fix),
            );
        }
    }
}
