//! The one path to a tool: find, permit, check, record, run, check again.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use tracing::{Instrument, Span};

use super::{
    answer::Answer,
    exchange::{Asked, Exchange, Sought},
    large::{self, Rendered},
    mirrored,
    refusal::Refusal,
    rounds, sessions, tasks,
};
use crate::{
    domain::{EventCode, Outcome, Principal},
    error::Code,
    house::{LARGE, WhenDenied},
    policy::Denied,
    protocol::{Dress, Id, Revision, Tree},
    tools::{
        Ask, Asking, Call, Entry, Produced, ToolError, Trace, clean_name,
        hygiene::{self, Redacted},
    },
};

/// Finds, permits, checks, then runs the tool.
///
/// # Errors
/// [`Refusal`]: the tool has not run, or it broke its own promise.
pub(super) async fn tool(exchange: &mut Exchange<'_>, asked: &mut Asked<'_>) -> Result<Answer, Refusal> {
    let house = exchange.house();
    let arguments = asked.params.arguments.take().map_or_else(|| Tree::of_text("{}"), Ok)?;
    if !arguments.is_object() {
        exchange.record.tool_named(&asked.tool);
        return Err(Refusal::new(Code::InvalidParams, "params.arguments must be an object"));
    }
    let Some(Sought { entry, permit }) = asked.sought.take() else {
        exchange.record.tool_named(&asked.tool);
        return Err(unknown(&asked.tool));
    };
    exchange.record.tool(entry.spec().name);
    let permit = permit.map_err(|denied| refuse(exchange, entry, (&asked.principal, denied)))?;

    tasks::refuse_unless_known(exchange, entry, asked)?;
    let dress = house.views.dress(asked.revision);
    // What two readers read in two ways is nobody's arguments, and not worth a digest.
    arguments.check_members()?;
    exchange.record.arguments(digest(&house.digest_key, arguments.text()));
    if let Some(mirrors) = entry.mirrors() {
        mirrored::check(exchange, mirrors, (&arguments, asked.revision))?;
    }
    // The messages before it in a batch may have used up the time: then nothing is begun.
    if exchange.began.elapsed() >= house.limits.request_timeout {
        house.metrics.tool_call(entry.spec().name, Outcome::Timeout, Duration::ZERO);
        return Ran::failed(Outcome::Timeout, &ToolError::Timeout).answer(asked.id, dress);
    }
    let (round, answers) = match asked.revision.is_modern() {
        true => rounds::open(exchange, asked, rounds::of_tool(asked, &arguments))?,
        // Answers come in the session, while the call waits.
        false => Default::default(),
    };
    if !entry.spec().hints.read_only && entry.check_arguments(&arguments).is_ok() {
        // What it changes must not happen without a trace, even if we die while it runs.
        let slot = exchange.worker.lane.reserve()?;
        slot.write(exchange.record.beside(EventCode::ToolStarted)).committed().await?;
    }
    let capabilities = match asked.revision.is_modern() {
        true => asked.params.meta.capabilities(),
        false => sessions::capabilities(exchange),
    };
    let asking = Asking::new(capabilities, answers);
    let call = Call::new(&permit).heard(exchange.progress()).answered(&asking);
    let call = call.traced(asked.params.meta.trace());
    let call = call.offering_tasks(tasks::are_offered(exchange, entry, asked.revision));
    let mut ran = run(exchange, entry, &arguments, (&call, asked.id, asked.revision)).await?;
    if let Shown::Deferred = ran.shown {
        let (_, answers) = asking.into_parts();
        return Box::pin(tasks::begin(exchange, asked, (entry, arguments.text(), answers))).await;
    }
    if ran.is_question() && !asked.revision.is_modern() {
        // While a person thinks, the tool does not run: others may.
        asked.running = None;
        ran = Box::pin(sessions::rounds(exchange, asked, (entry, &arguments), asking)).await?;
    } else if ran.is_question() {
        let (questions, answers) = asking.into_parts();
        let about = rounds::of_tool(asked, &arguments);
        let answer = rounds::ask(exchange, asked, about, (round, questions, answers))?;
        let without = || Ran::failed(Outcome::Error, &ToolError::Unanswered).answer(asked.id, dress);
        return answer.map_or_else(without, Ok);
    }
    if ran.redacted.count() > 0 {
        exchange.record.detail(&ran.redacted.detail());
    }
    ran.answer(asked.id, dress)
}

