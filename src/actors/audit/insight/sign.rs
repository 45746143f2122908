//! What the insight takes of a record: always its kind and minute, and of the few that may be a sign of
//! abuse also who it was. The same from an event that was just written and from a line of the log.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{AuditEvent, EventCode, Outcome, Subject, Timestamp},
    error::Code,
};

/// Longest detail of an alert that is kept, bytes; ours are shorter.
pub(super) const MAX_DETAIL: usize = 1_024;

/// What somebody did that they should not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// An `auth.failed` record.
    FailedAuthentication,
    /// A `tool.denied` record.
    PermissionDenial,
    /// A request that a `rate.limited` record counts.
    RateLimit,
}

impl Violation {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::FailedAuthentication, Self::PermissionDenial, Self::RateLimit];
}

/// Whom something is laid to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offender {
    /// An address: IPv4 as it is, IPv6 by its /64, which is what one subscriber gets.
    Address(IpAddr),
    /// A principal's id.
    Principal(Subject),
}

impl Offender {
    /// The subscriber that `ip` belongs to.
    pub(super) fn address(ip: IpAddr) -> Self {
        Self::Address(match ip.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// Which kind of offender this is, in one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Principal(_) => "principal",
        }
    }
}

#[cfg(test)]
impl Offender {
    /// How much memory its text takes, with the two counters that stand before it.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Address(_) => 0,
            Self::Principal(id) => 16 + id.as_str().len(),
        }
    }
}

impl std::fmt::Display for Offender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Address(IpAddr::V6(ip)) => write!(f, "{ip}/64"),
            Self::Principal(id) => id.fmt(f),
        }
    }
}

/// A record that may be a sign of abuse.
#[derive(Debug, Clone)]
pub(super) struct Sign {
    pub(super) time: Timestamp,
    pub(super) address: Option<IpAddr>,
    pub(super) principal: Option<Subject>,
    pub(super) what: What,
}

/// What it is a sign of.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A credential did not hold; `guess` if one was shown at all.
    Failed { guess: bool },
    /// A permission was missing.
    Denied { tool: Option<Cow<'static, str>> },
    /// So many requests were over a limit.
    Limited { count: u64 },
    /// An alert was raised.
    Alert { reason: Cow<'static, str>, detail: Option<Box<str>> },
}

impl Sign {
    /// What was violated and how often; `None` for an alert.
    pub(super) const fn violation(&self) -> Option<(Violation, u64)> {
        match self.what {
            What::Failed { .. } => Some((Violation::FailedAuthentication, 1)),
            What::Denied { .. } => Some((Violation::PermissionDenial, 1)),
            What::Limited { count } => Some((Violation::RateLimit, count)),
            What::Alert { .. } => None,
        }
    }

    /// Whom it is laid to.
    pub(super) fn offenders(&self) -> impl Iterator<Item = Offender> {
        let address = self.address.map(Offender::address);
        address.into_iter().chain(self.principal.clone().map(Offender::Principal))
    }
}

/// One record.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) time: Timestamp,
    pub(super) event: EventCode,
    pub(super) outcome: Outcome,
    /// How many requests it stands for.
    pub(super) weight: u64,
    pub(super) sign: Option<Sign>,
}

/// Whether a refusal for this reason says that somebody has tried a credential that does not hold: not who has
/// shown none (every client begins so), was told to wait, or could not be checked by our fault.
fn is_guess(reason: &str) -> bool {
    Code::ALL.into_iter().any(|code| code.is_failed_proof() && code.reason() == reason)
}

impl Seen {
    /// An event that was just written down. Allocates nothing unless it is an alert.
    pub(super) fn of(event: &AuditEvent) -> Self {
        let weight = event.summary.as_ref().map_or(1, |summary| summary.count);
        let what = match event.event {
            EventCode::AuthFailed => Some(What::Failed { guess: event.reason.is_some_and(is_guess) }),
            EventCode::ToolDenied => Some(What::Denied { tool: event.tool.clone() }),
            EventCode::RateLimited => Some(What::Limited { count: weight }),
            EventCode::AlertRaised => {
                let detail = event.detail.clone().filter(|detail| detail.len() <= MAX_DETAIL);
                Some(What::Alert { reason: Cow::Borrowed(event.reason.unwrap_or_default()), detail })
            }
            _ => None,
        };
        let (time, address) = (event.time, event.ip);
        let principal = || event.principal.as_ref().map(|principal| principal.id.clone());
        let sign = what.map(|what| Sign { time, address, principal: principal(), what });
        Self { time, event: event.event, outcome: event.outcome, weight, sign }
    }

    /// A line of the log; `None` if it is no record of a kind that we know.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let time = Timestamp::from_rfc3339(&line.time)?;
        let event = EventCode::ALL.into_iter().find(|code| code.as_str() == line.event)?;
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == line.outcome)?;
        let weight = line.count.unwrap_or(1);
        let what = match event {
            EventCode::AuthFailed => {
                Some(What::Failed { guess: line.reason.as_deref().is_some_and(is_guess) })
            }
            EventCode::ToolDenied => {
                Some(What::Denied { tool: line.tool.map(|tool| Cow::Owned(tool.into_owned())) })
            }
            EventCode::RateLimited => Some(What::Limited { count: weight }),
            EventCode::AlertRaised => Some(What::Alert {
                reason: Cow::Owned(line.reason.unwrap_or_default().into_owned()),
                detail: line.detail.map(|it| it.get()).filter(|it| it.len() <= MAX_DETAIL).map(Into::into),
            }),
            _ => None,
        };
        let address = line.ip.and_then(|ip| ip.parse().ok());
        let principal = line.principal.and_then(|who| who.id.parse().ok());
        let sign = what.map(|what| Sign { time, address, principal, what });
        Some(Self { time, event, outcome, weight, sign })
    }
}

/// The members of a record that count here.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    principal: Option<Who<'a>>,
    #[serde(borrow, default)]
    ip: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool: Option<Cow<'a, str>>,
    #[serde(default)]
    count: Option<u64>,
    #[serde(borrow, default)]
    detail: Option<&'a serde_json::value::RawValue>,
}

#[derive(Debug, Deserialize)]
struct Who<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}
