//! `subscriptions/listen`: a client is told of changes for as long as its stream is open and it may see them.
//!
//! A stream is a few flags that say what has changed and was not told yet, so none grows, however much changes
//! and however slowly it is read. One task a worker looks at all of them every 250 ms: it tells what has changed,
//! holds each credential against what was revoked since, and ends what may not go on.

mod asked;
mod body;
mod hub;
mod standing;
mod stream;

use std::{rc::Rc, time::Duration};

use actix_web::body::BoxBody;
use serde_json::json;

use self::{asked::Wishes, body::Told, stream::Stream};
pub(super) use self::{
    hub::{Watched, add as watch},
    standing::Standing,
};
use super::{
    answer::{Answer, Events},
    exchange::{Asked, Exchange},
    refusal::Refusal,
    tasks,
};
use crate::{
    edge::Field,
    error::Code,
    house::{MOST_STREAMS_OF_ONE, NoPlace},
    tools::declares_tasks,
};

/// Wait that is told where there is no place for another stream: nobody knows when one ends.
const PLACE_WAIT: Duration = Duration::from_secs(5);

/// Opens a stream. Its record says so and is there before the first event.
///
/// # Errors
/// [`Refusal`]: `params.notifications` is none, the client takes no events, or there is no place.
pub(super) fn open(exchange: &mut Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let house = exchange.house();
    let wishes = Wishes::read(asked.params.notifications())?;
    if wishes.tasks && house.tasks.is_some() && !declares_tasks(asked.params.meta.capabilities()) {
        return Err(tasks::undeclared());
    }
    if matches!(exchange.headers.accept, Field::One(_)) && !exchange.headers.takes_events() {
        return Err(Refusal::new(Code::NotAcceptable, "a subscription is answered with text/event-stream"));
    }
    let standing = Standing::of(exchange, &asked.principal)?;
    let place = house.streams.take(&asked.principal.id, &house.metrics).map_err(no_place)?;
    let honoured = wishes.honoured(house, &asked.principal);
    exchange.record.detail(&json!({ "stream": honoured.to_value() }));
    let id = asked.id.as_json().into();
    let stream = Rc::new(Stream::new((id, honoured), standing, place));
    hub::add(exchange.worker, &stream);
    let held = Rc::clone(&stream);
    let body = BoxBody::new(Told::new(stream, exchange.worker, exchange.framing()));
    Ok(Answer::events(Events { body, hold: Box::new(move |busy| held.hold(busy)) }))
}

/// There is no place for another stream.
pub(super) fn no_place(why: NoPlace) -> Refusal {
    let refusal = match why {
        NoPlace::OfOne => Refusal::new(
            Code::RateLimited,
            format!("at most {MOST_STREAMS_OF_ONE} subscriptions may be open at once; close one of them"),
        ),
        NoPlace::OfAll => Refusal::new(Code::Overloaded, "the server is overloaded, try again"),
    };
    Refusal { retry_after: Some(PLACE_WAIT), ..refusal }
}
