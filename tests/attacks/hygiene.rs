//! Row L14 of the protocol's rules: what a tool gives is made harmless before a model sees it; and what a tool
//! refuses is said without a value of the caller's and without anything of this machine.

use std::time::Duration;

use portcullis::tools::{
    AnyTool, Call, Content, Hints, Link, Resource, ResourceBody, Shown, Spec, Tool, ToolError,
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, without_limits},
    output,
    rpc::Rpc,
};

/// Says again what it was told, or fails with it.
struct Echoes;

/// The same, byte by byte.
struct Copies;

/// Points at what it was told, by a link and by a resource.
struct Points;

/// Says much.
struct Blares;

/// What to say, whether as a failure, how often, and with how little room.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Said {
    text: String,
    #[serde(default)]
    fails: bool,
}

#[derive(Serialize, JsonSchema)]
struct Echoed {
    text: String,
    #[schemars(length(max = 60))]
    short: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Much {
    bytes: usize,
}

#[derive(Serialize, JsonSchema)]
struct Loud {
    text: String,
}

const fn spec(name: &'static str) -> Spec {
    Spec {
        name,
        title: "Test",
        about: "For tests.",
        needs: "weather:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(5),
    }
}

impl Tool for Echoes {
    const SPEC: Spec = spec("echoes");
    type Args = Said;
    type Output = Echoed;

    async fn call(&self, said: Said, _: &Call<'_>) -> Result<Echoed, ToolError> {
        if said.fails {
            return Err(ToolError::Upstream(said.text));
        }
        let short = if said.text.len() <= 60 { said.text.clone() } else { String::new() };
        Ok(Echoed { text: said.text, short })
    }
}

impl Tool for Copies {
    const SPEC: Spec = spec("copies");
    const VERBATIM: bool = true;
    type Args = Said;
    type Output = Loud;

    async fn call(&self, said: Said, _: &Call<'_>) -> Result<Loud, ToolError> {
        Ok(Loud { text: said.text })
    }
}

impl Tool for Points {
    const SPEC: Spec = spec("points");
    type Args = Said;
    type Output = Shown;

    async fn call(&self, said: Said, _: &Call<'_>) -> Result<Shown, ToolError> {
        let link = Link { uri: said.text.clone(), name: "there".into(), description: None, mime_type: None };
        let body = ResourceBody::Text("here".into());
        let resource = Resource { uri: said.text, mime_type: None, body };
        Ok(Shown(vec![Content::Link(link), Content::Resource(resource)]))
    }
}

impl Tool for Blares {
    const SPEC: Spec = spec("blares");
    type Args = Much;
    type Output = Loud;

    async fn call(&self, much: Much, _: &Call<'_>) -> Result<Loud, ToolError> {
        Ok(Loud { text: "x".repeat(much.bytes) })
    }
}

fn app() -> (TestApp, String) {
    let tools: Vec<Box<dyn AnyTool>> =
        vec![Box::new(Echoes), Box::new(Copies), Box::new(Points), Box::new(Blares)];
    let app = TestApp::with(without_limits, tools);
    let token = app.token("ada", "admin");
    (app, token)
}

/// Put together here, so that no search for secrets finds this file.
fn key() -> String {
    let key = format!("mcp_{}", "A1b2C3d4".repeat(6));
    output::secret(&key);
    key
}

#[test]
fn l14_whatever_steers_a_terminal_or_hides_is_an_escape_of_the_same_value() {
    let (app, token) = app();
    let hostile = "\u{1b}[2J\u{9b}31m \u{202e}live\u{2066} \u{200b}\u{e0041}\u{7f}\r\n\"\\é";
    for tool in ["echoes", "copies"] {
        let reply = Rpc::call(tool, json!({ "text": hostile })).bearer(&token).send(&app);
        let result = reply.result();
        assert_eq!(result["structuredContent"]["text"], hostile);
        let shown = result["content"][0]["text"].as_str().unwrap();
        let harmless = |c: char| !c.is_control() && !"\u{202e}\u{2066}\u{200b}\u{e0041}".contains(c);
        assert!(shown.chars().all(harmless) && reply.text().chars().all(harmless), "{shown:?}");
        assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), result["structuredContent"]);
    }
    let failed = Rpc::call("echoes", json!({ "text": hostile, "fails": true })).bearer(&token).send(&app);
    let result = failed.result();
    let shown = result["content"][0]["text"].as_str().unwrap();
    assert!(
        result["isError"] == true && shown.starts_with("\\u{1b}[2J\\u{9b}31m \\u{202e}live"),
        "{shown:?}"
    );
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{shown:?}");
}

#[test]
fn l14_what_looks_like_a_credential_is_not_shown_and_is_counted() {
    let (app, token) = app();
    let key = key();
    let text = format!("use {key} or {token}, \"please\"");
    let reply = Rpc::call("echoes", json!({ "text": text })).bearer(&token).send(&app);
    let expected = "use [redacted: api key] or [redacted: token], \"please\"";
    assert_eq!(reply.result()["structuredContent"]["text"], expected);
    assert!(!reply.text().contains(&key) && !reply.text().contains(&token));
    let record = app.record_of(&reply);
    assert_eq!(record.outcome, "ok");
    assert_eq!(record.detail.unwrap()["redacted"], json!({ "api_keys": 1, "tokens": 1, "private_keys": 0 }));
    assert_eq!(app.metric("portcullis_redactions_total"), 2.0);

    let failed = Rpc::call("echoes", json!({ "text": text, "fails": true })).bearer(&token).send(&app);
    assert_eq!(failed.result()["content"][0]["text"], expected);
    assert_eq!(app.record_of(&failed).detail.unwrap()["redacted"]["tokens"], 1);

    let copied = Rpc::call("copies", json!({ "text": text })).bearer(&token).send(&app);
    assert_eq!(copied.result()["structuredContent"]["text"], *text, "a file must come back as it is");
    assert!(app.record_of(&copied).detail.is_none());
}

