//! `resources/list`, `resources/templates/list` and `resources/read`: to a source there is one path, as to a tool.
//! What a caller may not read is to it what does not exist.

use std::sync::Arc;

use serde_json::json;

use super::{
    answer::Answer,
    call,
    dispatch::Method,
    exchange::{Asked, Exchange},
    guarded::guarded,
    large,
    page::{self, LIST_TTL_MS, PAGE, View},
    refusal::Refusal,
    rounds::{self, About},
};
use crate::{
    domain::Principal,
    error::Code,
    house::Place,
    policy::{self, ReadResource},
    protocol::Raw,
    resources::{Entry, Resource},
    tools::{Asking, Call, ToolError, clean_to, hygiene},
};

/// Longest URI that is looked at, bytes: the longest path, every byte of it escaped.
const MAX_URI: usize = 4 * 1024;
/// How long a client may keep a list of resources, milliseconds: files come and go.
const RESOURCES_TTL_MS: u32 = 5_000;

/// Which resources the caller may read.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn list(exchange: &mut Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let house = exchange.house();
    let generation = house.resources.generation();
    let view = View { list: "resources/list", generation, principal: &asked.principal };
    let after = view.after(exchange, asked.params.cursor)?;
    let (mut shown, mut last, mut goes_on) = (Vec::new(), None, false);
    for entry in house.resources.iter() {
        // Sorted by prefix, so those of a page before are known by it.
        let within = after.as_deref().filter(|after| after.starts_with(entry.spec().prefix));
        if within.is_none() && after.as_deref().is_some_and(|after| after > entry.spec().prefix) {
            continue;
        }
        let Ok(permit) = policy::decide::<ReadResource>(&asked.principal, entry.needs()) else { continue };
        if shown.len() >= PAGE {
            goes_on = true;
            break;
        }
        let listing = entry.source().list(within, PAGE - shown.len(), &permit);
        let (found, more) =
            guarded(exchange, (entry.spec().prefix, entry.spec().deadline), listing).await??;
        last = found.last().map(|one| one.uri.clone()).or(last);
        let texts = found.iter().map(|one| one.json(asked.revision).to_string());
        for text in texts {
            shown.push(harmless(exchange, entry, text)?);
        }
        if more {
            goes_on = true;
            break;
        }
    }
    let dress = house.views.dress(asked.revision);
    let end = view.end(exchange, last.as_deref().filter(|_| goes_on), (asked.revision, RESOURCES_TTL_MS))?;
    let members = format!("\"resources\":[{}]{end}", shown.join(","));
    Ok(Answer::ok(dress.result(asked.id, members.as_bytes())))
}

/// How the resources are named that the caller may read.
///
/// # Errors
/// [`Refusal`].
pub(super) fn templates(exchange: &Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let house = exchange.house();
    let generation = house.resources.generation();
    let view = View { list: "resources/templates/list", generation, principal: &asked.principal };
    let after = view.after(exchange, asked.params.cursor)?;
    let readable = |entry: &&Entry| policy::decide::<ReadResource>(&asked.principal, entry.needs()).is_ok();
    let mut all: Vec<_> =
        house.resources.iter().filter(readable).flat_map(|entry| entry.templates(asked.revision)).collect();
    all.sort_unstable();
    let (shown, last) = page::cut(all.into_iter(), after.as_deref());
    let end = view.end(exchange, last, (asked.revision, LIST_TTL_MS))?;
    let members = format!("\"resourceTemplates\":[{}]{end}", shown.join(","));
    Ok(Answer::ok(house.views.dress(asked.revision).result(asked.id, members.as_bytes())))
}

