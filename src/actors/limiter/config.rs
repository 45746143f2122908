//! What the limiter enforces, worked out from the settings by whoever starts it.

use std::{collections::HashMap, time::Duration};

pub use super::fleet::OnLoss;

/// How fast one bucket may be emptied, and how fast it fills.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Most calls at once, 1 to 1 000 000 000.
    pub capacity: u32,
    /// Calls that come back in a second, 0.000001 to 1 000 000 000.
    pub refill_per_second: f64,
}

/// What happens to a request that is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It is counted and recorded, and let in: to find out what a limit would do.
    Shadow,
    /// Nothing is limited.
    Off,
}

/// What one call of a tool takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToolRule {
    /// Calls that it takes from the caller's buckets and from the tool's own, 1 or more.
    pub cost: u32,
    /// The bucket that all callers of the tool share.
    pub rate: Option<Rate>,
    /// Most calls that run at the same time.
    pub max_in_flight: Option<u32>,
}

/// Everything that is limited.
#[derive(Debug, Clone)]
pub struct LimiterConfig {
    /// What happens to a request that is over a limit.
    pub mode: Mode,
    /// What holds while a store that several servers share is lost.
    pub on_loss: OnLoss,
    /// How long a request waits for a store that several servers share, then it is refused.
    pub store_wait: Duration,
    /// Requests of one address, before anybody is asked who it is.
    pub address: Rate,
    /// Failed authentications of one address.
    pub failures: Rate,
    /// What the principals of a role have.
    pub roles: HashMap<Box<str>, Rate>,
    /// What a principal without any of these roles has.
    pub fallback: Rate,
    /// The tools that are more than one plain call.
    pub tools: HashMap<Box<str>, ToolRule>,
    /// Most buckets of one scope: all further identities share one. Bounds the memory.
    pub max_buckets: usize,
}

/// [`LimiterConfig::max_buckets`] of a server. A bucket takes at most 128 bytes with its place in the table, so
/// a table at most 128 MiB.
pub const MAX_BUCKETS: usize = 1 << 20;
