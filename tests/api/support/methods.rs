//! Every method of this server with what may be asked of it, for tests that walk all of them.

use std::{collections::BTreeSet, fs, time::Duration};

use portcullis::{
    settings::Settings,
    tools::{
        AnyTool, Ask, Call, Content, Hints, Link, Resource, ResourceBody, Said, Shown, Spec, Tool, ToolError,
    },
};
use serde_json::{Value, json};

use super::{
    app::{TestApp, without_limits},
    legacy,
    rpc::{META_CAPABILITIES, Rpc, VERSION, encoded},
    tools::{self, Nothing},
};

/// Where a method is at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// In every revision.
    All,
    /// In 2026-07-28.
    Modern,
    /// In the revisions before it.
    Older,
}

/// Every method that is answered; held equal to what the server itself counts by [`counted`].
pub(crate) const METHODS: [(&str, Home); 18] = [
    ("tools/call", Home::All),
    ("tools/list", Home::All),
    ("resources/read", Home::All),
    ("resources/list", Home::All),
    ("resources/templates/list", Home::All),
    ("prompts/get", Home::All),
    ("prompts/list", Home::All),
    ("completion/complete", Home::All),
    ("server/discover", Home::Modern),
    ("subscriptions/listen", Home::Modern),
    ("tasks/get", Home::Modern),
    ("tasks/update", Home::Modern),
    ("tasks/cancel", Home::Modern),
    ("initialize", Home::Older),
    ("ping", Home::Older),
    ("resources/subscribe", Home::Older),
    ("resources/unsubscribe", Home::Older),
    ("logging/setLevel", Home::Older),
];

/// Those that do well only in a session, or on a task that there is: tests of their own ask them so.
pub(crate) const NEEDY: [&str; 6] = [
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "resources/subscribe",
    "resources/unsubscribe",
    "logging/setLevel",
];

/// Methods of MCP that nobody here answers.
pub(crate) const OTHERS: [&str; 4] = ["tasks/list", "sampling/createMessage", "roots/list", "x"];

/// Params with which `method` does well; for a call also those with which its tool fails in every way it can.
pub(crate) fn good(method: &str) -> Vec<Value> {
    let call = |name: &str, arguments: Value| json!({ "name": name, "arguments": arguments });
    match method {
        "tools/call" => vec![
            call("get_weather", json!({ "city": "Oslo" })),
            call("list_files", json!({})),
            call("list_users", json!({})),
            call("read_file", json!({ "path": "there.txt" })),
            call("read_file", json!({ "path": "missing.txt" })),
            call("get_security_audit", json!({ "time_range": "1h" })),
            call("get_weather", json!({ "city": 7 })),
            call("lies", json!({})),
            call("dawdles", json!({})),
            call("panics", json!({})),
            call("shows", json!({})),
            call("wonders", json!({})),
            json!({ "name": "tells", "arguments": {}, "_meta": { "progressToken": "p" } }),
        ],
        "resources/read" => vec![
            json!({ "uri": "file:///there.txt" }),
            json!({ "uri": "file:///bytes.txt" }),
            json!({ "uri": "portcullis://audit/1h" }),
        ],
        "prompts/get" => vec![
            json!({ "name": "explain_file", "arguments": { "path": "there.txt" } }),
            json!({ "name": "security_briefing" }),
        ],
        "completion/complete" => vec![
            json!({ "ref": { "type": "ref/prompt", "name": "explain_file" }, "argument": { "name": "path", "value": "t" } }),
            json!({ "ref": { "type": "ref/resource", "uri": "file:///{+path}" }, "argument": { "name": "path", "value": "" } }),
        ],
        "subscriptions/listen" => {
            vec![json!({ "notifications": { "toolsListChanged": true, "promptsListChanged": true } })]
        }
        "tasks/get" | "tasks/cancel" => vec![json!({ "taskId": "x" })],
        "tasks/update" => vec![json!({ "taskId": "x", "inputResponses": {} })],
        "resources/subscribe" | "resources/unsubscribe" => vec![json!({ "uri": "file:///there.txt" })],
        "logging/setLevel" => vec![json!({ "level": "info" })],
        "initialize" => ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "x"]
            .map(|wanted| {
                let client = json!({ "name": "tests", "version": "1" });
                json!({ "protocolVersion": wanted, "capabilities": {}, "clientInfo": client })
            })
            .to_vec(),
        _ => vec![json!({})],
    }
}

