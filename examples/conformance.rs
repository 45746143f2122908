//! A server for the official conformance suite of MCP: its tools, resources and prompts, through the library, with
//! authentication on.
//!
//! `cargo run --release --example conformance -- --port 8090` prints a token on its first line.

#[path = "conformance/asking.rs"]
mod asking;
#[path = "conformance/catalogue.rs"]
mod catalogue;
#[path = "conformance/talking.rs"]
mod talking;
#[path = "conformance/tasks.rs"]
mod tasks;

use std::{path::Path, time::Duration};

use portcullis::{
    actors::tokens::MintRequest,
    app,
    settings::{RateSettings, Settings},
    tools::{
        AnyTool, Call, Content, Hints, LocalFuture, Produced, Reply, Resource, ResourceBody, Schema,
        SchemaError, Shown, Spec, Tool, ToolError,
    },
};
use schemars::JsonSchema;
use serde::Deserialize;

/// What every fixture needs.
const PERMISSION: &str = "suite:call";
/// A picture of one pixel.
const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
    \0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";
/// A sound without a sample.
const SILENCE: &[u8] =
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\0\0\0\0";
/// What the suite looks for in a list, to the byte.
const SCHEMA: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "$defs": {
    "address": {
      "$anchor": "addressDef",
      "type": "object",
      "properties": { "street": { "type": "string" }, "city": { "type": "string" } }
    }
  },
  "properties": {
    "name": { "type": "string" },
    "address": { "$ref": "#/$defs/address" },
    "contactMethod": { "type": "string", "enum": ["phone", "email"] },
    "phone": { "type": "string" },
    "email": { "type": "string" }
  },
  "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
  "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
  "then": { "required": ["phone"] },
  "else": { "required": ["email"] },
  "additionalProperties": false
}"##;

/// Arguments of a tool that takes none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

const fn spec(name: &'static str, about: &'static str) -> Spec {
    let deadline = Duration::from_secs(5);
    Spec { name, title: name, about, needs: PERMISSION, hints: Hints::READ, cost: 1, deadline }
}

/// What a fixture shows.
type Answer = Result<Vec<Content>, ToolError>;

/// A tool that shows what one function says.
struct Fixture {
    spec: &'static Spec,
    answer: fn(&Call<'_>) -> Answer,
    schema: Option<&'static str>,
}

impl AnyTool for Fixture {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn input(&self) -> Result<Schema, SchemaError> {
        self.schema.map_or_else(Schema::input::<Nothing>, Schema::parse)
    }

    fn output(&self) -> Result<Option<Schema>, SchemaError> {
        Shown::schema()
    }

    fn call<'a>(&'a self, _: &'a str, call: &'a Call<'a>) -> LocalFuture<'a, Result<Produced, ToolError>> {
        Box::pin(async move { Shown((self.answer)(call)?).produce() })
    }
}

/// The simplest one, as the typed trait has it.
struct SimpleText;

impl Tool for SimpleText {
    const SPEC: Spec = spec("test_simple_text", "Shows a text.");
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, _: &Call<'_>) -> Result<Shown, ToolError> {
        Ok(Shown(vec![Content::Text("This is a simple text response for testing.".to_owned())]))
    }
}

fn image() -> Content {
    Content::Image { data: PIXEL.to_vec(), mime_type: "image/png".to_owned() }
}

fn resource(uri: &str, mime_type: &str, text: &str) -> Content {
    let body = ResourceBody::Text(text.to_owned());
    Content::Resource(Resource { uri: uri.to_owned(), mime_type: Some(mime_type.to_owned()), body })
}

fn audio() -> Content {
    Content::Audio { data: SILENCE.to_vec(), mime_type: "audio/wav".to_owned() }
}

fn mixed() -> Vec<Content> {
    let text = Content::Text("Multiple content types test:".to_owned());
    let data = r#"{"test":"data","value":123}"#;
    vec![text, image(), resource("test://mixed-content-resource", "application/json", data)]
}

