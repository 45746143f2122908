//! The methods of this server, by name.

use super::{
    answer::Answer,
    call,
    exchange::{Asked, Exchange},
    listen,
    refusal::Refusal,
};
use crate::{error::Code, protocol::Revision};

/// A method that we answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// One call.
    CallTool,
    /// The tools that the caller may call.
    ListTools,
    /// Who we are and what we can do; modern.
    Discover,
    /// A stream of what changes; modern.
    Listen,
    /// The handshake of older revisions.
    Initialize,
    /// Whether we are there; older revisions.
    Ping,
}

/// The one that is called most stands first.
const METHODS: [Method; 6] =
    [Method::CallTool, Method::ListTools, Method::Discover, Method::Listen, Method::Initialize, Method::Ping];

/// What metrics call a method: ours by their names, `other` for what we do not have, `none` where the
/// request did not get as far.
pub(crate) const METHOD_LABELS: [&str; 8] = [
    "tools/call",
    "tools/list",
    "server/discover",
    "subscriptions/listen",
    "initialize",
    "ping",
    "other",
    "none",
];

impl Method {
    /// The method of that name in any revision.
    pub(super) fn named(name: &str) -> Option<Self> {
        METHODS.into_iter().find(|method| method.name() == name)
    }

    /// The method of that name in `revision`.
    pub(super) fn find(name: &str, revision: Revision) -> Option<Self> {
        Self::named(name).filter(|method| method.is_in(revision))
    }

    /// Whether `revision` has it.
    pub(super) const fn is_in(self, revision: Revision) -> bool {
        match self {
            Self::CallTool | Self::ListTools => true,
            Self::Discover | Self::Listen => revision.is_modern(),
            Self::Initialize | Self::Ping => !revision.is_modern(),
        }
    }

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CallTool => "tools/call",
            Self::ListTools => "tools/list",
            Self::Discover => "server/discover",
            Self::Listen => "subscriptions/listen",
            Self::Initialize => "initialize",
            Self::Ping => "ping",
        }
    }

    /// Answers it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) async fn answer(
        self,
        exchange: &mut Exchange<'_>,
        asked: Asked<'_>,
    ) -> Result<Answer, Refusal> {
        let (id, revision) = (asked.id, asked.revision);
        let house = exchange.house();
        let dress = house.views.dress(revision);
        match self {
            Self::CallTool => call::tool(exchange, asked).await,
            // We hand out no cursor, so none that comes can be one of ours (P2).
            Self::ListTools if asked.params.cursor.is_some() => {
                Err(Refusal::new(Code::InvalidParams, "unknown cursor"))
            }
            Self::ListTools => {
                let list = house.views.tools(&asked.principal, &house.registry, revision);
                Ok(Answer::ok(dress.result(id, &list)))
            }
            Self::Discover => Ok(Answer::ok(dress.result(id, house.views.discover.as_bytes()))),
            Self::Listen => listen::open(exchange, &asked),
            Self::Initialize => {
                let offered = asked.params.offered().ok_or_else(|| {
                    Refusal::new(Code::InvalidParams, "params.protocolVersion must be a string")
                })?;
                let agreed = house.views.introduction(offered);
                Ok(Answer::ok(dress.result(id, agreed.as_bytes())))
            }
            Self::Ping => Ok(Answer::ok(dress.result(id, b""))),
        }
    }
}
