//! Answers as bytes, put together from parts that are JSON already.

use std::io::Write;

use serde_json::{Map, Value};

use super::Id;

/// `{"jsonrpc":"2.0","id":…,"result":{`; whoever calls it writes the members and closes both.
fn open_result(out: &mut Vec<u8>, id: Id<'_>) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_json().as_bytes());
    out.extend_from_slice(b",\"result\":{\"resultType\":\"complete\",");
}

/// A complete result: `members` is the inside of the result object, `stamp` its `_meta` member.
pub fn result(id: Id<'_>, members: &[u8], stamp: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(80 + id.as_json().len() + members.len() + stamp.len());
    open_result(&mut out, id);
    out.extend_from_slice(members);
    out.push(b',');
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(b"}}");
    out
}

/// A tool's result: its output both as structured content and as text for models that read text (L10, L11).
pub fn tool_result(id: Id<'_>, output: &str, stamp: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(192 + id.as_json().len() + output.len() * 5 / 2 + stamp.len());
    open_result(&mut out, id);
    out.extend_from_slice(b"\"content\":[{\"type\":\"text\",\"text\":\"");
    push_quoted(&mut out, output);
    out.extend_from_slice(b"\"}],\"structuredContent\":");
    out.extend_from_slice(output.as_bytes());
    out.push(b',');
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(b"}}");
    out
}

/// A tool's failure, as text that a model can act on (L9).
pub fn tool_failure(id: Id<'_>, text: &str, stamp: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(192 + text.len() + stamp.len());
    open_result(&mut out, id);
    out.extend_from_slice(b"\"isError\":true,\"content\":[{\"type\":\"text\",\"text\":");
    push_string(&mut out, text);
    out.extend_from_slice(b"}],");
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(b"}}");
    out
}

/// What an error says beside its code and its message.
#[derive(Debug, Clone, Copy)]
pub struct ErrorData<'a> {
    /// The stable word for what is wrong.
    pub reason: &'a str,
    /// Finds the audit record; needs no escaping.
    pub request_id: &'a str,
    /// The wait that helps, milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whatever only this kind of error says.
    pub more: &'a Map<String, Value>,
}

/// An error. Without an id the member is left out: the schema forbids null (M10).
pub fn error(id: Option<Id<'_>>, code: i32, message: &str, data: ErrorData<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + message.len());
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",");
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":");
        out.extend_from_slice(id.as_json().as_bytes());
        out.push(b',');
    }
    // Writing into a Vec cannot fail, here and below.
    let _written = write!(out, "\"error\":{{\"code\":{code},\"message\":");
    push_string(&mut out, message);
    out.extend_from_slice(b",\"data\":{\"reason\":");
    push_string(&mut out, data.reason);
    out.extend_from_slice(b",\"requestId\":\"");
    out.extend_from_slice(data.request_id.as_bytes());
    out.push(b'"');
    if let Some(wait) = data.retry_after_ms {
        let _written = write!(out, ",\"retryAfterMs\":{wait}");
    }
    for (name, value) in data.more {
        out.push(b',');
        push_string(&mut out, name);
        let _written = write!(out, ":{value}");
    }
    out.extend_from_slice(b"}}}");
    out
}

/// The inside of a JSON string that says `json`, which `serde_json` wrote: it holds no control character any
/// more, so only its quotes and backslashes need one before them.
fn push_quoted(out: &mut Vec<u8>, json: &str) {
    let start = out.len();
    // Room for a backslash before each byte; whether one stays is no branch, which would often be foretold wrongly.
    out.resize(start + 2 * json.len(), b'\\');
    let (places, mut at) = (out.get_mut(start..).unwrap_or_default(), 0);
    for &byte in json.as_bytes() {
        at += usize::from(matches!(byte, b'"' | b'\\'));
        if let Some(place) = places.get_mut(at) {
            *place = byte;
        }
        at += 1;
    }
    out.truncate(start + at);
}

/// `text` as a JSON string.
fn push_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into a Vec cannot fail.
    let _written = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::Envelope;

    fn read(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn answers_are_json_with_the_id_as_it_came() {
        let envelope = Envelope::parse(br#"{"jsonrpc":"2.0","id":"q\"1","method":"x"}"#).unwrap();
        let id = envelope.id.unwrap();
        let stamp = r#""_meta":{"s":1}"#;
        let answer = read(&tool_result(id, r#"{"city":"Ålesund \"x\""}"#, stamp));
        assert_eq!(answer["id"], "q\"1");
        assert_eq!(answer["result"]["structuredContent"]["city"], "Ålesund \"x\"");
        assert_eq!(answer["result"]["content"][0]["text"], r#"{"city":"Ålesund \"x\""}"#);
        assert_eq!(read(&tool_failure(id, "no\n", stamp))["result"]["isError"], true);
        assert_eq!(read(&result(id, b"\"tools\":[]", stamp))["result"]["_meta"]["s"], 1);
        let more = json!({ "miss\"ing": [1, "two"] });
        let more = more.as_object().unwrap();
        let data = ErrorData { reason: "r", request_id: "i", retry_after_ms: Some(7), more };
        let expected = json!({ "reason": "r", "requestId": "i", "retryAfterMs": 7, "miss\"ing": [1, "two"] });
        let refused = read(&error(Some(id), -1, "m\n\"", data));
        assert_eq!(refused["error"], json!({ "code": -1, "message": "m\n\"", "data": expected }));
        assert!(read(&error(None, -1, "m", data)).get("id").is_none());
    }
}
