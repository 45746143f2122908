//! GET, which opens a stream or comes back to one, and DELETE, which ends a session.

use std::sync::Arc;

use actix_web::http::{Method as HttpMethod, header::HeaderName};
use serde_json::json;

use super::{
    body::{self, Place},
    entry::{self, nameless, of_header},
};
use crate::{
    actors::sessions::{COMMON, event_of},
    domain::Principal,
    edge::Field,
    error::Code,
    mcp::{
        answer::Answer,
        era::{self, Beside},
        exchange::Exchange,
        listen::no_place,
        refusal::Refusal,
    },
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Answers a GET or a DELETE of a known caller.
///
/// # Errors
/// [`Refusal`]: it names no session of that caller, takes no events, or there is no place for another stream.
pub(in crate::mcp) async fn other_method(
    exchange: &mut Exchange<'_>,
    principal: &Arc<Principal>,
    method: &HttpMethod,
) -> Result<Answer, Refusal> {
    let session = of_header(exchange, principal).await?.ok_or_else(nameless)?;
    let legacy = |refusal: Refusal| Refusal { is_legacy: true, ..refusal };
    era::legacy_revision(Beside::Headers(&exchange.headers, Some(session.revision()))).map_err(legacy)?;
    if *method == HttpMethod::DELETE {
        if let Some(sessions) = &exchange.house().services.sessions {
            sessions.end(&session).await?;
        }
        exchange.record.detail(&json!({ "session": "ended" }));
        return Ok(Answer::nothing());
    }
    if matches!(exchange.headers.accept, Field::One(_)) && !exchange.headers.takes_events() {
        return Err(Refusal::new(Code::NotAcceptable, "a stream is answered with text/event-stream"));
    }
    let (line, after) = match exchange.named(&LAST_EVENT_ID).next() {
        None => (COMMON, None),
        Some(name) => {
            let (line, number) = name.to_str().ok().and_then(event_of).ok_or_else(gone)?;
            (line, Some(number))
        }
    };
    let house = exchange.house();
    let taken = house.streams.take(&principal.id, &house.metrics).map_err(no_place)?;
    let place = Place::on(exchange, principal, &session, line)?.counted(taken);
    // From here on whoever has read it so far is over.
    let reader = session.attach(line, after, principal.permissions);
    let reader = reader.ok_or_else(|| if after.is_some() { gone() } else { entry::unknown() })?;
    exchange.record.detail(&json!({ "stream": { "session": true, "resumed": after.is_some() } }));
    Ok(body::read(exchange.worker, place, (reader, after.is_none())))
}

/// There is nothing to come back to (G15).
fn gone() -> Refusal {
    let text = "this session has no stream to go on with behind that last-event-id";
    Refusal { is_legacy: true, ..Refusal::new(Code::InvalidRequest, text).with_bad_request() }
}
