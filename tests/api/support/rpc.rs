//! MCP requests as a well-behaved client writes them, to be broken one member at a time.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    app::TestApp,
    http::{Connection, Reply},
};

/// The revision that the server speaks.
pub(crate) const VERSION: &str = "2026-07-28";
/// The names of `_meta`.
pub(crate) const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// One request on `/mcp`.
#[derive(Debug, Clone)]
pub(crate) struct Rpc {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Value,
    raw: Option<Vec<u8>>,
}

impl Rpc {
    /// A well-formed request of `method` with these params beside `_meta`.
    pub(crate) fn new(method: &str, mut params: Value) -> Self {
        params["_meta"] = json!({ META_VERSION: VERSION, META_CAPABILITIES: {} });
        let mut rpc = Self {
            method: "POST".into(),
            target: "/mcp".into(),
            headers: Vec::new(),
            body: json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }),
            raw: None,
        };
        for (name, value) in [
            ("host", "localhost"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", VERSION),
            ("mcp-method", method),
        ] {
            rpc = rpc.header(name, value);
        }
        rpc
    }

    pub(crate) fn discover() -> Self {
        Self::new("server/discover", json!({}))
    }

    pub(crate) fn list() -> Self {
        Self::new("tools/list", json!({}))
    }

    /// A call of `tool`.
    pub(crate) fn call(tool: &str, arguments: Value) -> Self {
        Self::new("tools/call", json!({ "name": tool, "arguments": arguments })).header("mcp-name", tool)
    }

    /// A reading of the resource `uri`.
    pub(crate) fn read(uri: &str) -> Self {
        Self::new("resources/read", json!({ "uri": uri })).header("mcp-name", encoded(uri))
    }

    /// A request for the prompt `name`.
    pub(crate) fn prompt(name: &str, arguments: Value) -> Self {
        let params = json!({ "name": name, "arguments": arguments });
        Self::new("prompts/get", params).header("mcp-name", encoded(name))
    }

    /// A call that succeeds for everybody who holds `weather:read`.
    pub(crate) fn weather() -> Self {
        Self::call("get_weather", json!({ "city": "Oslo" }))
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// Without a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// With another value for a header.
    pub(crate) fn replace(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).header(name, value)
    }

    /// With another HTTP method.
    pub(crate) fn verb(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    /// With another request target.
    pub(crate) fn target(mut self, target: &str) -> Self {
        self.target = target.into();
        self
    }

    /// With a body that `change` made.
    pub(crate) fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.body);
        self
    }

    /// With a `_meta` that `change` made.
    pub(crate) fn meta(self, change: impl FnOnce(&mut Value)) -> Self {
        self.edit(|body| change(&mut body["params"]["_meta"]))
    }

    /// With this text as its body.
    pub(crate) fn raw(mut self, body: impl AsRef<[u8]>) -> Self {
        self.raw = Some(body.as_ref().to_vec());
        self
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        self.body.to_string()
    }

    /// The head alone, `content-length` not yet in it; a header line may follow, or the empty line.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        head
    }

    /// The body's bytes.
    pub(crate) fn body(&self) -> Vec<u8> {
        self.raw.clone().unwrap_or_else(|| self.text().into_bytes())
    }

    /// Head and body.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let body = self.body();
        let mut bytes = self.head();
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Sends it on a connection that is there.
    #[track_caller]
    pub(crate) fn on(&self, connection: &mut Connection) -> Reply {
        // A server may refuse and close before it has read everything.
        connection.try_send(self.bytes());
        connection.reply()
    }

    /// Sends it on a connection of its own.
    #[track_caller]
    pub(crate) fn send(&self, app: &TestApp) -> Reply {
        self.on(&mut app.connect())
    }
}

/// A value of a mirrored header, as a client must write it.
pub(crate) fn encoded(value: &str) -> String {
    let is_plain = value.bytes().all(|b| (0x21..0x7f).contains(&b)) && !value.starts_with("=?");
    if is_plain { value.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(value)) }
}