/// Params with which `method` is refused; for those that need none they only make the request odd.
pub(crate) fn bad(method: &str) -> Vec<Value> {
    let of_all = [json!({ "cursor": "c" }), json!({ "_meta": { "progressToken": [] } })];
    let own = match method {
        "tools/call" => {
            vec![
                json!({}),
                json!({ "name": 7 }),
                json!({ "name": "nope" }),
                json!({ "name": "get_weather", "arguments": [] }),
            ]
        }
        "resources/read" => vec![
            json!({}),
            json!({ "uri": 7 }),
            json!({ "uri": "test://nothing" }),
            json!({ "uri": "file:///no" }),
        ],
        "prompts/get" => {
            vec![json!({ "name": "nope" }), json!({ "name": "explain_file" }), json!({ "name": 7 })]
        }
        "completion/complete" => vec![json!({}), json!({ "ref": { "type": "ref/x" }, "argument": {} })],
        "subscriptions/listen" => vec![json!({}), json!({ "notifications": 7 })],
        "initialize" => vec![json!({}), json!({ "protocolVersion": 7 })],
        _ => Vec::new(),
    };
    own.into_iter().chain(of_all).collect()
}

/// A request of `method` as a client of `revision` writes it; a client of the modern one can be asked anything.
pub(crate) fn request(revision: &str, method: &str, params: &Value) -> Rpc {
    if revision != VERSION {
        return legacy::request(revision, method, params.clone());
    }
    let more = params["_meta"].clone();
    let rpc = Rpc::new(method, params.clone()).meta(|meta| {
        meta[META_CAPABILITIES] = json!({ "elicitation": {}, "sampling": {}, "roots": {} });
        for (name, value) in more.as_object().into_iter().flatten() {
            meta[name] = value.clone();
        }
    });
    let mirrored = match method {
        "tools/call" | "prompts/get" => params["name"].as_str(),
        "resources/read" => params["uri"].as_str(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
        _ => None,
    };
    mirrored.into_iter().fold(rpc, |rpc, name| rpc.header("mcp-name", encoded(name)))
}

/// A server that has something of everything.
pub(crate) fn server(change: impl FnOnce(&mut Settings)) -> TestApp {
    let mut tools = tools::all().1;
    tools.extend([Box::new(Shows) as Box<dyn AnyTool>, Box::new(Wonders), Box::new(Tells)]);
    let app = TestApp::with(
        |settings| {
            without_limits(settings);
            change(settings);
        },
        tools,
    );
    fs::write(app.dir().join("files/there.txt"), "héllo\n").unwrap();
    fs::write(app.dir().join("files/bytes.txt"), [0xff, 0, 1]).unwrap();
    app
}

/// The methods that the server counts one by one, as its metrics show them.
pub(crate) fn counted(app: &TestApp) -> BTreeSet<String> {
    let text = app.admin("GET", "/metrics").text();
    let of = |line: &str| {
        Some(
            line.split_once("portcullis_request_duration_seconds_count{method=\"")?
                .1
                .split_once('"')?
                .0
                .to_owned(),
        )
    };
    text.lines().filter_map(of).collect()
}

const fn spec(name: &'static str) -> Spec {
    let deadline = Duration::from_secs(5);
    Spec {
        name,
        title: "Test",
        about: "For tests.",
        needs: "weather:read",
        hints: Hints::READ,
        cost: 1,
        deadline,
    }
}

/// Shows a block of each kind.
struct Shows;

impl Tool for Shows {
    const SPEC: Spec = spec("shows");
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, _: &Call<'_>) -> Result<Shown, ToolError> {
        let resource =
            |uri: &str, body| Content::Resource(Resource { uri: uri.into(), mime_type: None, body });
        Ok(Shown(vec![
            Content::Text("text".into()),
            Content::Image { data: vec![1], mime_type: "image/png".into() },
            Content::Audio { data: vec![1], mime_type: "audio/wav".into() },
            resource("test://São Paulo/[1]", ResourceBody::Text("t".into())),
            resource("test://b", ResourceBody::Blob(vec![1])),
            Content::Link(Link {
                uri: "test://c d".into(),
                name: "c".into(),
                description: None,
                mime_type: None,
            }),
        ]))
    }
}

/// What [`Wonders`] asks for.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Name {
    name: String,
}

/// Asks everything that can be asked.
struct Wonders;

impl Tool for Wonders {
    const SPEC: Spec = spec("wonders");
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        if !call.can_ask(Ask::User) {
            return Ok(Shown(vec![Content::Text("nobody can be asked".into())]));
        }
        let (text, roots) = (call.sample("text", "Say hello.", 9), call.roots("roots"));
        let name = match call.elicit::<Name>("name", "What is your name?")? {
            Said::Accepted(Name { name }) => name,
            _ => "nobody".into(),
        };
        Ok(Shown(vec![Content::Text(format!("{name} {} {}", text?, roots?.len()))]))
    }
}

/// Tells how far it is.
struct Tells;

impl Tool for Tells {
    const SPEC: Spec = spec("tells");
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        for (done, total, message) in [(1.0, None, None), (2.5, Some(3.0), Some("nearly"))] {
            call.progress(done, total, message);
            tokio::task::yield_now().await;
        }
        Ok(Shown(vec![Content::Text("done".into())]))
    }
}
