//! What is unusual enough to be told at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sign::{Offender, Sign, What};
use crate::domain::Timestamp;

/// How long hits count together, and how long nothing may happen before the same is told again.
///
/// Long enough that a guess every half minute shows, short enough that an alert is about now.
pub const WINDOW: Duration = Duration::from_secs(300);
/// Failed authentications of one address. Below the burst that an address may fail before it has to wait
/// (`limits.failures`, 30), above what a person with an expired token and a few retries makes.
pub const FAILURES: u64 = 10;
/// Different tools that one principal is denied. One or two are a client with a list of yesterday; five are
/// somebody who tries what there is.
pub const DENIED_TOOLS: u64 = 5;
/// Requests of one principal over a limit. A client that minds `Retry-After` is refused once a wait; this
/// many in five minutes does not.
pub const REFUSALS: u64 = 20;

/// A pattern that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// [`FAILURES`] credentials from one address did not hold.
    RepeatedAuthFailures,
    /// One principal was denied [`DENIED_TOOLS`] different tools.
    DeniedToolsProbed,
    /// One principal was over a limit [`REFUSALS`] times.
    RepeatedLimitRefusals,
}

impl Pattern {
    /// Every pattern.
    pub const ALL: [Self; 3] =
        [Self::RepeatedAuthFailures, Self::DeniedToolsProbed, Self::RepeatedLimitRefusals];

    /// Its name, the `reason` of its alerts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RepeatedAuthFailures => "repeated_auth_failures",
            Self::DeniedToolsProbed => "denied_tools_probed",
            Self::RepeatedLimitRefusals => "repeated_limit_refusals",
        }
    }

    /// The pattern of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pattern| pattern.name() == name)
    }

    /// How many hits within [`WINDOW`] make it.
    pub const fn threshold(self) -> u64 {
        match self {
            Self::RepeatedAuthFailures => FAILURES,
            Self::DeniedToolsProbed => DENIED_TOOLS,
            Self::RepeatedLimitRefusals => REFUSALS,
        }
    }

    /// Which pattern `sign` is a hit of, whose, and how often.
    pub(super) fn hit(sign: &Sign) -> Option<(Self, Offender, u64)> {
        let principal = || sign.principal.clone().map(Offender::Principal);
        match &sign.what {
            What::Failed { guess: true } => {
                Some((Self::RepeatedAuthFailures, Offender::address(sign.address?), 1))
            }
            What::Denied { tool: Some(_) } => Some((Self::DeniedToolsProbed, principal()?, 1)),
            What::Limited { count } => Some((Self::RepeatedLimitRefusals, principal()?, *count)),
            // A resource or a prompt that was denied is no tool, however often it is asked for.
            What::Denied { tool: None } | What::Failed { guess: false } | What::Alert { .. } => None,
        }
    }
}

impl Finding {
    /// What an alert tells of a pattern, and when it did; `None` for any other sign.
    pub(super) fn told_by(sign: &Sign) -> Option<(Self, Timestamp)> {
        let What::Alert { reason, detail } = &sign.what else { return None };
        let pattern = Pattern::named(reason)?;
        let finding: Self = serde_json::from_str(detail.as_deref()?).ok()?;
        (finding.pattern == pattern).then_some((finding, sign.time))
    }
}

/// A pattern that was found, as the `detail` of its alert says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which one.
    pub pattern: Pattern,
    /// Whose.
    pub subject: Offender,
    /// How many hits there were when it was told.
    pub count: u64,
    /// Within how many seconds.
    pub window_seconds: u64,
}
