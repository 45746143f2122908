//! Requests of older revisions, as their clients write them.

use serde_json::{Value, json};

use super::rpc::Rpc;

/// The revisions that begin with a handshake, oldest first.
pub(crate) const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

/// One request of `revision`; the oldest has no header for it.
pub(crate) fn request(revision: &str, method: &str, params: Value) -> Rpc {
    let params = if method == "ping" { Value::Null } else { params };
    let rpc = headers(revision, Rpc::new(method, json!({})));
    rpc.edit(|body| {
        body["params"] = params;
        if body["params"].is_null() {
            body.as_object_mut().unwrap().remove("params");
        }
    })
}

/// A notification of `revision`.
pub(crate) fn notification(revision: &str, method: &str) -> Rpc {
    request(revision, method, Value::Null).edit(|body| drop(body.as_object_mut().unwrap().remove("id")))
}

/// A call of `tool`.
pub(crate) fn call(revision: &str, tool: &str, arguments: Value) -> Rpc {
    request(revision, "tools/call", json!({ "name": tool, "arguments": arguments }))
}

/// A handshake that asks for `wanted`.
pub(crate) fn handshake(wanted: &str) -> Rpc {
    let client = json!({ "name": "tests", "version": "1" });
    request(
        "2025-03-26",
        "initialize",
        json!({ "protocolVersion": wanted, "capabilities": {}, "clientInfo": client }),
    )
}

/// Several messages in one body.
pub(crate) fn batch(messages: &[Rpc]) -> Rpc {
    let texts: Vec<String> = messages.iter().map(Rpc::text).collect();
    headers("2025-03-26", Rpc::new("", json!({}))).raw(format!("[{}]", texts.join(",")))
}

fn headers(revision: &str, rpc: Rpc) -> Rpc {
    let bare = rpc.without("mcp-protocol-version").without("mcp-method");
    if revision == "2025-03-26" { bare } else { bare.header("mcp-protocol-version", revision) }
}
