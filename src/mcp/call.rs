//! The one path to a tool: find, permit, check, record, run, check again.

use std::{panic::AssertUnwindSafe, time::Instant};

use futures_util::FutureExt;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use tracing::Instrument;

use super::{
    answer::Answer,
    exchange::{Asked, Exchange, Sought},
    refusal::Refusal,
};
use crate::{
    domain::{EventCode, Outcome, Principal},
    error::Code,
    house::WhenDenied,
    policy::{CallTool, Denied, Permit},
    protocol::{Dress, Id, Raw, Tree},
    tools::{
        Entry, Produced, ToolError, clean_name,
        hygiene::{self, Redacted},
    },
};

/// Finds, permits, checks, then runs the tool.
///
/// # Errors
/// [`Refusal`]: the tool has not run, or it broke its own promise.
pub(super) async fn tool(exchange: &mut Exchange<'_>, asked: Asked<'_>) -> Result<Answer, Refusal> {
    let house = exchange.house();
    let raw = asked.params.arguments.map_or("{}", Raw::text);
    if !raw.starts_with('{') {
        exchange.record.tool_named(&asked.tool);
        return Err(Refusal::new(Code::InvalidParams, "params.arguments must be an object"));
    }
    let Some(Sought { entry, permit }) = asked.sought else {
        exchange.record.tool_named(&asked.tool);
        return Err(unknown(&asked.tool));
    };
    exchange.record.tool(entry.spec().name);
    let permit = permit.map_err(|denied| refuse(exchange, entry, (&asked.principal, denied)))?;

    exchange.record.arguments(digest(&house.digest_key, raw));
    let arguments = Tree::of_text(raw)?;
    if !entry.spec().hints.read_only && entry.check_arguments(&arguments).is_ok() {
        // The messages before it in a batch may have used up the time: then nothing is begun.
        if exchange.began.elapsed() >= house.limits.request_timeout {
            let late = Ran::failed(Outcome::Timeout, &ToolError::Timeout);
            return late.answer(asked.id, house.views.dress(asked.revision));
        }
        // What it changes must not happen without a trace, even if we die while it runs.
        let slot = exchange.worker.lane.reserve()?;
        slot.write(exchange.record.beside(EventCode::ToolStarted)).committed().await?;
    }
    let ran = run(exchange, entry, &arguments, &permit).await?;
    if ran.redacted.count() > 0 {
        exchange.record.detail(&ran.redacted.detail());
    }
    ran.answer(asked.id, house.views.dress(asked.revision))
}

/// What running a tool came to, fit to be sent.
struct Ran {
    outcome: Outcome,
    shown: Shown,
    /// What of it is not shown.
    redacted: Redacted,
}

/// What of it is shown.
enum Shown {
    /// This.
    Produced(Produced),
    /// Why the arguments do not fit.
    Unfit(String),
    /// Why it failed, for the model.
    Failed(String),
}

impl Ran {
    fn failed(outcome: Outcome, error: &ToolError) -> Self {
        let (text, redacted) = hygiene::failure(&error.to_string());
        let is_unfit = matches!(error, ToolError::Arguments(_));
        let shown = if is_unfit { Shown::Unfit(text) } else { Shown::Failed(text) };
        Self { outcome, shown, redacted }
    }

    /// Bad arguments are the model's to correct where its revision says so, and the client's elsewhere.
    fn answer(self, id: Id<'_>, dress: Dress<'_>) -> Result<Answer, Refusal> {
        let text = match self.shown {
            Shown::Produced(produced) => {
                return Ok(Answer::ok(dress.tool_result(id, produced.output(), produced.content())));
            }
            Shown::Unfit(text) if !dress.revision.tells_models_of_bad_arguments() => {
                return Err(Refusal::new(Code::InvalidParams, text));
            }
            Shown::Unfit(text) | Shown::Failed(text) => text,
        };
        Ok(Answer::failure(dress.tool_failure(id, &text), self.outcome))
    }
}

/// Runs the tool under its deadline; a panic in it stays in it.
async fn run(
    exchange: &Exchange<'_>,
    entry: &Entry,
    arguments: &Tree<'_>,
    permit: &Permit<CallTool>,
) -> Result<Ran, Refusal> {
    let house = exchange.house();
    let span = tracing::debug_span!("tool.call", tool.name = entry.spec().name, principal.id = %permit.principal().id);
    let started = Instant::now();
    let running = AssertUnwindSafe(entry.run(arguments, permit).instrument(span)).catch_unwind();
    // The tool's own deadline is inside `run`; the operator's counts where it is the shorter one.
    let spent = started.saturating_duration_since(exchange.began);
    let limit = house.limits.request_timeout.saturating_sub(spent);
    let ended = if limit < entry.spec().deadline {
        tokio::time::timeout(limit, running).await.unwrap_or(Ok(Err(ToolError::Timeout)))
    } else {
        running.await
    };
    let ended = ended.map(|produced| hygiene::produced(entry, produced?));
    let (outcome, ran) = match ended {
        Ok(Ok((produced, redacted))) => {
            (Outcome::Ok, Ok(Ran { outcome: Outcome::Ok, shown: Shown::Produced(produced), redacted }))
        }
        Ok(Err(ToolError::Output)) | Err(_) => {
            tracing::error!(
                tool.name = entry.spec().name,
                "tool broke its promise: a panic, or output against its schema"
            );
            (Outcome::Failed, Err(Refusal::new(Code::Internal, "internal error")))
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
fn refuse(exchange: &mut Exchange<'_>, entry: &Entry, (caller, denied): (&Principal, Denied)) -> Refusal {
    let house = exchange.house();
    let missing = house.roles.catalogue().name(denied.missing).to_owned();
    exchange.record.denied(&missing);
    house.metrics.denial(&missing);
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
