//! A client of the modern era (2026-07-28), by hand: one POST a call.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

/// The revision that every call names.
const REVISION: &str = "2026-07-28";
/// Longest wait for one answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// One client with a connection pool of its own.
#[derive(Clone)]
pub(crate) struct Caller {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// One answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// HTTP headers.
    pub(crate) headers: HeaderMap,
    /// The body as it came.
    pub(crate) text: String,
    /// From before the request was sent until the body was read.
    pub(crate) took: Duration,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{}: {e}: {}", self.status, self.text))
    }

    /// The server's id for the request.
    pub(crate) fn request_id(&self) -> String {
        self.headers["x-request-id"].to_str().unwrap().to_owned()
    }

    /// `error.data.reason`, or nothing.
    pub(crate) fn reason(&self) -> String {
        self.json()["error"]["data"]["reason"].as_str().unwrap_or_default().to_owned()
    }
}

impl Caller {
    /// A caller of the endpoint `url`.
    pub(crate) fn new(url: &str, token: Option<&str>) -> Self {
        Self { http: http(), url: url.to_owned(), token: token.map(str::to_owned) }
    }

    /// The same connections with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// `get_weather` of `city`; an answer of any status, or the failure of the connection.
    pub(crate) async fn weather(&self, city: &str) -> Result<Answer, reqwest::Error> {
        self.call("get_weather", json!({ "city": city })).await
    }

    /// `tools/call`.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Result<Answer, reqwest::Error> {
        let params = json!({ "name": tool, "arguments": arguments });
        self.ask("tools/call", Some(tool), params).await
    }

    /// Any method; `name` is what `Mcp-Name` mirrors.
    pub(crate) async fn ask(
        &self,
        method: &str,
        name: Option<&str>,
        mut params: Value,
    ) -> Result<Answer, reqwest::Error> {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": REVISION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "system-test", "version": "1" },
        });
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let mut request = self.http.post(&self.url).headers(headers(method)).json(&body);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let sent = Instant::now();
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer { status, headers, text: answer.text().await?, took: sent.elapsed() })
    }
}

fn headers(method: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert("mcp-protocol-version", HeaderValue::from_static(REVISION));
    headers.insert("mcp-method", HeaderValue::from_str(method).unwrap());
    headers
}

/// A client for loopback: no proxy, no redirect, bounded in time.
pub(crate) fn http() -> reqwest::Client {
    // Fails only if another test of this process was first.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(DEADLINE)
        .build()
        .unwrap()
}

/// The same token with another signature.
pub(crate) fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{other}{}", &signature[1..]);
    super::output::secret(&forged);
    forged
}
