//! The methods of this server, by name.

use super::{
    answer::Answer,
    call, completion,
    exchange::{Asked, Exchange},
    listen, prompts,
    refusal::Refusal,
    resources, sessions, tasks, tools,
};
use crate::{error::Code, protocol::Revision};

/// A method that we answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// One call.
    CallTool,
    /// The tools that the caller may call.
    ListTools,
    /// The resources that the caller may read.
    ListResources,
    /// How they are named.
    ListTemplates,
    /// What one of them holds.
    ReadResource,
    /// The prompts that the caller may get.
    ListPrompts,
    /// One of them.
    GetPrompt,
    /// What an argument may be.
    Complete,
    /// Who we are and what we can do; modern.
    Discover,
    /// A stream of what changes; modern.
    Listen,
    /// How far a task is; modern.
    GetTask,
    /// Answers to what a task asks; modern.
    UpdateTask,
    /// The end of a task that nobody wants any more; modern.
    CancelTask,
    /// The handshake of older revisions.
    Initialize,
    /// Whether we are there; older revisions.
    Ping,
    /// To be told of one resource; older revisions, in a session.
    Subscribe,
    /// Not to be told of it any more.
    Unsubscribe,
    /// How grave a log message must be to be told; older revisions, in a session.
    SetLevel,
}

/// The one that is called most stands first.
const METHODS: [Method; 18] = [
    Method::CallTool,
    Method::ListTools,
    Method::ReadResource,
    Method::ListResources,
    Method::ListTemplates,
    Method::GetPrompt,
    Method::ListPrompts,
    Method::Complete,
    Method::Discover,
    Method::Listen,
    Method::GetTask,
    Method::UpdateTask,
    Method::CancelTask,
    Method::Initialize,
    Method::Ping,
    Method::Subscribe,
    Method::Unsubscribe,
    Method::SetLevel,
];

/// What metrics call a method: ours by their names, `other` for what we do not have, `none` where the
/// request did not get as far.
pub(crate) const METHOD_LABELS: [&str; 20] = [
    "tools/call",
    "tools/list",
    "resources/read",
    "resources/list",
    "resources/templates/list",
    "prompts/get",
    "prompts/list",
    "completion/complete",
    "server/discover",
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "initialize",
    "ping",
    "resources/subscribe",
    "resources/unsubscribe",
    "logging/setLevel",
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
            Self::CallTool
            | Self::ListTools
            | Self::ListResources
            | Self::ListTemplates
            | Self::ReadResource
            | Self::ListPrompts
            | Self::GetPrompt
            | Self::Complete => true,
            Self::Discover | Self::Listen | Self::GetTask | Self::UpdateTask | Self::CancelTask => {
                revision.is_modern()
            }
            Self::Initialize | Self::Ping | Self::Subscribe | Self::Unsubscribe | Self::SetLevel => {
                !revision.is_modern()
            }
        }
    }

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CallTool => "tools/call",
            Self::ListTools => "tools/list",
            Self::ListResources => "resources/list",
            Self::ListTemplates => "resources/templates/list",
            Self::ReadResource => "resources/read",
            Self::ListPrompts => "prompts/list",
            Self::GetPrompt => "prompts/get",
            Self::Complete => "completion/complete",
            Self::Discover => "server/discover",
            Self::Listen => "subscriptions/listen",
            Self::GetTask => "tasks/get",
            Self::UpdateTask => "tasks/update",
            Self::CancelTask => "tasks/cancel",
            Self::Initialize => "initialize",
            Self::Ping => "ping",
            Self::Subscribe => "resources/subscribe",
            Self::Unsubscribe => "resources/unsubscribe",
            Self::SetLevel => "logging/setLevel",
        }
    }

    /// Answers it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) async fn answer(
        self,
        exchange: &mut Exchange<'_>,
        asked: &mut Asked<'_>,
    ) -> Result<Answer, Refusal> {
        let (id, revision) = (asked.id, asked.revision);
        let house = exchange.house();
        let dress = house.views.dress(revision);
        match self {
            Self::CallTool => call::tool(exchange, asked).await,
            Self::ListTools => tools::list(exchange, asked),
            // Boxed, so that the future of a call is not as large as that of whatever else could have been asked.
            Self::ListResources => Box::pin(resources::list(exchange, asked)).await,
            Self::ListTemplates => resources::templates(exchange, asked),
            Self::ReadResource => Box::pin(resources::read(exchange, asked)).await,
            Self::ListPrompts => prompts::list(exchange, asked),
            Self::GetPrompt => Box::pin(prompts::get(exchange, asked)).await,
            Self::Complete => Box::pin(completion::complete(exchange, asked)).await,
            Self::Discover => {
                Ok(Answer::ok(house.views.dress_of_discover().result(id, house.views.discover.as_bytes())))
            }
            Self::Listen => listen::open(exchange, asked),
            Self::GetTask => Box::pin(tasks::get(exchange, asked)).await,
            Self::UpdateTask => Box::pin(tasks::update(exchange, asked)).await,
            Self::CancelTask => Box::pin(tasks::cancel(exchange, asked)).await,
            Self::Initialize => {
                let offered = asked.params.offered().ok_or_else(|| {
                    Refusal::new(Code::InvalidParams, "params.protocolVersion must be a string")
                })?;
                if exchange.may_have_session() {
                    return Box::pin(sessions::introduce(exchange, asked, offered)).await;
                }
                let agreed = house.views.introduction(offered);
                Ok(Answer::ok(dress.result(id, agreed.as_bytes())))
            }
            Self::Ping => Ok(Answer::ok(dress.result(id, b""))),
            Self::Subscribe => Box::pin(sessions::subscribe(exchange, asked)).await,
            Self::Unsubscribe => Box::pin(sessions::unsubscribe(exchange, asked)).await,
            Self::SetLevel => Box::pin(sessions::set_level(exchange, asked)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_counted_under_its_own_name() {
        let mut names: Vec<_> = METHODS.iter().map(|method| method.name()).collect();
        names.extend(["other", "none"]);
        names.sort_unstable();
        let mut labels = METHOD_LABELS.to_vec();
        labels.sort_unstable();
        assert_eq!(names, labels);
    }
}
