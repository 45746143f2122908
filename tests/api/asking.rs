//! Calls that ask before they act (MRTR): rounds, states, who can be asked, and what a person's word is worth.

use std::time::Duration;

use portcullis::{
    domain::{Seal, Timestamp},
    tools::{AnyTool, Ask, Call, Content, Hints, Said, Shown, Spec, Tool, ToolError},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::{
    app::TestApp,
    block_on,
    http::Reply,
    legacy,
    rpc::{META_CAPABILITIES, Rpc},
};

/// What a test has the tool ask.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct What {
    ask: String,
    #[serde(default)]
    #[expect(dead_code, reason = "only that it is bound counts")]
    more: u32,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Name {
    name: String,
}

/// Asks what it is told to ask.
struct Asks;

impl Tool for Asks {
    const SPEC: Spec = Spec {
        name: "asks",
        title: "Asks",
        about: "For tests.",
        needs: "files:write",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(5),
    };
    type Args = What;
    type Output = Shown;

    async fn call(&self, what: What, call: &Call<'_>) -> Result<Shown, ToolError> {
        let text = match &*what.ask {
            "name" => name(call, "name")?,
            "steps" => format!("{} {}", name(call, "first")?, name(call, "second")?),
            "many" => {
                let (text, roots) = (call.sample("text", "Say hello.", 9), call.roots("roots"));
                let (text, roots) = (text?, roots?);
                format!("{text} {}", roots.len())
            }
            "forever" => {
                name(call, "again")?;
                return Err(call.confirm("never", "Again?").err().unwrap_or(ToolError::Unanswered));
            }
            "once" => call.confirm("sure", "Go on?")?.to_string(),
            _ if call.can_ask(Ask::User) => "can".into(),
            _ => "cannot".into(),
        };
        Ok(Shown(vec![Content::Text(text)]))
    }
}

fn name(call: &Call<'_>, key: &'static str) -> Result<String, ToolError> {
    match call.elicit::<Name>(key, "What is your name?")? {
        Said::Accepted(Name { name }) => Ok(name),
        Said::Declined => Ok("declined".into()),
        Said::Cancelled => Ok("cancelled".into()),
    }
}

fn start() -> TestApp {
    let tools: Vec<Box<dyn AnyTool>> = vec![Box::new(Asks)];
    TestApp::with(super::support::app::without_limits, tools)
}

pub(super) fn capable(rpc: Rpc) -> Rpc {
    rpc.meta(|meta| meta[META_CAPABILITIES] = json!({ "elicitation": {}, "sampling": {}, "roots": {} }))
}

fn asks(app: &TestApp, what: &str) -> Rpc {
    capable(Rpc::call("asks", json!({ "ask": what }))).bearer(&app.token("ada", "premium"))
}

/// The same call, with answers and the state of `reply`.
pub(super) fn answered(rpc: &Rpc, reply: &Reply, answers: Value) -> Rpc {
    let state = state_of(reply);
    rpc.clone().edit(|body| {
        body["id"] = json!(2);
        body["params"]["inputResponses"] = answers;
        body["params"]["requestState"] = json!(state);
    })
}

#[track_caller]
pub(super) fn state_of(reply: &Reply) -> String {
    let result = reply.result();
    assert_eq!(result["resultType"], "input_required", "{result}");
    result["requestState"].as_str().unwrap().to_owned()
}

pub(super) fn accept(content: Value) -> Value {
    json!({ "action": "accept", "content": content })
}

pub(super) fn yes() -> Value {
    accept(json!({ "confirmed": true }))
}

#[track_caller]
fn shown(reply: &Reply) -> String {
    let result = reply.result();
    assert_eq!(result["resultType"], "complete", "{result}");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

#[track_caller]
pub(super) fn invalid(reply: &Reply) {
    reply.refused(200, -32602, "invalid_params");
    assert_eq!(reply.json()["error"]["message"], "Invalid requestState");
}

#[test]
fn a_call_that_asks_is_answered_with_its_questions_and_done_with_the_answers() {
    let app = start();
    let rpc = asks(&app, "name");
    let asked = rpc.send(&app);
    let result = asked.result();
    let question = &result["inputRequests"]["name"];
    assert_eq!(
        (&question["method"], &question["params"]["mode"]),
        (&json!("elicitation/create"), &json!("form"))
    );
    let form =
        json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
    assert_eq!(question["params"]["requestedSchema"], form);
    for member in ["content", "ttlMs", "cacheScope"] {
        assert!(result.get(member).is_none(), "{member}");
    }
    let record = app.record_of(&asked);
    assert_eq!(
        (&*record.outcome, &record.detail.unwrap()),
        ("ok", &json!({ "asked": ["name"], "round": 1 }))
    );
    let ada = json!({ "name": accept(json!({ "name": "Ada" })), "other": 1 });
    assert_eq!(shown(&answered(&rpc, &asked, ada).send(&app)), "Ada");
    assert_eq!(
        shown(&answered(&rpc, &asked, json!({ "name": { "action": "decline" } })).send(&app)),
        "declined"
    );
    assert_eq!(
        shown(&answered(&rpc, &asked, json!({ "name": { "action": "cancel" } })).send(&app)),
        "cancelled"
    );
}

#[test]
fn missing_and_wrong_answers_are_asked_again() {
    let app = start();
    let rpc = asks(&app, "name");
    let asked = rpc.send(&app);
    for wrong in [
        json!({}),
        json!({ "wrong": yes() }),
        json!({ "name": 7 }),
        json!({ "name": null }),
        json!({ "name": yes() }),
    ] {
        let again = answered(&rpc, &asked, wrong.clone()).send(&app);
        assert!(again.result()["inputRequests"]["name"].is_object(), "{wrong}");
        assert_ne!(state_of(&again), state_of(&asked));
    }
    answered(&rpc, &asked, json!([])).send(&app).refused(200, -32602, "invalid_params");
}

#[test]
fn earlier_answers_are_kept_while_more_is_asked() {
    let app = start();
    let rpc = asks(&app, "steps");
    let first = rpc.send(&app);
    let second = answered(&rpc, &first, json!({ "first": accept(json!({ "name": "Ada" })) })).send(&app);
    let keys = second.result()["inputRequests"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys, ["second"]);
    let done = answered(&rpc, &second, json!({ "second": accept(json!({ "name": "Bob" })) })).send(&app);
    assert_eq!(shown(&done), "Ada Bob");
    let rpc = asks(&app, "many");
    let asked = rpc.send(&app);
    let text = json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "hello" } });
    let roots = json!({ "roots": [{ "uri": "file:///a" }] });
    let done = answered(&rpc, &asked, json!({ "text": text, "roots": roots })).send(&app);
    assert_eq!(shown(&done), "hello 1");
}

