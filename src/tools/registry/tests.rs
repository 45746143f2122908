//! Tests of the registry: what registers, what is published, what a run lets in and out.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::{
    policy::permit_for_tests,
    tools::{Beside, Content, Hints, Link, Reply, Resource, ResourceBody, Shown, Tool},
};

const SPEC: Spec = Spec {
    name: "halve",
    title: "Halve",
    about: "Halves a number.",
    needs: "weather:read",
    hints: Hints { read_only: false, destructive: true, idempotent: false, open_world: true },
    cost: 1,
    deadline: Duration::from_millis(20),
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Number {
    #[schemars(range(max = 1000))]
    number: f64,
}

#[derive(Serialize, JsonSchema)]
struct Half {
    half: f64,
}

/// Halves; hangs at 13; answers what is no number at 0.
#[derive(Default)]
struct Halve(Arc<AtomicU32>);

impl Tool for Halve {
    const SPEC: Spec = SPEC;
    type Args = Number;
    type Output = Half;

    async fn call(&self, args: Number, permit: &Call<'_>) -> Result<Half, ToolError> {
        assert_eq!(permit.principal().id.as_str(), "ada");
        self.0.fetch_add(1, Ordering::Relaxed);
        if args.number == 13.0 {
            pending::<()>().await;
        }
        if args.number < 0.0 {
            return Err(ToolError::Refused("negative numbers are not halved here".into()));
        }
        Ok(Half { half: if args.number == 0.0 { f64::NAN } else { args.number / 2.0 } })
    }
}

/// A tool of which only the facts matter.
struct Odd(&'static Spec);

impl AnyTool for Odd {
    fn spec(&self) -> &'static Spec {
        self.0
    }
    fn input(&self) -> Result<Schema, SchemaError> {
        Schema::input::<Number>()
    }
    fn output(&self) -> Result<Option<Schema>, SchemaError> {
        if self.0.name == "bad_output" { Vec::<u8>::schema() } else { Half::schema() }
    }
    fn call<'a>(
        &'a self,
        _: &'a str,
        _: &'a Call<'a>,
    ) -> crate::tools::LocalFuture<'a, Result<crate::tools::Produced, ToolError>> {
        Box::pin(std::future::ready(Err(ToolError::Timeout)))
    }
}

fn catalogue() -> Catalogue {
    Catalogue::new::<&str>(&[]).unwrap()
}

fn odd(spec: Spec) -> Box<dyn AnyTool> {
    Box::new(Odd(Box::leak(Box::new(spec))))
}

fn refused(spec: Spec) -> RegistryError {
    Registry::new(vec![odd(spec)], &catalogue()).unwrap_err()
}

fn halve() -> (Registry, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let registry = Registry::new(vec![Box::new(Halve(Arc::clone(&runs)))], &catalogue()).unwrap();
    (registry, runs)
}

async fn run(arguments: Value) -> Result<Produced, ToolError> {
    let text = arguments.to_string();
    let arguments = Tree::of_text(&text).unwrap();
    halve().0.find("halve").unwrap().run(&arguments, &Call::new(&permit_for_tests())).await
}

#[test]
fn tools_are_found_by_their_exact_name_and_listed_in_its_order() {
    let tools = ["b", "a.b", "a", "B"].map(|name| odd(Spec { name, ..SPEC }));
    let registry = Registry::new(tools.into(), &catalogue()).unwrap();
    let names: Vec<_> = registry.iter().map(|entry| entry.spec().name).collect();
    assert_eq!(names, ["B", "a", "a.b", "b"]);
    assert_eq!(registry.find("a.b").unwrap().spec().name, "a.b");
    for stranger in ["", "A", "a.", "a.b ", "c"] {
        assert!(registry.find(stranger).is_none(), "{stranger}");
    }
}