/// What running a tool came to, fit to be sent.
pub(super) struct Ran {
    outcome: Outcome,
    shown: Shown,
    /// What of it is not shown.
    redacted: Redacted,
}

/// What of it is shown.
enum Shown {
    /// This.
    Produced(Produced),
    /// This, which is large.
    Rendered(Rendered),
    /// Why the arguments do not fit.
    Unfit(String),
    /// Why it failed, for the model.
    Failed(String),
    /// What it has asked.
    Question,
    /// That it goes on as a task.
    Deferred,
    /// What it has to ask, and cannot.
    Dumb(Ask, String),
}

impl Ran {
    /// Whether it has asked something.
    pub(super) fn is_question(&self) -> bool {
        matches!(self.shown, Shown::Question)
    }

    /// It has failed.
    pub(super) fn failed(outcome: Outcome, error: &ToolError) -> Self {
        let (text, redacted) = hygiene::failure(&error.to_string());
        let shown = match error {
            ToolError::Arguments(_) => Shown::Unfit(text),
            ToolError::CannotAsk(ask) => Shown::Dumb(*ask, text),
            _ => Shown::Failed(text),
        };
        Self { outcome, shown, redacted }
    }

    /// Bad arguments are the model's to correct where its revision says so, and the client's elsewhere.
    fn answer(self, id: Id<'_>, dress: Dress<'_>) -> Result<Answer, Refusal> {
        let text = match self.shown {
            Shown::Produced(produced) => {
                return Ok(Answer::ok(dress.tool_result(id, produced.output(), produced.content())));
            }
            Shown::Rendered(Rendered { body, place }) => return Ok(Answer::ok(body).in_places([place])),
            Shown::Unfit(text) if !dress.revision.tells_models_of_bad_arguments() => {
                return Err(Refusal::new(Code::InvalidParams, text));
            }
            Shown::Dumb(ask, text) if dress.revision.is_modern() => {
                return Err(rounds::lacks(ask, text));
            }
            Shown::Unfit(text) | Shown::Failed(text) | Shown::Dumb(_, text) => text,
            Shown::Question | Shown::Deferred => ToolError::Unanswered.to_string(),
        };
        Ok(Answer::failure(dress.tool_failure(id, &text), self.outcome))
    }
}

/// The span of one run of a tool. Where nobody listens nothing is looked at.
pub(super) fn span(tool: &'static str, call: &Call<'_>) -> Span {
    let trace = || call.trace();
    tracing::debug_span!(
        "tool.call",
        tool.name = tool,
        principal.id = %call.principal().id,
        trace.id = trace().and_then(Trace::id),
        trace.parent_id = trace().and_then(Trace::parent_id),
    )
}

