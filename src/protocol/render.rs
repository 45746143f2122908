//! Answers as bytes, put together from parts that are JSON already.

use std::io::Write;

use serde_json::{Map, Value};

use super::{Content, Id, Revision};

/// How results look in one revision: the same model, dressed for whoever reads it.
#[derive(Debug, Clone, Copy)]
pub struct Dress<'a> {
    /// The revision.
    pub revision: Revision,
    /// The `_meta` member that results of the modern era carry.
    pub stamp: &'a str,
}

impl Dress<'_> {
    /// A complete result: `members` is the inside of the result object.
    pub fn result(self, id: Id<'_>, members: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(80 + id.as_json().len() + members.len() + self.stamp.len());
        self.open(&mut out, id);
        out.extend_from_slice(members);
        self.close(&mut out);
        out
    }

    /// A tool's result: its output both as structured content and as text for models that read text
    /// (L10, L11), then what else it shows.
    pub fn tool_result(self, id: Id<'_>, output: Option<&str>, more: &[Content]) -> Vec<u8> {
        let size = output.map_or(0, |output| output.len() * 5 / 2);
        let mut out = Vec::with_capacity(192 + id.as_json().len() + size + self.stamp.len());
        self.open(&mut out, id);
        out.extend_from_slice(b"\"content\":[");
        if let Some(output) = output {
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"");
            push_quoted(&mut out, output);
            out.extend_from_slice(b"\"}");
        }
        for (at, content) in more.iter().enumerate() {
            if at > 0 || output.is_some() {
                out.push(b',');
            }
            content.write(&mut out, self.revision);
        }
        out.push(b']');
        if let Some(output) = output.filter(|_| self.revision.has_structure()) {
            out.extend_from_slice(b",\"structuredContent\":");
            out.extend_from_slice(output.as_bytes());
        }
        self.close(&mut out);
        out
    }

    /// A tool's failure, as text that a model can act on (L9).
    pub fn tool_failure(self, id: Id<'_>, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(192 + text.len() + self.stamp.len());
        self.open(&mut out, id);
        out.extend_from_slice(b"\"isError\":true,\"content\":[{\"type\":\"text\",\"text\":");
        push_string(&mut out, text);
        out.extend_from_slice(b"}]");
        self.close(&mut out);
        out
    }

    /// A result that asks first: `members` say what.
    pub fn input_required(self, id: Id<'_>, members: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + id.as_json().len() + members.len() + self.stamp.len());
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        out.extend_from_slice(id.as_json().as_bytes());
        out.extend_from_slice(b",\"result\":{\"resultType\":\"input_required\",");
        out.extend_from_slice(members);
        self.close(&mut out);
        out
    }

    /// A complete result of the modern era that says no more than that it is one.
    pub fn acknowledgement(self, id: Id<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + id.as_json().len() + self.stamp.len());
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        out.extend_from_slice(id.as_json().as_bytes());
        out.extend_from_slice(b",\"result\":{\"resultType\":\"complete\"");
        self.close(&mut out);
        out
    }

    /// A result that says that the call goes on as a task: `members` say which.
    pub fn task(self, id: Id<'_>, members: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + id.as_json().len() + members.len() + self.stamp.len());
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        out.extend_from_slice(id.as_json().as_bytes());
        out.extend_from_slice(b",\"result\":{\"resultType\":\"task\",");
        out.extend_from_slice(members);
        self.close(&mut out);
        out
    }

    /// `{"jsonrpc":"2.0","id":…,"result":{`, and what stands before the members.
    fn open(self, out: &mut Vec<u8>, id: Id<'_>) {
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        out.extend_from_slice(id.as_json().as_bytes());
        out.extend_from_slice(if self.revision.is_modern() {
            b",\"result\":{\"resultType\":\"complete\","
        } else {
            b",\"result\":{"
        });
    }

    /// What stands behind the members, and the end of both objects.
    fn close(self, out: &mut Vec<u8>) {
        if self.revision.is_modern() {
            out.push(b',');
            out.extend_from_slice(self.stamp.as_bytes());
        }
        out.extend_from_slice(b"}}");
    }
}

/// The answers to a batch, in one array; each is JSON.
pub fn batch(answers: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + answers.iter().map(|answer| answer.len() + 1).sum::<usize>());
    out.push(b'[');
    for (at, answer) in answers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(answer);
    }
    out.push(b']');
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
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
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
        let modern = Dress { revision: Revision::July2026, stamp: r#""_meta":{"s":1}"# };
        let answer = read(&modern.tool_result(id, Some(r#"{"city":"Ålesund \"x\""}"#), &[]));
        assert_eq!(answer["id"], "q\"1");
        assert_eq!(answer["result"]["structuredContent"]["city"], "Ålesund \"x\"");
        assert_eq!(answer["result"]["content"][0]["text"], r#"{"city":"Ålesund \"x\""}"#);
        assert_eq!(read(&modern.tool_failure(id, "no\n"))["result"]["isError"], true);
        assert_eq!(read(&modern.result(id, b"\"tools\":[]"))["result"]["_meta"]["s"], 1);
        let more = json!({ "miss\"ing": [1, "two"] });
        let more = more.as_object().unwrap();
        let data = ErrorData { reason: "r", request_id: "i", retry_after_ms: Some(7), more };
        let expected = json!({ "reason": "r", "requestId": "i", "retryAfterMs": 7, "miss\"ing": [1, "two"] });
        let refused = read(&error(Some(id), -1, "m\n\"", data));
        assert_eq!(refused["error"], json!({ "code": -1, "message": "m\n\"", "data": expected }));
        assert!(read(&error(None, -1, "m", data)).get("id").is_none());
    }
    #[test]
    fn a_result_is_dressed_for_its_revision() {
        let envelope = Envelope::parse(br#"{"jsonrpc":"2.0","id":1,"method":"x"}"#).unwrap();
        let id = envelope.id.unwrap();
        for revision in Revision::LEGACY.into_iter().chain([Revision::July2026]) {
            let dress = Dress { revision, stamp: r#""_meta":{"s":1}"# };
            let shown = [Content::Text("a".into()), Content::Text("b".into())];
            let called = read(&dress.tool_result(id, Some("{\"x\":1}"), &shown));
            for answer in
                [&called, &read(&dress.tool_failure(id, "no")), &read(&dress.result(id, b"\"y\":1"))]
            {
                assert_eq!(answer["result"].get("resultType").is_some(), revision.is_modern(), "{answer}");
                assert_eq!(answer["result"].get("_meta").is_some(), revision.is_modern(), "{answer}");
            }
            assert_eq!(called["result"].get("structuredContent").is_some(), revision.has_structure());
            let texts = called["result"]["content"].as_array().unwrap().iter().map(|block| &block["text"]);
            assert_eq!(texts.collect::<Vec<_>>(), ["{\"x\":1}", "a", "b"]);
            assert_eq!(read(&dress.tool_result(id, None, &shown))["result"]["content"][1]["text"], "b");
            assert_eq!(read(&dress.tool_result(id, None, &[]))["result"]["content"], json!([]));
        }
        let legacy = Dress { revision: Revision::June2025, stamp: "" };
        assert_eq!(read(&legacy.result(id, b""))["result"], json!({}));
        assert_eq!(read(&batch(&[b"1".to_vec(), b"{}".to_vec()])), json!([1, {}]));
    }
}
