//! Large results: checked, made harmless and rendered off the worker, as far as there is room for them.
//!
//! A result is looked through several times and written twice; of a megabyte that takes milliseconds, in which a
//! worker would serve nobody else.

use std::sync::Arc;

use super::{exchange::Exchange, refusal::Refusal};
use crate::{
    domain::Subject,
    error::Code,
    house::{LARGE, Place},
    protocol::{Id, Revision},
    tools::{
        Entry, Produced, ToolError,
        hygiene::{self, Redacted},
    },
};

/// How many bytes an answer takes for each byte of the result: it travels twice.
const WEIGHT: usize = 2;

/// A large result, as it will be sent.
pub(super) struct Rendered {
    /// The answer's body.
    pub(super) body: Vec<u8>,
    /// Its place.
    pub(super) place: Place,
}

/// Makes what `entry` gave fit to be sent to `who`.
///
/// # Errors
/// [`Refusal`] if there is no room for it, nor within the time that the request has left: of what only reads nothing
/// is lost, and it can be asked for again. What has changed something is answered in any case.
pub(super) async fn finish(
    exchange: &Exchange<'_>,
    entry: &Entry,
    produced: Produced,
    (who, id, revision): (&Subject, Id<'_>, Revision),
) -> Result<Result<(Rendered, Redacted), ToolError>, Refusal> {
    let (room, size) = (&exchange.house().answers, produced.size());
    let weight = size.saturating_mul(WEIGHT);
    let mut place = if entry.spec().hints.read_only {
        place(exchange, who, (size, weight)).await?
    } else {
        room.insist(who, weight)
    };
    let (house, name) = (Arc::clone(&exchange.worker.house), entry.spec().name);
    let id = id.as_json().to_owned();
    // One is made at a time: more would take processors from the workers, and more memory than the place says.
    let turn = house.answers.turn().await;
    let work = move || {
        let _turn = turn;
        let entry = house.registry.find(name).ok_or(ToolError::Output)?;
        let (produced, redacted) = entry.finish(produced)?;
        let id = Id::of_json(&id).ok_or(ToolError::Output)?;
        let mut body = house.views.dress(revision).tool_result(id, produced.output(), produced.content());
        body.shrink_to_fit();
        place.settle(body.len());
        Ok((Rendered { body, place }, redacted))
    };
    Ok(tokio::task::spawn_blocking(work).await.unwrap_or(Err(ToolError::Output)))
}

/// JSON text of a resource, fit to be sent, with the place that it takes if it is large. `make` writes it, `size` bytes
/// or somewhat more.
///
/// # Errors
/// [`Refusal`] if there is no room for it, nor within the time that the request has left.
pub(super) async fn text(
    exchange: &Exchange<'_>,
    who: &Subject,
    (size, verbatim): (usize, bool),
    make: impl FnOnce() -> String + Send + 'static,
) -> Result<(Result<(String, Redacted), ToolError>, Option<Place>), Refusal> {
    if size <= LARGE {
        return Ok((hygiene::json(make(), verbatim), None));
    }
    let mut place = place(exchange, who, (size, size.saturating_mul(WEIGHT))).await?;
    let turn = exchange.house().answers.turn().await;
    let work = move || {
        let _turn = turn;
        let made = hygiene::json(make(), verbatim);
        place.settle(made.as_ref().map_or(0, |(text, _)| text.len()));
        (made, Some(place))
    };
    Ok(tokio::task::spawn_blocking(work).await.unwrap_or((Err(ToolError::Output), None)))
}

/// A place for `weight` bytes of an answer to `who`, as soon as there is room; `held` bytes wait meanwhile.
pub(super) async fn place(
    exchange: &Exchange<'_>,
    who: &Subject,
    (held, weight): (usize, usize),
) -> Result<Place, Refusal> {
    let left = exchange.house().limits.request_timeout.saturating_sub(exchange.began.elapsed());
    let waits = exchange.house().answers.wait(who, (held, weight));
    tokio::time::timeout(left, waits).await.ok().flatten().ok_or_else(no_room)
}

/// There is no room for a large answer now.
pub(super) fn no_room() -> Refusal {
    let wait = std::time::Duration::from_secs(1);
    let text = "the answer is large, and too many large answers wait for their clients: try again";
    Refusal { retry_after: Some(wait), ..Refusal::new(Code::Overloaded, text) }
}
