//! What a user would build instead: an MCP server with `rmcp` on axum that verifies HS256 tokens and has one tool.
//!
//! It answers what `examples/bare.rs` answers. As `rmcp` does it fastest: without sessions, with JSON in the place
//! of event streams, its tools listed once. It has one worker thread, and limits, revokes and records nothing.
//!
//! `PEER_SECRET=… peer --port 8081`

use std::{env, error::Error, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use rmcp::{
    ServerHandler,
    handler::server::{router::tool::ToolRouter, wrapper::Parameters},
    model::{CallToolResult, ContentBlock},
    schemars::JsonSchema,
    tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Who issues the tokens of `benches/tokens.py`, and for whom.
const ISSUER: &str = "http://127.0.0.1:8080";
const AUDIENCE: &str = "http://127.0.0.1:8080/mcp";

fn main() -> Result<(), Box<dyn Error>> {
    let port = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => 8081,
        [name, port] if name == "--port" => port.parse()?,
        _ => return Err("usage: peer [--port N]".into()),
    };
    let secret = env::var("PEER_SECRET").map_err(|_| "PEER_SECRET must hold the secret of the tokens")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // Spawned, so that accepting is the worker's as well.
    runtime.block_on(async { tokio::spawn(serve(port, secret)).await })?.map_err(Into::into)
}

async fn serve(port: u16, secret: String) -> std::io::Result<()> {
    let weather = Weather { tools: Arc::new(Weather::tool_router()) };
    let how = StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let sessions = Arc::new(NeverSessionManager::default());
    let mcp = StreamableHttpService::new(move || Ok(weather.clone()), sessions, how);
    let tokens = Arc::new(Tokens::of(&secret));
    let app =
        Router::new().route_service("/mcp", mcp).layer(middleware::from_fn_with_state(tokens, authenticate));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}/mcp", listener.local_addr()?);
    // As actix does it by itself.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await
}

/// What is needed to verify a token.
struct Tokens {
    key: DecodingKey,
    rules: Validation,
}

/// What the tool could ask of its caller.
#[derive(Clone, Deserialize)]
#[expect(dead_code, reason = "read, as a server does that knows its callers; this tool asks nothing of them")]
struct Caller {
    sub: String,
    username: String,
    roles: Vec<String>,
}

impl Tokens {
    fn of(secret: &str) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.validate_nbf = true;
        Self { key: DecodingKey::from_secret(secret.as_bytes()), rules }
    }

    fn verify(&self, request: &Request) -> Option<Caller> {
        let token = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        decode(token, &self.key, &self.rules).ok().map(|token| token.claims)
    }
}

/// Lets a request pass that has a token, and tells those behind whose it is.
async fn authenticate(State(tokens): State<Arc<Tokens>>, mut request: Request, next: Next) -> Response {
    let Some(caller) = tokens.verify(&request) else {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response();
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The server behind the middleware; one of it is made for each request.
#[derive(Clone)]
struct Weather {
    // Shared, or the whole list would be made anew for each of them.
    tools: Arc<ToolRouter<Self>>,
}

/// Which city.
#[derive(Deserialize, JsonSchema)]
struct Place {
    city: String,
}

#[tool_router]
impl Weather {
    /// Tells the current temperature (degrees Celsius) and weather of one city.
    #[tool]
    async fn get_weather(&self, Parameters(place): Parameters<Place>) -> CallToolResult {
        let mut answer = CallToolResult::success(vec![ContentBlock::text("22 degrees")]);
        answer.structured_content = Some(json!({
            "city": place.city,
            "temperature": 22.0,
            "condition": "Sunny",
            "timestamp": "2026-11-22T10:00:00Z",
            "source": "fixed",
        }));
        answer
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Weather {}
