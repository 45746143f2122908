//! The methods of this server, by name.

use super::{answer::Answer, call, exchange::Exchange, refusal::Refusal};
use crate::{
    error::Code,
    protocol::{self, Id, Params},
};

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

const METHODS: [(&str, Method); 3] = [
    ("tools/call", Method::CallTool),
    ("tools/list", Method::ListTools),
    ("server/discover", Method::Discover),
];

/// What metrics call a method: ours by their names, `other` for what we do not have, `none` where the
/// request did not get as far.
pub(crate) const METHOD_LABELS: [&str; 5] = ["tools/call", "tools/list", "server/discover", "other", "none"];

impl Method {
    /// The method of that name.
    pub(super) fn find(name: &str) -> Option<Self> {
        METHODS.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
    }

    /// Answers it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) async fn answer(
        self,
        exchange: &mut Exchange<'_>,
        id: Id<'_>,
        params: &Params<'_>,
    ) -> Result<Answer, Refusal> {
        let house = exchange.house();
        match self {
            Self::CallTool => call::tool(exchange, id, params).await,
            // We hand out no cursor, so none that comes can be one of ours (P2).
            Self::ListTools if params.cursor.is_some() => {
                Err(Refusal::new(Code::InvalidParams, "unknown cursor"))
            }
            Self::ListTools => {
                let list = house.views.tools(&exchange.principal, &house.registry);
                Ok(Answer::ok(protocol::render::result(id, &list, &house.views.stamp)))
            }
            Self::Discover => Ok(Answer::ok(protocol::render::result(
                id,
                house.views.discover.as_bytes(),
                &house.views.stamp,
            ))),
        }
    }
}

/// The name as a static one, for metrics and records; `None` for a method that we do not have.
pub(super) fn known_name(name: &str) -> Option<&'static str> {
    METHODS.iter().find(|(known, _)| *known == name).map(|(known, _)| *known)
}
