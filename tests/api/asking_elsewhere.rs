//! Prompts and resources that ask before they answer: the same rounds, states and refusals as those of tools.

use std::{sync::Arc, time::Duration};

use portcullis::{
    app::Additions,
    policy::{GetPrompt, Permit, ReadResource},
    prompts::{Argument, Block, Message, Prompt, PromptSpec, Role, Values},
    resources::{Descriptor, Resource, ResourceBody, Source, SourceSpec},
    tools::{Call, LocalFuture, Said, ToolError},
};
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, without_limits},
    legacy,
    rpc::{META_CAPABILITIES, Rpc},
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Name {
    name: String,
}

fn name<D>(call: &Call<'_, D>, key: &'static str) -> Result<String, ToolError> {
    match call.elicit(key, "What is your name?")? {
        Said::Accepted(Name { name }) => Ok(name),
        Said::Declined | Said::Cancelled => Err(ToolError::Refused("no name".into())),
    }
}

/// Asks two things one after the other, and once whether to go on.
struct Asks(PromptSpec);

impl Prompt for Asks {
    fn spec(&self) -> &PromptSpec {
        &self.0
    }

    fn get<'a>(
        &'a self,
        values: &'a Values,
        call: &'a Call<'a, GetPrompt>,
    ) -> LocalFuture<'a, Result<Vec<Message>, ToolError>> {
        Box::pin(async {
            let text = match values.get("how") {
                "twice" => format!("{} {}", name(call, "first")?, name(call, "second")?),
                "once" => call.confirm("sure", "Go on?")?.to_string(),
                "embedded" => {
                    let block = Block::Embedded("asks://b".into());
                    return Ok(vec![Message { role: Role::User, block }]);
                }
                _ => name(call, "first")?,
            };
            Ok(vec![Message::user(format!("{text} for {}", call.principal().id))])
        })
    }
}

/// Its resources ask who wants to read them.
struct Private;

impl Source for Private {
    fn spec(&self) -> SourceSpec {
        let deadline = Duration::from_secs(5);
        SourceSpec { prefix: "asks://", needs: "weather:read", verbatim: false, deadline, templates: &[] }
    }

    fn list<'a>(
        &'a self,
        _: Option<&'a str>,
        _: usize,
        _: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<(Vec<Descriptor>, bool), ToolError>> {
        Box::pin(async { Ok((Vec::new(), false)) })
    }

    fn read<'a>(
        &'a self,
        uri: &'a str,
        call: &'a Call<'a, ReadResource>,
    ) -> LocalFuture<'a, Result<Resource, ToolError>> {
        Box::pin(async move {
            let body = ResourceBody::Text(format!("for {}", name(call, "first")?));
            Ok(Resource { uri: uri.into(), mime_type: None, body })
        })
    }
}

fn prompt(name: &str) -> Arc<dyn Prompt> {
    Arc::new(Asks(PromptSpec {
        name: name.to_owned(),
        title: name.to_owned(),
        about: "For tests.".into(),
        needs: "weather:read".into(),
        arguments: vec![Argument { required: false, ..Argument::required("how", "How it asks.") }],
        icons: Vec::new(),
    }))
}

fn start() -> TestApp {
    let prompts = vec![prompt("asks"), prompt("asks-too")];
    let more = Additions { resources: vec![Box::new(Private)], prompts, ..Additions::default() };
    TestApp::with_additions(without_limits, more)
}

/// The same by a client that can ask a person, with what it brings back from the round before.
fn round(rpc: Rpc, state: Option<&Value>, answers: &Value) -> Rpc {
    rpc.edit(|body| {
        body["params"]["_meta"][META_CAPABILITIES] = json!({ "elicitation": {} });
        if let Some(state) = state {
            body["params"]["requestState"] = state.clone();
            body["params"]["inputResponses"] = answers.clone();
        }
    })
}

fn named(key: &str, name: &str) -> Value {
    json!({ key: { "action": "accept", "content": { "name": name } } })
}

fn ask(app: &TestApp, token: &str, rpc: Rpc) -> Value {
    rpc.bearer(token).send(app).json()
}

fn asked(answer: &Value, key: &str) -> Value {
    assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
    assert_eq!(answer["result"]["inputRequests"][key]["method"], "elicitation/create", "{answer}");
    answer["result"]["requestState"].clone()
}

fn is_invalid_state(answer: &Value) {
    assert_eq!(answer["error"]["message"], "Invalid requestState", "{answer}");
}