#[test]
fn only_what_a_client_has_declared_is_asked_and_what_is_indispensable_is_named() {
    let app = start();
    for (declared, ask, lacks) in [
        (json!({}), "name", "elicitation"),
        (json!({ "elicitation": { "url": {} } }), "name", "elicitation"),
        (json!({ "roots": {} }), "many", "sampling"),
    ] {
        let rpc = asks(&app, ask).meta(|meta| meta[META_CAPABILITIES] = declared.clone());
        let refused = rpc.send(&app);
        refused.refused(400, -32021, "missing_capability");
        assert!(!refused.text().contains("inputRequests"));
        let required = &refused.json()["error"]["data"]["requiredCapabilities"];
        assert!(required.is_object(), "{required}");
        assert!(ask == "many" || required == &json!({ lacks: {} }), "{required}");
    }
    let silent = asks(&app, "nothing").meta(|meta| meta[META_CAPABILITIES] = json!({}));
    assert_eq!(
        (shown(&silent.send(&app)), shown(&asks(&app, "nothing").send(&app))),
        ("cannot".into(), "can".into())
    );
    for revision in legacy::LEGACY {
        let old = |ask| {
            let token = app.token("ada", "premium");
            legacy::call(revision, "asks", json!({ "ask": ask })).bearer(&token).send(&app).result()
        };
        assert_eq!(old("nothing")["content"][0]["text"], "cannot");
        let told = old("name");
        assert_eq!(told["isError"], true, "{told}");
        assert!(told["content"][0]["text"].as_str().unwrap().contains("can be asked (elicitation)"));
    }
}

