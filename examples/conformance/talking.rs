//! The fixtures that talk with their client while they run, as older revisions do it in a session.

use std::{fmt::Debug, time::Duration};

use portcullis::tools::{AnyTool, Call, Content, LogLevel, Said, Shown, Spec, Tool, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Fixture, Nothing, spec};

/// Writes three lines of its log.
struct Logs;

impl Tool for Logs {
    const SPEC: Spec = spec("test_tool_with_logging", "Writes three lines of its log.");
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.log(LogLevel::Info, "Tool execution started");
        tokio::time::sleep(Duration::from_millis(50)).await;
        call.log(LogLevel::Info, "Tool processing data");
        tokio::time::sleep(Duration::from_millis(50)).await;
        call.log(LogLevel::Info, "Tool execution completed");
        Ok(Shown(shown("Logged three lines.")))
    }
}

/// Lets its client go before it answers.
struct Pauses;

impl Tool for Pauses {
    const SPEC: Spec = spec("test_reconnection", "Lets its client go before it answers.");
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.pause();
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(Shown(shown("The client has come back.")))
    }
}

/// What a model shall go on with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Prompt {
    /// The prompt.
    prompt: String,
}

/// Asks the client's model.
struct Samples;

impl Tool for Samples {
    const SPEC: Spec = spec("test_sampling", "Asks the client's model.");
    type Args = Prompt;
    type Output = Shown;

    async fn call(&self, asked: Prompt, call: &Call<'_>) -> Result<Shown, ToolError> {
        let said = call.sample("sampled", &asked.prompt, 100)?;
        Ok(Shown(shown(&format!("LLM response: {said}"))))
    }
}

/// What a person shall be shown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Message {
    /// The message.
    message: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "shown as it is")]
struct Person {
    /// User's response
    username: String,
    /// User's email address
    email: String,
}

/// Asks a person.
struct Elicits;

impl Tool for Elicits {
    const SPEC: Spec = spec("test_elicitation", "Asks a person.");
    type Args = Message;
    type Output = Shown;

    async fn call(&self, asked: Message, call: &Call<'_>) -> Result<Shown, ToolError> {
        let said = told(call.elicit::<Person>("person", &asked.message)?);
        Ok(Shown(shown(&format!("User response: {said}"))))
    }
}

/// A form that is filled in already.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "shown as it is")]
struct Filled {
    #[serde(default = "john")]
    name: String,
    #[serde(default = "thirty")]
    age: i64,
    #[serde(default = "much")]
    score: f64,
    #[serde(default = "active")]
    #[schemars(extend("enum" = ["active", "inactive", "pending"]))]
    status: String,
    #[serde(default = "yes")]
    verified: bool,
}

fn john() -> String {
    "John Doe".to_owned()
}

fn thirty() -> i64 {
    30
}

fn much() -> f64 {
    95.5
}

fn active() -> String {
    "active".to_owned()
}

fn yes() -> bool {
    true
}

/// Every way of choosing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "shown as it is")]
struct Choices {
    #[schemars(extend("enum" = ["option1", "option2", "option3"]))]
    untitled_single: String,
    #[schemars(extend("oneOf" = [
        { "const": "value1", "title": "First Option" },
        { "const": "value2", "title": "Second Option" },
        { "const": "value3", "title": "Third Option" },
    ]))]
    titled_single: String,
    #[schemars(extend("enum" = ["opt1", "opt2", "opt3"], "enumNames" = ["Option One", "Option Two", "Option Three"]))]
    legacy_enum: String,
    #[schemars(extend("items" = { "type": "string", "enum": ["option1", "option2", "option3"] }))]
    untitled_multi: Vec<String>,
    #[schemars(extend("items" = { "anyOf": [
        { "const": "value1", "title": "First Choice" },
        { "const": "value2", "title": "Second Choice" },
        { "const": "value3", "title": "Third Choice" },
    ] }))]
    titled_multi: Vec<String>,
}

fn filled(call: &Call<'_>) -> Answer {
    let said = told(call.elicit::<Filled>("filled", "Is this right?")?);
    Ok(shown(&format!("Elicitation completed: {said}")))
}

fn choices(call: &Call<'_>) -> Answer {
    let said = told(call.elicit::<Choices>("choices", "Which ones?")?);
    Ok(shown(&format!("Elicitation completed: {said}")))
}

fn told<T: Debug>(said: Said<T>) -> String {
    match said {
        Said::Accepted(content) => format!("action=accept, content={content:?}"),
        Said::Declined => "action=decline".to_owned(),
        Said::Cancelled => "action=cancel".to_owned(),
    }
}

fn shown(text: &str) -> Vec<Content> {
    vec![Content::Text(text.to_owned())]
}

const FILLED: Spec = spec("test_elicitation_sep1034_defaults", "Asks a person who need not type much.");
const CHOICES: Spec = spec("test_elicitation_sep1330_enums", "Has a person choose.");

pub(super) fn fixtures() -> Vec<Box<dyn AnyTool>> {
    let asks = |spec, answer: fn(&Call<'_>) -> Answer| -> Box<dyn AnyTool> {
        Box::new(Fixture { spec, answer, schema: None })
    };
    vec![
        Box::new(Logs),
        Box::new(Pauses),
        Box::new(Samples),
        Box::new(Elicits),
        asks(&FILLED, filled),
        asks(&CHOICES, choices),
    ]
}
