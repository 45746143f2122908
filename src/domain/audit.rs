//! What happened, before it is written down. The audit room alone turns it into a record.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use super::{Principal, RequestId, Timestamp};
use crate::error::{Code, Kind};

/// The stable codes of what can happen. Names are API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventCode {
    /// A request on the MCP endpoint was answered.
    ToolCalled,
    /// A tool that changes something is about to run.
    ToolStarted,
    /// A task of a tool came to its end.
    TaskEnded,
    /// A known caller was refused.
    ToolDenied,
    /// A credential was refused.
    AuthFailed,
    /// Requests were refused because a bucket was empty: one record for a second of them.
    RateLimited,
    /// A credential was seen for the first time by this process and holds.
    AuthSucceeded,
    /// A token was minted.
    TokenIssued,
    /// A refresh token was exchanged for its successors.
    TokenRefreshed,
    /// A token, user or client was revoked.
    TokenRevoked,
    /// A refresh token was used twice: somebody has a copy.
    TokenReuseDetected,
    /// An account was made, disabled, enabled, or has another password.
    UserChanged,
    /// An account has other roles.
    RoleChanged,
    /// An API key was made.
    KeyCreated,
    /// An API key got a successor.
    KeyRotated,
    /// An API key was taken back for good.
    KeyRevoked,
    /// An API key came to its end.
    KeyExpired,
    /// An API key was disabled or enabled.
    KeyChanged,
    /// Settings were read again while the server runs, and are in force.
    SettingsReloaded,
    /// The server began to serve.
    ServerStarted,
    /// The server stopped.
    ServerStopped,
    /// The store stopped answering.
    StoreLost,
    /// The store answers again.
    StoreRecovered,
    /// An operator has said that another store takes the place of the one that was lost.
    StoreAdopted,
    /// The chain so far, signed.
    AuditCheckpoint,
    /// Something an operator should look at.
    AlertRaised,
    /// A request that is none of the above: lists, discovery, notifications, refusals before a tool.
    RequestServed,
}

impl EventCode {
    /// Every code.
    pub const ALL: [Self; 27] = [
        Self::ToolCalled,
        Self::ToolStarted,
        Self::TaskEnded,
        Self::ToolDenied,
        Self::AuthFailed,
        Self::RateLimited,
        Self::AuthSucceeded,
        Self::TokenIssued,
        Self::TokenRefreshed,
        Self::TokenRevoked,
        Self::TokenReuseDetected,
        Self::UserChanged,
        Self::RoleChanged,
        Self::KeyCreated,
        Self::KeyRotated,
        Self::KeyRevoked,
        Self::KeyExpired,
        Self::KeyChanged,
        Self::SettingsReloaded,
        Self::ServerStarted,
        Self::ServerStopped,
        Self::StoreLost,
        Self::StoreRecovered,
        Self::StoreAdopted,
        Self::AuditCheckpoint,
        Self::AlertRaised,
        Self::RequestServed,
    ];

    /// The code as it stands in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ToolCalled => "tool.called",
            Self::ToolStarted => "tool.started",
            Self::TaskEnded => "task.ended",
            Self::ToolDenied => "tool.denied",
            Self::AuthFailed => "auth.failed",
            Self::RateLimited => "rate.limited",
            Self::AuthSucceeded => "auth.succeeded",
            Self::TokenIssued => "token.issued",
            Self::TokenRefreshed => "token.refreshed",
            Self::TokenRevoked => "token.revoked",
            Self::TokenReuseDetected => "token.reuse_detected",
            Self::UserChanged => "user.changed",
            Self::RoleChanged => "role.changed",
            Self::KeyCreated => "key.created",
            Self::KeyRotated => "key.rotated",
            Self::KeyRevoked => "key.revoked",
            Self::KeyExpired => "key.expired",
            Self::KeyChanged => "key.changed",
            Self::SettingsReloaded => "settings.reloaded",
            Self::ServerStarted => "server.started",
            Self::ServerStopped => "server.stopped",
            Self::StoreLost => "store.lost",
            Self::StoreRecovered => "store.recovered",
            Self::StoreAdopted => "store.adopted",
            Self::AuditCheckpoint => "audit.checkpoint",
            Self::AlertRaised => "alert.raised",
            Self::RequestServed => "request.served",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// As asked.
    Ok,
    /// The tool or the request was wrong.
    Error,
    /// The caller may not.
    Denied,
    /// A bucket was empty.
    Limited,
    /// The client left first.
    Cancelled,
    /// The deadline came first.
    Timeout,
    /// Our fault.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Error, Self::Denied, Self::Limited, Self::Cancelled, Self::Timeout, Self::Failed];

    /// How the record says that a refusal of this class ended.
    pub const fn of(code: Code) -> Self {
        match code.kind() {
            Kind::Request => Self::Error,
            Kind::Slow => Self::Timeout,
            Kind::NoProof | Kind::FailedProof | Kind::Forbidden => Self::Denied,
            Kind::Limited => Self::Limited,
            Kind::Unavailable | Kind::Fault => Self::Failed,
        }
    }

    /// The word for it in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Denied => "denied",
            Self::Limited => "limited",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// One thing that happened. Never holds a token, a key, a password or an argument's value.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: EventCode,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, for whatever is not `ok`: a word of [`crate::error::Code::reason`].
    pub reason: Option<&'static str>,
    /// Who; `None` if nobody proved to be anybody.
    pub principal: Option<Arc<Principal>>,
    /// From where.
    pub ip: Option<IpAddr>,
    /// What the client calls itself, cut to 256 bytes by whoever fills it in.
    pub user_agent: Option<Box<str>>,
    /// The HTTP path, cut likewise.
    pub path: Option<Cow<'static, str>>,
    /// The MCP method.
    pub method: Option<Cow<'static, str>>,
    /// The tool, as the client named it, cut to 128 bytes.
    pub tool: Option<Cow<'static, str>>,
    /// The permission that was missing, always named here whatever the caller was told.
    pub missing: Option<Box<str>>,
    /// HMAC-SHA-256 of the arguments as they came.
    pub arguments_digest: Option<[u8; 32]>,
    /// Which request.
    pub request_id: Option<RequestId>,
    /// How long it took, microseconds.
    pub duration_us: Option<u64>,
    /// Whether something that stands here was cut before.
    pub truncated: bool,
    /// What is summed up, where one record stands for several requests.
    pub summary: Option<Box<Summary>>,
    /// Further members that only this kind of event has: a JSON object's text, without secrets.
    pub detail: Option<Box<str>>,
}

/// The member of [`AuditEvent::detail`] that a message of a batch has: the id of the request of HTTP that it came in.
pub const WITHIN: &str = "http_request_id";

/// Several requests in one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which limit they reached.
    pub scope: &'static str,
    /// How many.
    pub count: u64,
    /// The ids of the first ones.
    pub request_ids: Vec<RequestId>,
}

impl AuditEvent {
    /// An event of which only the kind, the end and the moment are known yet.
    pub const fn new(time: Timestamp, event: EventCode, outcome: Outcome) -> Self {
        Self {
            time,
            event,
            outcome,
            reason: None,
            principal: None,
            ip: None,
            user_agent: None,
            path: None,
            method: None,
            tool: None,
            missing: None,
            arguments_digest: None,
            request_id: None,
            duration_us: None,
            truncated: false,
            summary: None,
            detail: None,
        }
    }
}
