//! The fixtures that ask the client, tell it how far they are, tell of changes, or are repeated in headers.

use std::{sync::OnceLock, time::Duration};

use portcullis::{
    actors::changes::Changes,
    domain::Change,
    tools::{AnyTool, Ask, Call, Content, Said, Shown, Spec, Tool, ToolError},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Fixture, Nothing, spec};

/// Where the running server tells of changes.
pub(super) static CHANGES: OnceLock<Changes> = OnceLock::new();

/// Tells three steps on its way.
struct WithProgress;

impl Tool for WithProgress {
    const SPEC: Spec = spec("test_tool_with_progress", "Tells how far it is.");
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        for done in [0.0, 50.0, 100.0] {
            call.progress(done, Some(100.0), None);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Shown(shown("Done in three steps.")))
    }
}

/// Waits for nothing, and says on standard error when it begins and when it ends: no scenario's, but how the matrix of
/// clients sees whether a call ends that its client has given up.
struct Waits;

struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        eprintln!("test_waits: ended");
    }
}

impl Tool for Waits {
    const SPEC: Spec = spec("test_waits", "Waits until its time is over.");
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, _: &Call<'_>) -> Result<Shown, ToolError> {
        let _ended = Ended;
        eprintln!("test_waits: begun");
        std::future::pending().await
    }
}

/// Shows an argument that clients repeat in a header.
struct CustomHeader;

#[derive(Deserialize, JsonSchema)]
struct Repeated {
    /// What stands in `Mcp-Param-Value` too.
    #[schemars(extend("x-mcp-header" = "Value"))]
    value: String,
}

impl Tool for CustomHeader {
    const SPEC: Spec = spec("test_custom_header", "Shows an argument that is repeated in a header.");
    type Args = Repeated;
    type Output = Shown;

    async fn call(&self, repeated: Repeated, _: &Call<'_>) -> Result<Shown, ToolError> {
        Ok(Shown(shown(&repeated.value)))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Named {
    /// Your name.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Coloured {
    /// Your favourite colour.
    color: String,
}

#[derive(Deserialize, JsonSchema)]
struct Agreed {
    /// Whether to go on.
    ok: bool,
}

fn shown(text: &str) -> Vec<Content> {
    vec![Content::Text(text.to_owned())]
}

fn name(call: &Call<'_>, key: &'static str) -> Result<String, ToolError> {
    match call.elicit::<Named>(key, "What is your name?")? {
        Said::Accepted(Named { name }) => Ok(name),
        Said::Declined | Said::Cancelled => Ok("stranger".to_owned()),
    }
}

fn elicitation(call: &Call<'_>) -> Answer {
    Ok(shown(&format!("Hello, {}!", name(call, "user_name")?)))
}

fn sampling(call: &Call<'_>) -> Answer {
    Ok(shown(&call.sample("capital_question", "What is the capital of France?", 100)?))
}

fn list_roots(call: &Call<'_>) -> Answer {
    Ok(shown(&format!("{} roots", call.roots("client_roots")?.len())))
}

fn confirmed(call: &Call<'_>) -> Answer {
    match call.elicit::<Agreed>("confirm", "Go on?")? {
        Said::Accepted(Agreed { ok: true }) => Ok(shown("state-ok: confirmed")),
        _ => Ok(shown("state-ok: not confirmed")),
    }
}

fn multiple(call: &Call<'_>) -> Answer {
    let name = name(call, "user_name");
    let (greeting, roots) = (call.sample("greeting", "Say hello.", 50), call.roots("client_roots"));
    Ok(shown(&format!("{} {} {}", greeting?, name?, roots?.len())))
}

fn multi_round(call: &Call<'_>) -> Answer {
    let name = name(call, "step1")?;
    match call.elicit::<Coloured>("step2", "What is your favourite colour?")? {
        Said::Accepted(Coloured { color }) => Ok(shown(&format!("{name} likes {color}."))),
        _ => Ok(shown(&format!("{name} likes no colour."))),
    }
}

fn capabilities(call: &Call<'_>) -> Answer {
    let asked = [
        call.can_ask(Ask::User).then(|| name(call, "user_name")),
        call.can_ask(Ask::Model).then(|| call.sample("greeting", "Say hello.", 50)),
    ];
    let said = asked.into_iter().flatten().collect::<Result<Vec<_>, _>>()?;
    Ok(shown(&format!("said: {}", said.join(", "))))
}

fn streaming(call: &Call<'_>) -> Answer {
    if call.can_ask(Ask::User) { elicitation(call) } else { Ok(shown("Nobody can be asked.")) }
}

fn changed(change: Change) -> Answer {
    let changes = CHANGES.get().ok_or_else(|| ToolError::Refused("the server starts".to_owned()))?;
    changes.tell(change);
    Ok(shown("Changed."))
}

const ASKS: &str = "Asks the client.";
const ELICITATION: Spec = spec("test_input_required_result_elicitation", ASKS);
const SAMPLING: Spec = spec("test_input_required_result_sampling", ASKS);
const ROOTS: Spec = spec("test_input_required_result_list_roots", ASKS);
const STATE: Spec = spec("test_input_required_result_request_state", ASKS);
const MULTIPLE: Spec = spec("test_input_required_result_multiple_inputs", ASKS);
const ROUNDS: Spec = spec("test_input_required_result_multi_round", ASKS);
const TAMPERED: Spec = spec("test_input_required_result_tampered_state", ASKS);
const CAPABILITIES: Spec = spec("test_input_required_result_capabilities", ASKS);
const MISSING: Spec = spec("test_missing_capability", "Cannot do without sampling.");
const STREAMING: Spec = spec("test_streaming_elicitation", ASKS);
const LOGGING: Spec = spec("test_logging_tool", "Logs nothing that nobody asked for.");
const TOOLS: Spec = spec("test_trigger_tool_change", "Tells that the tools have changed.");
const PROMPTS: Spec = spec("test_trigger_prompt_change", "Tells that the prompts have changed.");

pub(super) fn fixtures() -> Vec<Box<dyn AnyTool>> {
    let asks = |spec, answer: fn(&Call<'_>) -> Answer| -> Box<dyn AnyTool> {
        Box::new(Fixture { spec, answer, schema: None })
    };
    vec![
        Box::new(WithProgress),
        Box::new(Waits),
        Box::new(CustomHeader),
        asks(&ELICITATION, elicitation),
        asks(&SAMPLING, sampling),
        asks(&ROOTS, list_roots),
        asks(&STATE, confirmed),
        asks(&MULTIPLE, multiple),
        asks(&ROUNDS, multi_round),
        asks(&TAMPERED, confirmed),
        asks(&CAPABILITIES, capabilities),
        asks(&MISSING, sampling),
        asks(&STREAMING, streaming),
        asks(&LOGGING, |_| Ok(shown("Nothing was logged."))),
        asks(&TOOLS, |_| changed(Change::Tools)),
        asks(&PROMPTS, |_| changed(Change::Prompts)),
    ]
}
