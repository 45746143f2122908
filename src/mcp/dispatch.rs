//! The methods of this server, by name.

use super::{
    answer::Answer,
    call,
    exchange::{Asked, Exchange},
    refusal::Refusal,
};
use crate::{error::Code, protocol};

/// A method that we answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Who we are and what we can do.
    Discover,
    /// The tools that the caller may call.
    ListTools,
    /// One call.
    CallTool,
}

/// The one that is called most stands first.
const METHODS: [Method; 3] = [Method::CallTool, Method::ListTools, Method::Discover];

/// What metrics call a method: ours by their names, `other` for what we do not have, `none` where the
/// request did not get as far.
pub(crate) const METHOD_LABELS: [&str; 5] = ["tools/call", "tools/list", "server/discover", "other", "none"];

impl Method {
    /// The method of that name.
    pub(super) fn find(name: &str) -> Option<Self> {
        METHODS.into_iter().find(|method| method.name() == name)
    }

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CallTool => "tools/call",
            Self::ListTools => "tools/list",
            Self::Discover => "server/discover",
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
        let views = &exchange.house().views;
        match self {
            Self::CallTool => call::tool(exchange, asked).await,
            // We hand out no cursor, so none that comes can be one of ours (P2).
            Self::ListTools if asked.params.cursor.is_some() => {
                Err(Refusal::new(Code::InvalidParams, "unknown cursor"))
            }
            Self::ListTools => {
                let list = views.tools(&asked.principal, &exchange.house().registry);
                Ok(Answer::ok(protocol::render::result(asked.id, &list, &views.stamp)))
            }
            Self::Discover => {
                Ok(Answer::ok(protocol::render::result(asked.id, views.discover.as_bytes(), &views.stamp)))
            }
        }
    }
}