#[test]
fn a_descriptor_has_every_member_that_clients_read() {
    let (registry, _) = halve();
    let entry = registry.find("halve").unwrap();
    assert_eq!(catalogue().name(entry.needs()), "weather:read");
    let descriptor: Value = serde_json::from_str(entry.descriptor(Revision::July2026)).unwrap();
    assert_eq!(
        descriptor,
        json!({
            "name": "halve",
            "title": "Halve",
            "description": "Halves a number.",
            "inputSchema": {
                "type": "object", "additionalProperties": false, "required": ["number"],
                "properties": { "number": { "type": "number", "maximum": 1000 } }
            },
            "outputSchema": {
                "type": "object", "required": ["half"], "properties": { "half": { "type": "number" } }
            },
            "annotations": {
                "title": "Halve", "readOnlyHint": false, "destructiveHint": true,
                "idempotentHint": false, "openWorldHint": true
            }
        })
    );
    let text = entry.descriptor(Revision::November2025);
    assert_eq!(text, entry.descriptor(Revision::July2026));
    assert!(text.contains(entry.input().text()) && text.contains(entry.output().unwrap().text()));
    let plain: Value = serde_json::from_str(entry.descriptor(Revision::March2025)).unwrap();
    let members: Vec<_> = plain.as_object().unwrap().keys().collect();
    assert_eq!(members, ["annotations", "description", "inputSchema", "name"]);
}

#[test]
fn a_name_has_at_most_128_of_the_allowed_characters() {
    let longest: &'static str = Box::leak("n".repeat(128).into_boxed_str());
    assert!(Registry::new(vec![odd(Spec { name: longest, ..SPEC })], &catalogue()).is_ok());
    let longer: &'static str = Box::leak("n".repeat(129).into_boxed_str());
    for name in ["", "a b", "a/b", "é", "a\n", longer] {
        assert_eq!(refused(Spec { name, ..SPEC }), RegistryError::Name(name));
    }
}

#[test]
fn two_tools_of_one_name_do_not_register() {
    let tools = vec![odd(SPEC), odd(Spec { name: "other", ..SPEC }), odd(SPEC)];
    assert_eq!(Registry::new(tools, &catalogue()).unwrap_err(), RegistryError::Twice("halve"));
}

#[test]
fn an_unknown_permission_is_named_with_the_nearest_known_one() {
    let error = refused(Spec { needs: "wether:read", ..SPEC });
    assert_eq!(
        error.to_string(),
        "tool `halve` needs the permission `wether:read`, which is not known; did you mean `weather:read`?"
    );
    let error = refused(Spec { needs: "tickets:close", ..SPEC });
    assert!(error.to_string().ends_with("declare it under [permissions] extra"), "{error}");
    let extra = Catalogue::new(&["tickets:close"]).unwrap();
    assert!(Registry::new(vec![odd(Spec { needs: "tickets:close", ..SPEC })], &extra).is_ok());
}

#[test]
fn a_tool_without_cost_or_time_or_with_a_bad_schema_does_not_register() {
    assert_eq!(refused(Spec { cost: 0, ..SPEC }), RegistryError::Zero("halve"));
    assert_eq!(refused(Spec { deadline: Duration::ZERO, ..SPEC }), RegistryError::Zero("halve"));
    assert_eq!(
        refused(Spec { name: "bad_output", ..SPEC }).to_string(),
        "tool `bad_output`: the output schema is not the schema of an object"
    );
}

#[tokio::test]
async fn a_run_answers_the_json_text_of_its_result() {
    assert_eq!(run(json!({ "number": 5 })).await.unwrap().output(), Some("{\"half\":2.5}"));
}