/// Runs the tool under its deadline; a panic in it stays in it.
pub(super) async fn run(
    exchange: &Exchange<'_>,
    entry: &Entry,
    arguments: &Tree<'_>,
    (call, id, revision): (&Call<'_>, Id<'_>, Revision),
) -> Result<Ran, Refusal> {
    let house = exchange.house();
    let span = span(entry.spec().name, call);
    let started = Instant::now();
    let running = AssertUnwindSafe(entry.begin(arguments, call).instrument(span)).catch_unwind();
    // The tool's own deadline is inside `begin`; the operator's counts where it is the shorter one.
    let spent = started.saturating_duration_since(exchange.began);
    let limit = house.limits.request_timeout.saturating_sub(spent);
    let ended = if limit < entry.spec().deadline {
        tokio::time::timeout(limit, running).await.unwrap_or(Ok(Err(ToolError::Timeout)))
    } else {
        running.await
    };
    let ended = match ended {
        Ok(Ok(produced)) if produced.size() > LARGE => {
            let to = (&call.principal().id, id, revision);
            let finished =
                Box::pin(large::finish(exchange, entry, produced, to)).await.inspect_err(|_no_room| {
                    house.metrics.tool_call(entry.spec().name, Outcome::Failed, started.elapsed());
                });
            Ok(finished?.map(|(rendered, redacted)| (Shown::Rendered(rendered), redacted)))
        }
        small => small.map(|produced| {
            let (produced, redacted) = entry.finish(produced?)?;
            Ok((Shown::Produced(produced), redacted))
        }),
    };
    if matches!(ended, Ok(Err(ToolError::Deferred))) {
        // It is counted where it runs.
        return Ok(Ran { outcome: Outcome::Ok, shown: Shown::Deferred, redacted: Redacted::default() });
    }
    let (outcome, ran) = match ended {
        Ok(Ok((shown, redacted))) => (Outcome::Ok, Ok(Ran { outcome: Outcome::Ok, shown, redacted })),
        Ok(Err(ToolError::Output)) | Err(_) => {
            tracing::error!(
                tool.name = entry.spec().name,
                "tool broke its promise: a panic, or output against its schema"
            );
            (Outcome::Failed, Err(Refusal::new(Code::Internal, "internal error")))
        }
        Ok(Err(ToolError::Unanswered)) => {
            let asks = Ran { outcome: Outcome::Ok, shown: Shown::Question, redacted: Redacted::default() };
            (Outcome::Ok, Ok(asks))
        }
        Ok(Err(error)) => {
            let outcome = if matches!(error, ToolError::Timeout) { Outcome::Timeout } else { Outcome::Error };
            (outcome, Ok(Ran::failed(outcome, &error)))
        }
    };
    if let Some(count) = ran.as_ref().ok().map(|ran| ran.redacted.count()).filter(|count| *count > 0) {
        house.metrics.redactions(count);
        tracing::warn!(tool.name = entry.spec().name, count, "what looks like a credential was not shown");
    }
    house.metrics.tool_call(entry.spec().name, outcome, started.elapsed());
    ran
}

/// What a caller without the permission is told, and what the record says.
pub(super) fn refuse(
    exchange: &mut Exchange<'_>,
    entry: &Entry,
    (caller, denied): (&Principal, Denied),
) -> Refusal {
    let house = exchange.house();
    let missing = exchange.lacks(&denied);
    match house.when_denied {
        WhenDenied::Hide => unknown(entry.spec().name),
        // Another token of the same account could do it: the client can ask for one by itself.
        WhenDenied::Explain if caller.reach.contains(denied.missing) => {
            let message = format!("{} needs a token with the scope {missing}", entry.spec().name);
            let challenge = house.challenges.for_scope(&missing).map(Box::new);
            Refusal { challenge, ..Refusal::new(Code::InsufficientScope, message) }
                .with("missing", json!(missing))
        }
        WhenDenied::Explain => {
            let message = format!("{} needs the permission {missing}", entry.spec().name);
            Refusal::new(Code::Forbidden, message).with("missing", json!(missing))
        }
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::new(Code::UnknownTool, format!("Unknown tool: {}", clean_name(name)))
}

/// The keyed digest of the arguments as they came: lets an auditor who holds the key find a known value,
/// and nobody else.
pub(super) fn digest(key: &Hmac<Sha256>, raw: &str) -> [u8; 32] {
    let mut mac = key.clone();
    mac.update(raw.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use parking_lot::Mutex;

    use super::*;
    use crate::{
        policy::{CallTool, permit_for_tests},
        protocol::Envelope,
    };

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_run_says_which_trace_it_is_a_part_of_and_without_one_nothing() {
        let written = Written::default();
        let sink = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || sink.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            let permit = permit_for_tests::<CallTool>();
            let meta = json!({ "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" });
            let text =
                json!({ "jsonrpc": "2.0", "id": 1, "method": "x", "params": { "_meta": meta } }).to_string();
            let envelope = Envelope::parse(text.as_bytes()).unwrap();
            let call = Call::new(&permit);
            span("t", &call.traced(envelope.params.meta.trace())).in_scope(|| tracing::info!("one"));
            span("t", &call).in_scope(|| tracing::info!("two"));
        });
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        let spans: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["span"].clone())
            .collect();
        assert_eq!(spans[0]["trace.id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(spans[0]["trace.parent_id"], "b7ad6b7169203331");
        assert_eq!(spans[1].get("trace.id"), None);
        assert_eq!(spans[1]["tool.name"], "t");
    }
}