#[test]
fn a_state_is_good_for_its_caller_its_tool_and_its_arguments_alone() {
    let app = start();
    let rpc = asks(&app, "name");
    let asked = rpc.send(&app);
    let state = state_of(&asked);
    let ada = json!({ "name": accept(json!({ "name": "Ada" })) });
    let good = answered(&rpc, &asked, ada);
    // Another credential of the same person is the same person; the same arguments are the same arguments.
    let (key, _) = app.key("ada", &["files:write"]);
    assert_eq!(shown(&good.clone().without("authorization").key(&key).send(&app)), "Ada");
    let spaced = good.text().replace("{\"ask\":\"name\"}", "{ \"\\u0061sk\": \"name\" }");
    assert_eq!(shown(&good.clone().raw(spaced).send(&app)), "Ada");
    invalid(
        &good.clone().replace("authorization", format!("Bearer {}", app.token("bob", "premium"))).send(&app),
    );
    invalid(&good.clone().edit(|body| body["params"]["arguments"]["more"] = json!(1)).send(&app));
    invalid(&good.clone().edit(|body| body["params"]["arguments"]["ask"] = json!("steps")).send(&app));
    let other = good.clone().replace("mcp-name", "get_weather");
    invalid(
        &other
            .edit(|body| {
                body["params"]["name"] = json!("get_weather");
                body["params"]["arguments"] = json!({ "city": "Oslo" });
            })
            .send(&app),
    );
    for at in (0..state.len()).step_by(7) {
        let mut flipped = state.clone().into_bytes();
        flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        invalid(&good.clone().edit(|body| body["params"]["requestState"] = json!(flipped)).send(&app));
    }
    for nonsense in
        [json!(7), json!(""), json!(format!("{state}-TAMPERED")), json!("k1."), json!("x".repeat(20_000))]
    {
        invalid(&good.clone().edit(|body| body["params"]["requestState"] = nonsense.clone()).send(&app));
    }
}

/// What the server keeps in a state, opened by its own key; with the key, to seal another.
fn opened(app: &TestApp, state: &str) -> (Seal, Vec<u8>, Value) {
    let secret = block_on(app.stores().rings.secret("mcp.state")).unwrap();
    let seal = Seal::new(&secret, "tools/call requestState").unwrap();
    let mut bound = Sha256::new();
    for part in ["ada", "tools/call", "asks", r#"{"ask":"name"}"#] {
        bound.update((part.len() as u64).to_be_bytes());
        bound.update(part);
    }
    let bound = bound.finalize().to_vec();
    let kept = serde_json::from_slice(&seal.open(&bound, state).unwrap()).unwrap();
    (seal, bound, kept)
}

#[test]
fn a_state_is_good_for_five_minutes() {
    let app = start();
    let rpc = asks(&app, "name");
    let asked = rpc.send(&app);
    let (seal, bound, mut kept) = opened(&app, &state_of(&asked));
    let left = kept["until"].as_u64().unwrap() - Timestamp::now().secs();
    assert!((298..=300).contains(&left), "{left}");
    let ada = answered(&rpc, &asked, json!({ "name": accept(json!({ "name": "Ada" })) }));
    for (until, holds) in [(Timestamp::now().secs() + 30, true), (Timestamp::now().secs(), false)] {
        kept["until"] = json!(until);
        let sealed = seal.seal(&bound, kept.to_string().as_bytes()).unwrap();
        let reply = ada.clone().edit(|body| body["params"]["requestState"] = json!(sealed)).send(&app);
        if holds { assert_eq!(shown(&reply), "Ada") } else { invalid(&reply) }
    }
}

#[test]
fn nobody_is_asked_without_end_and_nothing_is_kept_without_bound() {
    let app = start();
    let rpc = asks(&app, "forever");
    let mut asked = rpc.send(&app);
    for round in 1..8 {
        assert_eq!(app.record_of(&asked).detail.unwrap()["round"], round);
        asked = answered(&rpc, &asked, json!({})).send(&app);
    }
    let given_up = answered(&rpc, &asked, json!({})).send(&app).result();
    assert_eq!(
        (&given_up["resultType"], &given_up["isError"]),
        (&json!("complete"), &json!(true)),
        "{given_up}"
    );
    let rpc = asks(&app, "steps");
    let long = json!({ "first": accept(json!({ "name": "x".repeat(9_000) })) });
    let given_up = answered(&rpc, &rpc.send(&app), long).send(&app).result();
    assert_eq!(given_up["isError"], true, "more than a state may hold");
}

#[test]
fn a_word_that_counts_once_counts_once_in_one_process_and_only_for_whoever_was_asked() {
    let app = start();
    let rpc = asks(&app, "once");
    let unasked =
        rpc.clone().edit(|body| body["params"]["inputResponses"] = json!({ "sure": yes() })).send(&app);
    let asked = rpc.send(&app);
    assert!(state_of(&unasked) != state_of(&asked));
    let sure = answered(&rpc, &asked, json!({ "sure": yes() }));
    assert_eq!(shown(&sure.send(&app)), "true");
    invalid(&sure.send(&app));
    let asked = rpc.send(&app);
    let sure = answered(&rpc, &asked, json!({ "sure": yes() }));
    std::thread::scope(|scope| {
        let sent: Vec<_> = (0..8).map(|_| scope.spawn(|| sure.send(&app).json())).collect();
        let good = sent.into_iter().filter(|_| true).map(|one| one.join().unwrap());
        assert_eq!(good.filter(|answer| answer["result"].is_object()).count(), 1, "of eight at once");
    });
}