#[test]
fn a_prompt_asks_in_rounds_and_remembers_what_was_said() {
    let app = start();
    let token = app.token("ada", "user");
    let twice = || Rpc::prompt("asks", json!({ "how": "twice" }));
    let first = asked(&ask(&app, &token, round(twice(), None, &Value::Null)), "first");
    let second = asked(&ask(&app, &token, round(twice(), Some(&first), &named("first", "Ada"))), "second");
    let done = ask(&app, &token, round(twice(), Some(&second), &named("second", "Lovelace")));
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
    assert_eq!(done["result"]["messages"][0]["content"]["text"], "Ada Lovelace for ada");
}

#[test]
fn a_resource_asks_as_a_prompt_does() {
    let app = start();
    let token = app.token("ada", "user");
    let read = || Rpc::read("asks://a");
    let state = asked(&ask(&app, &token, round(read(), None, &Value::Null)), "first");
    let done = ask(&app, &token, round(read(), Some(&state), &named("first", "Ada")));
    assert_eq!(done["result"]["contents"][0]["text"], "for Ada", "{done}");
    is_invalid_state(&ask(&app, &token, round(Rpc::read("asks://b"), Some(&state), &named("first", "Ada"))));
}

#[test]
fn a_state_is_good_for_its_caller_its_method_and_its_arguments_alone() {
    let app = start();
    let (ada, eve) = (app.token("ada", "user"), app.token("eve", "user"));
    let plain = || Rpc::prompt("asks", json!({}));
    let state = asked(&ask(&app, &ada, round(plain(), None, &Value::Null)), "first");
    let said = named("first", "Ada");
    let other_words = Rpc::prompt("asks", json!({ "how": "twice" }));
    for (token, rpc) in [
        (&eve, plain()),
        (&ada, other_words),
        (&ada, Rpc::prompt("asks-too", json!({}))),
        (&ada, Rpc::read("asks://a")),
        (&ada, Rpc::call("get_weather", json!({ "city": "Oslo" }))),
    ] {
        is_invalid_state(&ask(&app, token, round(rpc, Some(&state), &said)));
    }
    assert!(ask(&app, &ada, round(plain(), Some(&state), &said)).get("result").is_some());
}

#[test]
fn a_yes_counts_once_and_permissions_are_decided_in_every_round() {
    let app = start();
    let token = app.token("ada", "user");
    let once = || Rpc::prompt("asks", json!({ "how": "once" }));
    let yes = json!({ "sure": { "action": "accept", "content": { "confirmed": true } } });
    let state = asked(&ask(&app, &token, round(once(), None, &Value::Null)), "sure");
    let narrow = app.minted("ada", &[], &["files:read"], "tests").0;
    let denied = ask(&app, &narrow, round(once(), Some(&state), &yes));
    assert!(denied["error"]["message"].as_str().unwrap().starts_with("Unknown prompt"), "{denied}");
    let done = ask(&app, &token, round(once(), Some(&state), &yes));
    assert_eq!(done["result"]["messages"][0]["content"]["text"], "true for ada", "{done}");
    is_invalid_state(&ask(&app, &token, round(once(), Some(&state), &yes)));
}

#[test]
fn who_cannot_be_asked_is_told_what_it_takes_and_older_revisions_in_their_own_words() {
    let app = start();
    let token = app.token("ada", "user");
    for rpc in [Rpc::prompt("asks", json!({})), Rpc::read("asks://a")] {
        let refused = rpc.bearer(&token).send(&app);
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status, &error["code"]), (400, &json!(-32021)));
        assert_eq!(error["data"]["requiredCapabilities"], json!({ "elicitation": {} }));
    }
    for revision in legacy::LEGACY {
        for (method, params) in
            [("prompts/get", json!({ "name": "asks" })), ("resources/read", json!({ "uri": "asks://a" }))]
        {
            let refused = legacy::request(revision, method, params).bearer(&token).send(&app);
            let error = refused.json()["error"].clone();
            assert_eq!((refused.status, &error["code"]), (200, &json!(-32602)), "{revision} {error}");
            assert_eq!(error["data"].get("requiredCapabilities"), None, "a member of another era");
        }
    }
    // What is only embedded asks nobody.
    let embedded =
        ask(&app, &token, round(Rpc::prompt("asks", json!({ "how": "embedded" })), None, &Value::Null));
    assert_eq!(embedded["error"]["code"], -32602, "{embedded}");
}