#[test]
fn l14_a_uri_is_as_harmless_as_any_other_text_and_leads_where_it_led() {
    let (app, token) = app();
    let key = key();
    let point = |uri: &str| Rpc::call("points", json!({ "text": uri })).bearer(&token).send(&app);
    for (uri, shown) in [
        ("https://example.com/a?b=%20#c", "https://example.com/a?b=%20#c".to_owned()),
        ("file:///São Paulo/\u{202e}txt.exe", "file:///S%C3%A3o%20Paulo/%E2%80%AEtxt.exe".into()),
        ("test://a/\u{1b}[2J\u{7f}\r\n", "test://a/%1B%5B2J%7F%0D%0A".into()),
        (
            &format!("https://example.com/?key={key}&x=1"),
            "https://example.com/?key=%5Bredacted%3A%20api%20key%5D&x=1".into(),
        ),
    ] {
        let reply = point(uri);
        let content = reply.result()["content"].take();
        assert_eq!((&content[0]["uri"], &content[1]["resource"]["uri"]), (&json!(shown), &json!(shown)));
        assert!(!reply.text().contains(['\u{202e}', '\u{1b}', '\u{7f}']) && !reply.text().contains(&key));
        let redacted = app.record_of(&reply).detail.map(|detail| detail["redacted"]["api_keys"].clone());
        assert_eq!(redacted, uri.contains(&key).then_some(json!(2)), "{uri:?}");
    }
    // Where no placeholder can stand, and where the escapes of the URI itself hide one.
    for uri in [format!("https://{key}.example.com/"), format!("test://x/{}", key.replace('_', "%5f"))] {
        let reply = point(&uri);
        let result = reply.result();
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(result["isError"] == true && text.contains("looks like a credential"), "{result}");
        assert!(!reply.text().contains(&key[4..]));
    }
}

#[test]
fn l14_a_result_beyond_its_bound_is_a_failure_that_says_what_to_do() {
    let (app, token) = app();
    let blare = |bytes: usize| Rpc::call("blares", json!({ "bytes": bytes })).bearer(&token).send(&app);
    let room = 4 * 1024 * 1024 - r#"{"text":""}"#.len();
    assert_ne!(blare(room).result()["isError"], true);
    let reply = blare(room + 1);
    let result = reply.result();
    assert_eq!(result["isError"], true);
    assert!(result["content"][0]["text"].as_str().unwrap().contains("ask for a smaller part"), "{result}");
    assert!(result.get("structuredContent").is_none());
    assert_eq!(app.record_of(&reply).outcome, "error");
}

/// Stands in every text that is sent, and may stand in no refusal.
const MARK: &str = "hunter2§";

/// Arguments of every shape: some that nearly fit `schema`, some that do not at all.
fn arguments(schema: &Value) -> impl Strategy<Value = Value> + use<> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "../",
            "/etc/",
            "a/",
            "\u{0}",
            "\u{1b}[2J",
            "~/",
            "C:\\",
            "mcp_",
            "%2e%2e/"
        ])
        .prop_map(|start| json!(format!("{start}{MARK}"))),
        "\\PC{0,40}".prop_map(|text| json!(format!("{text}{MARK}"))),
        (1_usize..2_000).prop_map(|times| json!(MARK.repeat(times))),
    ];
    let any_json = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let mut names: Vec<String> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    names.push("unknown".into());
    prop::collection::btree_map(prop::sample::select(names), any_json, 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

#[test]
fn l9_no_refusal_of_any_tool_shows_a_value_a_path_of_this_machine_or_our_insides() {
    let app = TestApp::start_with(without_limits);
    let token = app.token("root", "admin");
    let listed = Rpc::list().bearer(&token).send(&app).result()["tools"].as_array().unwrap().clone();
    assert!(listed.len() >= 2);
    let here = app.dir().to_str().unwrap().to_owned();
    let insides =
        ["Some(", "None", "Err(", "Error {", "panicked", ".rs:", "src/", "rusqlite", "os error", "serde"];
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &rand::random::<[u8; 32]>()),
    );
    let mut connection = app.connect();
    let mut refused = 0;
    for tool in &listed {
        let (name, given) = (tool["name"].as_str().unwrap(), arguments(&tool["inputSchema"]));
        for _ in 0..150 {
            let arguments = given.new_tree(&mut runner).unwrap().current();
            let reply = Rpc::call(name, arguments.clone()).bearer(&token).on(&mut connection);
            assert_eq!(reply.status, 200, "{name} {arguments}: {}", reply.text());
            let body = reply.json();
            if body["error"].is_null() && body["result"]["isError"] != true {
                continue;
            }
            refused += 1;
            let said = body["error"]["message"].as_str().or(body["result"]["content"][0]["text"].as_str());
            let said = said.unwrap_or_else(|| panic!("{name}: no text: {body}"));
            assert!(!said.is_empty() && said.len() <= 4_096, "{name}: {said}");
            assert!(
                !reply.text().contains(MARK) && !reply.text().contains(&here),
                "{name} {arguments}: {said}"
            );
            for inside in insides {
                assert!(!said.contains(inside), "{name} {arguments}: {said}");
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
