//! Sessions, as the revisions before 2026-07-28 have them: a client that has one hears what changes, is asked what a
//! tool must know, and comes back to a stream that has ended before its time.
//!
//! A session is found by its id together with whoever calls, and nothing else follows from it: each request is let
//! in, charged and permitted by its own credential. The modern era knows none of this.

mod asking;
mod body;
mod entry;
mod methods;
mod verbs;

use std::{rc::Rc, sync::Arc};

use serde_json::json;

use self::entry::Entry;
pub(super) use self::{
    asking::{capabilities, rounds},
    body::{Place, told},
    methods::{introduce, set_level, subscribe, unsubscribe},
    verbs::other_method,
};
use super::{answer::Answer, dispatch::Method, exchange::Exchange, refusal::Refusal};
use crate::{
    actors::sessions::{Answerer, Reply, Session},
    domain::Principal,
    error::Code,
};

/// Answers what stands in the body of an older revision's request, and records it.
pub(super) async fn finish(exchange: Exchange<'_>, principal: Arc<Principal>, body: &[u8]) -> Answer {
    let audience;
    let mut exchange = exchange;
    match entry::of(&exchange, &principal, body).await {
        Ok(Entry::Free) => exchange.go_on(principal, body).await,
        Ok(Entry::With(found)) => {
            audience = found;
            exchange.audience = Some(&audience);
            exchange.go_on(principal, body).await
        }
        Ok(Entry::Cancel(found, call)) => {
            audience = found;
            exchange.audience = Some(&audience);
            let worker = Rc::clone(exchange.worker);
            let answer = exchange.go_on(principal, body).await;
            // Paid for and recorded by now.
            if let (None, Some(session), Some(sessions)) =
                (answer.code, &audience.session, &worker.house.services.sessions)
                && !session.cancel(&call)
            {
                sessions.cancel_elsewhere(session, &call).await;
            }
            answer
        }
        Ok(Entry::Answer { session, id, reply }) => {
            let answer = answered(&mut exchange, &principal, (&session, &id, reply)).await;
            exchange.settle(answer).await
        }
        Err(entry::Refused { refusal, method, id }) => {
            let own = method.as_deref().and_then(Method::named).map(Method::name);
            exchange.count.label(own.unwrap_or("other"));
            exchange.record.method(own, method.as_deref().unwrap_or_default());
            exchange.record.detail(&json!({ "session": "refused" }));
            let answer = exchange.nonsense(&principal, *refusal, id).await;
            exchange.settle(answer).await
        }
    }
}

/// Brings the client's answer to whoever waits for it. It costs like a request.
async fn answered(
    exchange: &mut Exchange<'_>,
    principal: &Arc<Principal>,
    (session, id, reply): (&Session, &str, Reply),
) -> Answer {
    exchange.count.label("other");
    exchange.record.method(None, "response");
    if let Err(over) = exchange.charge(principal, None).await {
        return exchange.refused(&over, None);
    }
    let is_taken = match &exchange.house().services.sessions {
        Some(sessions) => {
            let names = exchange.house().roles.catalogue().names(principal.permissions);
            let names = names.into_iter().map(str::to_owned).collect();
            let answerer = Answerer { has: principal.permissions, names };
            sessions.answer(session, (id, reply), answerer).await
        }
        None => Ok(false),
    };
    let is_taken = match is_taken {
        Ok(is_taken) => is_taken,
        Err(error) => return exchange.refused(&error.into(), None),
    };
    exchange.record.detail(&json!({ "answer": if is_taken { "taken" } else { "unasked" } }));
    if is_taken {
        return Answer::accepted();
    }
    let text = "nothing was asked under this id, or it was answered, or its time is over";
    exchange.refused(&Refusal::new(Code::InvalidRequest, text), None)
}
