//! Answers as bytes, put together from parts that are JSON already.

use std::io::Write;

use serde_json::{Value, json};

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

/// An error. Without an id the member is left out: the schema forbids null (M10).
pub fn error(id: Option<Id<'_>>, code: i32, message: &str, data: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(192 + message.len());
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",");
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":");
        out.extend_from_slice(id.as_json().as_bytes());
        out.push(b',');
    }
    let error = json!({ "code": code, "message": message, "data": data });
    // Writing into a Vec cannot fail.
    let _written = write!(out, "\"error\":{error}}}");
    out
}

/// The inside of a JSON string that says `json`, which `serde_json` wrote: it holds no control character any
/// more, so only its quotes and backslashes need one before them.
fn push_quoted(out: &mut Vec<u8>, json: &str) {
    for &byte in json.as_bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

/// `text` as a JSON string.
fn push_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into a Vec cannot fail.
    let _written = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Envelope;

    fn read(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn answers_are_json_with_the_id_as_it_came() {
        let envelope = Envelope::parse(r#"{"jsonrpc":"2.0","id":"q\"1","method":"x"}"#).unwrap();
        let id = envelope.id.unwrap();
        let stamp = r#""_meta":{"s":1}"#;
        let answer = read(&tool_result(id, r#"{"city":"Ålesund \"x\""}"#, stamp));
        assert_eq!(answer["id"], "q\"1");
        assert_eq!(answer["result"]["structuredContent"]["city"], "Ålesund \"x\"");
        assert_eq!(answer["result"]["content"][0]["text"], r#"{"city":"Ålesund \"x\""}"#);
        assert_eq!(read(&tool_failure(id, "no\n", stamp))["result"]["isError"], true);
        assert_eq!(read(&result(id, b"\"tools\":[]", stamp))["result"]["_meta"]["s"], 1);
        assert_eq!(read(&error(Some(id), -1, "m", &json!({"reason":"r"})))["error"]["data"]["reason"], "r");
        assert!(read(&error(None, -1, "m", &Value::Null)).get("id").is_none());
    }
}
