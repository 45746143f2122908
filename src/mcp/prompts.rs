//! `prompts/list` and `prompts/get`: to a prompt there is one path. What a caller may not get is to it what does not
//! exist.

use std::sync::Arc;

use serde_json::json;

use super::{
    answer::Answer,
    call,
    dispatch::Method,
    exchange::{Asked, Exchange},
    guarded::guarded,
    page::{self, LIST_TTL_MS, View},
    refusal::Refusal,
    resources,
    rounds::{self, About},
};
use crate::{
    domain::Principal,
    error::Code,
    house::Place,
    policy::{self, GetPrompt},
    prompts::{Block, Message, Values},
    protocol::{Content, Revision, Tree},
    tools::{Asking, Call, ToolError, clean_name, hygiene},
};

/// Most messages of one prompt.
const MAX_MESSAGES: usize = 64;

/// The prompts that the caller may get.
///
/// # Errors
/// [`Refusal`].
pub(super) fn list(exchange: &Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let house = exchange.house();
    let set = house.prompts.now();
    let view = View { list: "prompts/list", generation: set.generation(), principal: &asked.principal };
    let after = view.after(exchange, asked.params.cursor)?;
    let shown = set
        .iter()
        .filter(|entry| policy::decide::<GetPrompt>(&asked.principal, entry.needs()).is_ok())
        .map(|entry| (entry.prompt().spec().name.as_str(), entry.json(asked.revision)));
    let (shown, last) = page::cut(shown, after.as_deref());
    let end = view.end(exchange, last, (asked.revision, LIST_TTL_MS))?;
    let members = format!("\"prompts\":[{}]{end}", shown.join(","));
    Ok(Answer::ok(house.views.dress(asked.revision).result(asked.id, members.as_bytes())))
}

/// One prompt with the caller's values.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn get(exchange: &mut Exchange<'_>, asked: &mut Asked<'_>) -> Result<Answer, Refusal> {
    let name = asked.params.tool_name();
    let name = name.ok_or_else(|| Refusal::new(Code::InvalidParams, "params.name must be a string"))?;
    let set = exchange.house().prompts.now();
    let entry = set.find(&name).ok_or_else(|| unknown(&name))?;
    let permit =
        exchange.permit::<GetPrompt>(&asked.principal, entry.needs()).ok_or_else(|| unknown(&name))?;
    let arguments = asked.params.arguments.take().map_or_else(|| Tree::of_text("{}"), Ok)?;
    arguments.check_members()?;
    exchange.record.arguments(call::digest(&exchange.house().digest_key, arguments.text()));
    let spec = entry.prompt().spec();
    exchange.record.detail(&json!({ "prompt": spec.name }));
    let values = Values::check(&spec.arguments, said(&arguments)?);
    let values = values.map_err(|wrong| Refusal::new(Code::InvalidParams, wrong))?;
    let about = About { method: Method::GetPrompt, name: &spec.name, arguments: Some(&arguments) };
    let (round, asking) = rounds::begin(exchange, asked, about)?;
    let call = Call::new(&permit).answered(&asking);
    let getting = entry.prompt().get(&values, &call);
    let messages = guarded(exchange, (&spec.name, entry.prompt().deadline()), getting).await?;
    if let Err(error @ (ToolError::Unanswered | ToolError::CannotAsk(_))) = &messages {
        return rounds::go_on(exchange, (asked, about), (round, asking), error);
    }
    let messages = messages.map_err(|error| match error {
        ToolError::NotFound(text) | ToolError::Arguments(text) | ToolError::Refused(text) => {
            Refusal::new(Code::InvalidParams, hygiene::failure(&text).0)
        }
        error => error.into(),
    })?;
    if messages.len() > MAX_MESSAGES {
        tracing::error!(prompt = spec.name, "a prompt gave more messages than are sent");
        return Err(Refusal::new(Code::Internal, "internal error"));
    }
    let (mut shown, mut places) = (Vec::with_capacity(messages.len()), Vec::new());
    let mut size = 0_usize;
    for message in messages {
        let (text, place) = said_in(exchange, &asked.principal, message, asked.revision).await?;
        places.extend(place);
        size = size.saturating_add(text.len());
        if size > hygiene::MAX_VERBATIM {
            return Err(Refusal::new(
                Code::InvalidParams,
                "the prompt with what is embedded in it is too large",
            ));
        }
        shown.push(text);
    }
    let members = format!("\"description\":{},\"messages\":[{}]", json!(spec.about), shown.join(","));
    let dress = exchange.house().views.dress(asked.revision);
    Ok(Answer::ok(dress.result(asked.id, members.as_bytes())).in_places(places))
}

/// The values of `arguments`, an object of texts.
pub(super) fn said(arguments: &Tree<'_>) -> Result<Vec<(String, String)>, Refusal> {
    let wrong = || Refusal::new(Code::InvalidParams, "params.arguments must be an object of strings");
    if !arguments.is_object() {
        return Err(wrong());
    }
    let pair = |(name, value): (crate::protocol::Node<'_>, crate::protocol::Node<'_>)| {
        Some((name.string()?.into_owned(), value.string()?.into_owned()))
    };
    arguments.root().members().map(pair).collect::<Option<_>>().ok_or_else(wrong)
}

/// One message, fit to be sent. What is embedded is read as the caller itself would read it.
async fn said_in(
    exchange: &mut Exchange<'_>,
    caller: &Arc<Principal>,
    message: Message,
    revision: Revision,
) -> Result<(String, Option<Place>), Refusal> {
    let (block, place) = match message.block {
        Block::Embedded(uri) => {
            // What is only embedded asks nobody: its questions would be told from those of the prompt by nothing.
            let fetched = resources::fetch(exchange, caller, &uri, &Asking::default()).await?;
            let (entry, resource) =
                fetched.map_err(|error| Refusal::new(Code::InvalidParams, error.to_string()))?;
            let size = (resource.size(), entry.spec().verbatim);
            let make = move || Content::Resource(resource).json(revision);
            resources::embedded(exchange, caller, size, make).await?
        }
        Block::Content(content) => {
            let (text, redacted) = hygiene::json(content.json(revision), false)?;
            resources::note(exchange, redacted);
            (text, None)
        }
    };
    Ok((format!("{{\"role\":\"{}\",\"content\":{block}}}", message.role.as_str()), place))
}

/// There is no such prompt, or none for this caller: the same words for both.
pub(super) fn unknown(name: &str) -> Refusal {
    Refusal::new(Code::UnknownPrompt, format!("Unknown prompt: {}", clean_name(name)))
}