#[tokio::test]
async fn arguments_that_do_not_fit_never_reach_the_tool() {
    let (registry, runs) = halve();
    let entry = registry.find("halve").unwrap();
    for arguments in
        [json!({}), json!({ "number": "5" }), json!({ "number": 1001 }), json!({ "number": 1, "x": 1 })]
    {
        let text = arguments.to_string();
        let arguments = Tree::of_text(&text).unwrap();
        let told = entry.check_arguments(&arguments).unwrap_err();
        let error = entry.run(&arguments, &Call::new(&permit_for_tests())).await.unwrap_err();
        assert_eq!(error, ToolError::Arguments(told));
    }
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    let fitting = Tree::of_text(r#"{"number":1000}"#).unwrap();
    assert_eq!(entry.check_arguments(&fitting), Ok(()));
    entry.run(&fitting, &Call::new(&permit_for_tests())).await.unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_result_that_does_not_fit_its_schema_never_leaves() {
    assert_eq!(run(json!({ "number": 0 })).await, Err(ToolError::Output));
}

#[tokio::test]
async fn a_tool_that_hangs_is_ended_at_its_deadline() {
    assert_eq!(run(json!({ "number": 13 })).await, Err(ToolError::Timeout));
}

#[tokio::test]
async fn what_the_tool_refuses_is_passed_on() {
    let refused = run(json!({ "number": -1 })).await.unwrap_err();
    assert_eq!(refused.to_string(), "negative numbers are not halved here");
}

/// Shows so many blocks; beside a result if it says so.
struct Shows {
    blocks: usize,
}

impl Tool for Shows {
    const SPEC: Spec = SPEC;
    type Args = Number;
    type Output = Shown;

    async fn call(&self, _: Number, _: &Call<'_>) -> Result<Shown, ToolError> {
        Ok(Shown(vec![Content::Text("x".into()); self.blocks]))
    }
}

/// A result with a text beside it.
struct ShowsBoth;

impl Tool for ShowsBoth {
    const SPEC: Spec = SPEC;
    type Args = Number;
    type Output = Beside<Half>;

    async fn call(&self, args: Number, _: &Call<'_>) -> Result<Beside<Half>, ToolError> {
        Ok(Beside { result: Half { half: args.number / 2.0 }, content: vec![Content::Text("half".into())] })
    }
}

/// Promises a structure and gives none.
struct Silent;

impl AnyTool for Silent {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }
    fn input(&self) -> Result<Schema, SchemaError> {
        Schema::input::<Number>()
    }
    fn output(&self) -> Result<Option<Schema>, SchemaError> {
        Half::schema()
    }
    fn call<'a>(
        &'a self,
        _: &'a str,
        _: &'a Call<'a>,
    ) -> crate::tools::LocalFuture<'a, Result<Produced, ToolError>> {
        Box::pin(std::future::ready(Shown(vec![Content::Text("x".into())]).produce()))
    }
}

async fn run_one(tool: Box<dyn AnyTool>) -> (bool, Result<Produced, ToolError>) {
    let registry = Registry::new(vec![tool], &catalogue()).unwrap();
    let entry = registry.find("halve").unwrap();
    let listed: Value = serde_json::from_str(entry.descriptor(Revision::July2026)).unwrap();
    let arguments = Tree::of_text(r#"{"number":3}"#).unwrap();
    (listed.get("outputSchema").is_some(), entry.run(&arguments, &Call::new(&permit_for_tests())).await)
}

#[tokio::test]
async fn content_stands_instead_of_a_result_or_beside_it_within_its_bounds() {
    let (has_schema, shown) = run_one(Box::new(Shows { blocks: 64 })).await;
    let shown = shown.unwrap();
    assert_eq!((has_schema, shown.output(), shown.content().len()), (false, None, 64));
    assert_eq!(run_one(Box::new(Shows { blocks: 65 })).await.1, Err(ToolError::Output));
    let (has_schema, both) = run_one(Box::new(ShowsBoth)).await;
    let both = both.unwrap();
    assert_eq!((has_schema, both.output(), both.content().len()), (true, Some("{\"half\":1.5}"), 1));
}

#[tokio::test]
async fn a_tool_that_promises_a_structure_gives_one() {
    assert_eq!(run_one(Box::new(Silent)).await.1, Err(ToolError::Output));
}

#[test]
fn what_is_shown_is_made_harmless_as_results_are() {
    let registry = Registry::new(vec![Box::new(ShowsBoth)], &catalogue()).unwrap();
    let key = format!("mcp_{}", "A1b2C3d4".repeat(6).get(..43).unwrap());
    let link = Link {
        uri: "test://a".into(),
        name: format!("a {key}"),
        description: Some("\u{202e}b".into()),
        mime_type: None,
    };
    let body = ResourceBody::Text(format!("say {key}"));
    let resource = Resource { uri: "test://r".into(), mime_type: None, body };
    let content = vec![
        Content::Text("one\n\ttwo \u{1b}[2J".into()),
        Content::Link(link),
        Content::Resource(resource),
        Content::Image { data: key.clone().into_bytes(), mime_type: "image/png".into() },
    ];
    let result = Half { half: 1.0 };
    let given = Beside { result, content }.produce().unwrap();
    let entry = registry.find("halve").unwrap();
    let (shown, redacted) = crate::tools::hygiene::produced(entry, given).unwrap();
    assert_eq!((redacted.count(), shown.output()), (2, Some("{\"half\":1.0}")));
    assert_eq!(shown.content()[0], Content::Text("one\n\ttwo \\u{1b}[2J".into()));
    let told = format!("{:?}", &shown.content()[1..3]);
    assert!(!told.contains(&key) && !told.contains('\u{202e}') && told.contains("[redacted: "), "{told}");
}