fn embedded() -> Content {
    resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
}

fn failure() -> ToolError {
    ToolError::Refused("This tool intentionally returns an error for testing".to_owned())
}

const IMAGE: Spec = spec("test_image_content", "Shows a picture.");
const AUDIO: Spec = spec("test_audio_content", "Plays a sound.");
const EMBEDDED: Spec = spec("test_embedded_resource", "Shows a resource.");
const MIXED: Spec = spec("test_multiple_content_types", "Shows a text, a picture and a resource.");
const ERROR: Spec = spec("test_error_handling", "Fails.");
const DIALECT: Spec = spec("json_schema_2020_12_tool", "Has a schema with much in it.");

fn fixtures() -> Vec<Box<dyn AnyTool>> {
    let plain = |spec, answer| Box::new(Fixture { spec, answer, schema: None });
    let mut all: Vec<Box<dyn AnyTool>> = vec![
        Box::new(SimpleText),
        plain(&IMAGE, |_| Ok(vec![image()])),
        plain(&AUDIO, |_| Ok(vec![audio()])),
        plain(&EMBEDDED, |_| Ok(vec![embedded()])),
        plain(&MIXED, |_| Ok(mixed())),
        plain(&ERROR, |_| Err(failure())),
        Box::new(Fixture { spec: &DIALECT, answer: |_| Ok(Vec::new()), schema: Some(SCHEMA) }),
    ];
    all.extend(asking::fixtures());
    all.extend(talking::fixtures());
    all.extend(tasks::fixtures());
    all
}

/// Development in a directory of its own, without limits that a suite could reach.
fn settings(data_dir: &Path, port: u16) -> Result<Settings, Box<dyn std::error::Error>> {
    let mut settings = Settings::development(data_dir)?;
    settings.server.port = port;
    settings.admin.port = 0;
    settings.sessions.enabled = true;
    settings.sessions.per_principal = 1_000;
    settings.permissions.extra = vec![PERMISSION.to_owned()];
    let most = RateSettings { capacity: 1_000_000_000, refill_per_second: 1e9 };
    (settings.tasks.max_running_of_one, settings.tasks.max_kept_of_one) = (100, 10_000);
    settings.tasks.poll_interval = Duration::from_millis(200);
    (settings.limits.default, settings.limits.ip, settings.limits.failures) = (most, most, most);
    for role in settings.roles.values_mut() {
        (role.capacity, role.refill_per_second) = (None, None);
    }
    Ok(settings)
}

/// The number behind `--port`; 0, any free port, without one.
fn port() -> Result<u16, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(0),
        [flag, number] if flag == "--port" => Ok(number.parse()?),
        _ => Err("usage: conformance [--port N]".into()),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data_dir = std::env::temp_dir().join(format!("portcullis-conformance-{}", std::process::id()));
    let settings = settings(&data_dir, port()?)?;
    let served: Result<(), Box<dyn std::error::Error>> = actix::System::new().block_on(async {
        let more = app::Additions {
            tools: fixtures(),
            resources: vec![Box::new(catalogue::Fixtures)],
            prompts: catalogue::prompts(),
        };
        let server = app::start_with(&settings, more).await?;
        asking::CHANGES.get_or_init(|| server.changes().clone());
        let minted = server
            .tokens()
            .mint(MintRequest {
                subject: "suite".parse()?,
                client: "conformance".to_owned(),
                roles: Vec::new(),
                permissions: vec![PERMISSION.to_owned()],
                ttl: Duration::from_secs(3_600),
            })
            .await?;
        println!("{}", minted.token);
        println!("{}", server.mcp_url());
        server.run().await?;
        Ok(())
    });
    // What a run leaves behind is of no use to the next one.
    let removed = std::fs::remove_dir_all(&data_dir);
    served?;
    Ok(removed?)
}
