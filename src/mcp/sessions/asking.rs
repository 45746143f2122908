//! A call that asks in a session: its questions go out as requests of ours on its own stream, and it goes on when they
//! are answered.
//!
//! The tool runs anew with the answers, as it does where the client brings them along. What is waited for is bounded
//! in time and number, ends with the session and with the credential, and before the tool runs on, that is looked at
//! once more, and the run is paid for like the first: to wait is no way to outlive a permission, nor a limit.

use std::{rc::Rc, sync::Arc, time::Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    actors::{
        limiter::InFlight,
        sessions::{Reply, Session},
    },
    domain::{Outcome, Principal, Timestamp},
    mcp::{
        call::{self, Ran},
        exchange::{Asked, Exchange},
        listen::{self, Standing, Watched},
        refusal::Refusal,
    },
    policy::{self, CallTool},
    protocol::{Revision, Tree},
    tools::{Ask, Asking, Call, Entry, Progress, Question, ToolError},
};

/// How often one call may ask before it has to do without.
const MOST_ROUNDS: u8 = 8;

/// What the client of an older revision can be asked: what it has declared in the handshake of its session, where
/// there is a stream to ask it on.
pub(in crate::mcp) fn capabilities<'a>(exchange: &Exchange<'a>) -> &'a str {
    let audience = exchange.audience.filter(|audience| audience.may_ask);
    audience.and_then(|audience| audience.session.as_deref()).map_or("{}", Session::capabilities)
}

/// What a call comes to that has asked: asks, waits, runs on, as often as it must.
///
/// # Errors
/// [`Refusal`]: whoever calls may not any more, or the tool broke its promise.
pub(in crate::mcp) async fn rounds(
    exchange: &mut Exchange<'_>,
    asked: &Asked<'_>,
    (entry, arguments): (&Entry, &Tree<'_>),
    mut asking: Asking<'_>,
) -> Result<Ran, Refusal> {
    let unanswered = || Ran::failed(Outcome::Error, &ToolError::Unanswered);
    let (Some(session), Some(progress)) = (exchange.session(), exchange.progress()) else {
        return Ok(unanswered());
    };
    let mut principal = Arc::clone(&asked.principal);
    for round in 1..=MOST_ROUNDS {
        let (questions, mut answers) = asking.into_parts();
        let keys: Vec<String> = questions.iter().map(|question| question.key.to_owned()).collect();
        exchange.record.detail(&json!({ "asked": keys, "round": round }));
        let began = Instant::now();
        let said = ask(exchange, (session, progress), &principal, questions).await;
        // A person's time is not the tool's.
        exchange.began += began.elapsed();
        let said = match said {
            Ok(said) => said,
            Err(Silent::Nobody(ask)) => return Ok(Ran::failed(Outcome::Error, &ToolError::CannotAsk(ask))),
            Err(Silent::Unanswered) => return Ok(unanswered()),
        };
        if answers.add(&said, &keys).is_err() {
            return Ok(unanswered());
        }
        principal = exchange.admit_again().await?;
        let permit = policy::decide::<CallTool>(&principal, entry.needs());
        let permit = permit.map_err(|denied| call::refuse(exchange, entry, (&principal, denied)))?;
        let _running = run_again(exchange, &principal, entry.spec().name).await?;
        asking = Asking::new(session.capabilities(), answers);
        let again = Call::new(&permit).heard(Some(progress)).answered(&asking);
        let again = again.traced(asked.params.meta.trace());
        let ran = call::run(exchange, entry, arguments, (&again, asked.id, asked.revision)).await?;
        if !ran.is_question() {
            return Ok(ran);
        }
    }
    Ok(unanswered())
}

/// Takes what another run of `tool` costs; what comes with success is to be held while it runs.
async fn run_again(
    exchange: &mut Exchange<'_>,
    principal: &Arc<Principal>,
    tool: &'static str,
) -> Result<Option<InFlight>, Refusal> {
    (exchange.visit.time, exchange.visit.clock) = (Timestamp::now(), Instant::now());
    // It has run before: that it did is in its own record, whatever the limiter writes.
    exchange.charge(principal, Some(tool)).await.map_err(|over| Refusal { quota: None, ..over })
}

/// Why there are no answers.
enum Silent {
    /// Nobody can be asked this.
    Nobody(Ask),
    /// Nobody has answered, or all that could be said is that it cannot be.
    Unanswered,
}

/// Asks `questions` and waits for all the answers; gives them as JSON text of an object, by their keys.
async fn ask(
    exchange: &Exchange<'_>,
    (session, progress): (&Arc<Session>, &Progress),
    principal: &Arc<Principal>,
    questions: Vec<Question>,
) -> Result<String, Silent> {
    let Some(sessions) = &exchange.house().services.sessions else { return Err(Silent::Unanswered) };
    let standing = Standing::of(exchange, principal).map_err(|_unknown| Silent::Unanswered)?;
    let waits = Rc::new(Waits { standing, over: Notify::new() });
    listen::watch(exchange.worker, &waits);
    let mut open = Vec::with_capacity(questions.len());
    for question in questions {
        let key = question.key;
        let params = fit(&question, session.revision()).ok_or(Silent::Nobody(Ask::User))?;
        let pending = session.ask(principal.permissions).ok_or(Silent::Unanswered)?;
        let request =
            json!({ "jsonrpc": "2.0", "id": pending.id(), "method": question.method, "params": params });
        open.push((key, request, pending));
    }
    let asked: Vec<Box<str>> = open.iter().map(|(_, _, pending)| pending.id().into()).collect();
    let names = exchange.house().roles.catalogue().names(principal.permissions);
    let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
    let _published = sessions.publish(session, &asked, &names).await;
    let mut ids = Vec::with_capacity(open.len());
    let mut answers = Vec::with_capacity(open.len());
    for (key, request, pending) in open {
        ids.push(pending.id().to_owned());
        progress.request(request.to_string().into());
        answers.push(async move { (key, pending.answered().await) });
    }
    let said = tokio::select! {
        biased;
        () = waits.over.notified() => None,
        said = tokio::time::timeout(sessions.rules().answer_within, join_all(answers)) => said.ok(),
    };
    let members = said.and_then(|said| {
        let member = |(key, reply)| match reply {
            Some(Reply::Result(text)) => Some(format!("{}:{text}", Value::from(key))),
            Some(Reply::Error) | None => None,
        };
        said.into_iter().map(member).collect::<Option<Vec<_>>>()
    });
    let Some(members) = members else {
        for id in ids {
            let params = json!({ "requestId": id, "reason": "it is not waited for any more" });
            let gone = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
            progress.request(gone.to_string().into());
        }
        return Err(Silent::Unanswered);
    };
    Ok(format!("{{{}}}", members.join(",")))
}

/// What a question says in `revision`; `None` if that has no words for it.
fn fit(question: &Question, revision: Revision) -> Option<Value> {
    let mut params = question.params.clone();
    if question.method != Ask::User.method() || revision >= Revision::November2025 {
        return Some(params);
    }
    // Before it there was one way of asking, with plain choices only.
    params.as_object_mut()?.remove("mode");
    let members = params.pointer("/requestedSchema/properties")?.as_object()?;
    let is_known = |member: &Value| member["type"] != "array" && member.get("oneOf").is_none();
    members.values().all(is_known).then_some(params)
}

/// A call that waits for answers, for as long as its caller may.
struct Waits {
    standing: Standing,
    over: Notify,
}

impl Watched for Waits {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn wake(&self, _: Instant) -> bool {
        if self.standing.has_ended() {
            self.over.notify_one();
        }
        true
    }
}