/// What one resource holds.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn read(exchange: &mut Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let uri = asked.params.resource_uri();
    let uri = uri.ok_or_else(|| Refusal::new(Code::InvalidParams, "params.uri must be a string"))?;
    let raw = asked.params.uri.map_or("", Raw::text);
    exchange.record.arguments(call::digest(&exchange.house().digest_key, raw));
    let about = About { method: Method::ReadResource, name: &uri, arguments: None };
    let (round, asking) = rounds::begin(exchange, asked, about)?;
    let (entry, resource) = match fetch(exchange, &asked.principal, &uri, &asking).await? {
        Ok(fetched) => fetched,
        Err(error) => return rounds::go_on(exchange, (asked, about), (round, asking), &error),
    };
    let size = (resource.size(), entry.spec().verbatim);
    let (text, place) = embedded(exchange, &asked.principal, size, move || resource.json()).await?;
    let end = if asked.revision.is_modern() { ",\"ttlMs\":0,\"cacheScope\":\"private\"" } else { "" };
    let members = format!("\"contents\":[{text}]{end}");
    let dress = exchange.house().views.dress(asked.revision);
    Ok(Answer::ok(dress.result(asked.id, members.as_bytes())).in_places(place))
}

/// The resource of `uri`, if `caller` may read it; nothing of it has been made harmless. Or the error that says that it
/// takes an answer of the client, or a client that can be asked.
///
/// # Errors
/// [`Refusal`], the same for what it may not read and what is not there.
pub(super) async fn fetch<'a>(
    exchange: &mut Exchange<'a>,
    caller: &Arc<Principal>,
    uri: &str,
    asking: &Asking<'_>,
) -> Result<Result<(&'a Entry, Resource), ToolError>, Refusal> {
    let entry = exchange.house().resources.of(uri).filter(|_| uri.len() <= MAX_URI);
    let entry = entry.ok_or_else(|| unknown(uri))?;
    let permit = exchange.permit::<ReadResource>(caller, entry.needs()).ok_or_else(|| unknown(uri))?;
    let call = Call::new(&permit).answered(asking);
    let reading = entry.source().read(uri, &call);
    match guarded(exchange, (entry.spec().prefix, entry.spec().deadline), reading).await? {
        Ok(resource) => Ok(Ok((entry, resource))),
        Err(error @ (ToolError::Unanswered | ToolError::CannotAsk(_))) => Ok(Err(error)),
        Err(ToolError::NotFound(_) | ToolError::Arguments(_)) => Err(unknown(uri)),
        Err(ToolError::Refused(text)) => {
            let (text, _) = hygiene::failure(&text);
            Err(Refusal::new(Code::InvalidParams, text).with("uri", json!(clean_to(uri, MAX_URI))))
        }
        Err(error) => Err(error.into()),
    }
}

/// JSON text of what `entry` says of itself, fit to be sent.
fn harmless(exchange: &mut Exchange<'_>, entry: &Entry, text: String) -> Result<String, Refusal> {
    let made = hygiene::json(text, entry.spec().verbatim);
    noted(exchange, made)
}

/// JSON text of what a resource holds, fit to be sent to `caller`, and its place if it is large: what `make` writes, of
/// this size, verbatim or not.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn embedded(
    exchange: &mut Exchange<'_>,
    caller: &Principal,
    size: (usize, bool),
    make: impl FnOnce() -> String + Send + 'static,
) -> Result<(String, Option<Place>), Refusal> {
    let (made, place) = large::text(exchange, &caller.id, size, make).await?;
    Ok((noted(exchange, made)?, place))
}

fn noted(
    exchange: &mut Exchange<'_>,
    made: Result<(String, hygiene::Redacted), ToolError>,
) -> Result<String, Refusal> {
    let (text, redacted) = made.map_err(|error| match error {
        ToolError::Refused(text) => Refusal::new(Code::InvalidParams, text),
        error => error.into(),
    })?;
    note(exchange, redacted);
    Ok(text)
}

/// Counts and records what was not shown.
pub(super) fn note(exchange: &mut Exchange<'_>, redacted: hygiene::Redacted) {
    if redacted.count() > 0 {
        exchange.house().metrics.redactions(redacted.count());
        exchange.record.detail(&redacted.detail());
    }
}

/// There is no such resource, or none for this caller: the same words for both (B1, B3).
pub(super) fn unknown(uri: &str) -> Refusal {
    let shown = clean_to(uri, MAX_URI);
    Refusal::new(Code::UnknownResource, "Resource not found").with("uri", json!(shown))
}
