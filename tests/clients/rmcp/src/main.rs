//! The client of the Rust SDK as `matrix` drives it: a line in says where to, a line out says what was seen.
//!
//! `matrix-rmcp legacy|auto`

use std::{
    collections::HashMap,
    error::Error,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest,
        ElicitRequestParams, ElicitResult, ElicitationAction, GetPromptRequestParams, Implementation,
        ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams,
    },
    service::{NotificationContext, PeerRequestOptions, RequestContext, RunningService},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin},
    time::timeout,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Says yes to what it is asked, and counts how often it is told how far a call is.
#[derive(Clone, Default)]
struct User {
    told: Arc<AtomicU32>,
}

impl ClientHandler for User {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = Some(Default::default());
        ClientConfig::new(capabilities, Implementation::new("matrix-rmcp", "1"))
    }

    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.told.fetch_add(1, Ordering::SeqCst);
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "name": "Ada" })))
    }
}

type Client = RunningService<RoleClient, User>;

/// Says one thing to whoever drives this.
fn say(what: &Value) {
    println!("{what}");
}

/// Everything that the error says, its causes included.
fn told(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(" {inner} {inner:?}"));
        cause = inner.source();
    }
    text
}

async fn attempt<T: serde::Serialize, E: Error>(cell: &str, doing: impl Future<Output = Result<T, E>>) {
    match timeout(Duration::from_secs(20), doing).await {
        Ok(Ok(result)) => {
            let result = serde_json::to_value(result).unwrap_or_default();
            let kind = if result["isError"] == true { "error" } else { "ok" };
            say(&json!({ "cell": cell, kind: result.to_string() }));
        }
        Ok(Err(error)) => say(&json!({ "cell": cell, "error": told(&error) })),
        Err(_late) => say(&json!({ "cell": cell, "error": "no answer in time" })),
    }
}

/// Waits until what `what` names has been done.
async fn wait_for(what: &str, lines: &mut Lines<BufReader<Stdin>>) -> Result<(), Failure> {
    say(&json!({ "wait": what }));
    lines.next_line().await?;
    Ok(())
}

fn call(name: &'static str, arguments: &Value) -> CallToolRequestParams {
    CallToolRequestParams::new(name).with_arguments(arguments.as_object().cloned().unwrap_or_default())
}

fn weather() -> CallToolRequestParams {
    call("get_weather", &json!({ "city": "Oslo" }))
}

async fn first(client: &Client, lines: &mut Lines<BufReader<Stdin>>) -> Result<(), Failure> {
    attempt("list", client.list_tools(None)).await;
    attempt("call", client.call_tool(weather())).await;
    attempt("resource", client.read_resource(ReadResourceRequestParams::new("file:///hello.txt"))).await;
    let path = json!({ "path": "hello.txt" });
    let prompt = GetPromptRequestParams::new("explain_file")
        .with_arguments(path.as_object().cloned().unwrap_or_default());
    attempt("prompt", client.get_prompt(prompt)).await;
    attempt("bad arguments", client.call_tool(call("get_weather", &json!({ "town": "Oslo" })))).await;
    attempt("refused", client.call_tool(call("list_users", &json!({})))).await;
    wait_for("drain", lines).await?;
    attempt("rate limited", client.call_tool(weather())).await;
    Ok(())
}

async fn second(client: &Client, lines: &mut Lines<BufReader<Stdin>>) -> Result<(), Failure> {
    client.call_tool(weather()).await?;
    wait_for("revoke", lines).await?;
    attempt("revoked in between", client.call_tool(weather())).await;
    Ok(())
}

async fn third(client: &Client, lines: &mut Lines<BufReader<Stdin>>) -> Result<(), Failure> {
    let user = client.service().clone();
    let done = client.call_tool(call("test_tool_with_progress", &json!({}))).await;
    let steps = user.told.load(Ordering::SeqCst);
    say(&json!({ "cell": "progress", "ok": format!("{done:?}"), "steps": steps }));
    attempt("elicitation", client.call_tool(call("test_input_required_result_elicitation", &json!({}))))
        .await;
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(call("test_waits", &json!({}))));
    let handle = client.send_cancellable_request(request, PeerRequestOptions::no_options()).await?;
    wait_for("begun", lines).await?;
    handle.cancel(None).await?;
    wait_for("cancelled", lines).await?;
    Ok(())
}

async fn connected(url: &str, headers: &Value, mode: &str) -> Result<Client, Failure> {
    let mut more: HashMap<http::HeaderName, http::HeaderValue> = HashMap::new();
    for (name, value) in headers.as_object().into_iter().flatten() {
        more.insert(name.parse()?, value.as_str().unwrap_or_default().parse()?);
    }
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    // Its own setting for a token, which it does not take as just another header.
    let config = match more.remove("authorization") {
        Some(token) => config.auth_header(token.to_str()?.trim_start_matches("Bearer ")),
        None => config,
    };
    let transport = StreamableHttpClientTransport::from_config(config.custom_headers(more));
    let lifecycle = match mode {
        "legacy" => ClientLifecycleMode::Initialize,
        _ => ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: None,
        },
    };
    Ok(User::default().serve_with_lifecycle(transport, lifecycle).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let mut lines = BufReader::new(stdin()).lines();
    let order: Value = serde_json::from_str(&lines.next_line().await?.unwrap_or_default())?;
    for (at, place) in order.as_array().into_iter().flatten().enumerate() {
        let url = place["url"].as_str().unwrap_or_default();
        let used = async {
            let client = timeout(Duration::from_secs(20), connected(url, &place["headers"], &mode)).await??;
            match at {
                0 => first(&client, &mut lines).await,
                1 => second(&client, &mut lines).await,
                _ => third(&client, &mut lines).await,
            }?;
            let _left = timeout(Duration::from_secs(5), client.cancel()).await;
            Ok::<(), Failure>(())
        };
        if let Err(error) = used.await {
            eprintln!("{}", told(&*error));
        }
    }
    Ok(())
}
