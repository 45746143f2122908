//! How one JSON text after the other is told: as server-sent events (WHATWG HTML, 9.2), or as lines.

use std::{io::Write, time::Duration};

use bytes::Bytes;

use crate::tools::{LogLine, Step};

/// What is sent where nothing else is, so that nobody between takes the stream for dead.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// After how long a client may come back to a stream that has ended before its time.
const RETRY: Duration = Duration::from_secs(1);
/// How one JSON text is told from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each is an event.
    Events,
    /// Each is a line.
    Lines,
}

impl Framing {
    /// `json` as one of several.
    pub(super) fn frame(self, json: &[u8]) -> Bytes {
        match self {
            Self::Events => event(json),
            Self::Lines => line(json),
        }
    }

    /// What is sent where nothing else is. Nobody stands between us and whoever reads lines.
    pub(super) fn keep_alive(self) -> Bytes {
        match self {
            Self::Events => KEEP_ALIVE,
            Self::Lines => Bytes::new(),
        }
    }
}

/// `json` as one line, whatever it says: line breaks stand in JSON between values only.
pub(super) fn line(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 1);
    out.extend(json.iter().map(unbroken));
    out.push(b'\n');
    out.into()
}

fn unbroken(byte: &u8) -> u8 {
    if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }
}

/// One event that holds `json`. JSON has line breaks between values only: with blanks in their place the event is
/// one line, whatever it says.
pub(super) fn event(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 8);
    out.extend_from_slice(b"data: ");
    out.extend(json.iter().map(unbroken));
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// The same under a name by which its stream can be come back to.
pub(super) fn named(name: &str, json: &[u8]) -> Bytes {
    let mut out = format!("id: {name}\n").into_bytes();
    out.extend_from_slice(&event(json));
    out.into()
}

/// The event that says nothing but its name, and after how long the client may come back.
pub(super) fn first(name: &str) -> Bytes {
    format!("id: {name}\nretry: {}\ndata: \n\n", RETRY.as_millis()).into()
}

/// The message that tells of a line of the log.
pub(super) fn log(line: &LogLine) -> Bytes {
    let params = serde_json::json!({ "level": line.level.name(), "data": line.text });
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{params}}}").into()
}

/// The message that tells of `step` to whoever has sent `token`, JSON text.
pub(super) fn progress(token: &str, step: &Step) -> Bytes {
    let mut out = Vec::with_capacity(160);
    // Writing into a Vec cannot fail, here and below.
    let _written = write!(
        out,
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{token},\"progress\":{}",
        step.done
    );
    if let Some(total) = step.total {
        let _written = write!(out, ",\"total\":{total}");
    }
    if let Some(message) = &step.message {
        let _written = write!(out, ",\"message\":{}", serde_json::Value::from(message.as_str()));
    }
    out.extend_from_slice(b"}}");
    out.into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_event_or_line_is_one_line_whatever_it_says() {
        let hostile = "{\"a\":\n\r\"x\\n\\ndata: {}\"}";
        let whole = "{\"a\":  \"x\\n\\ndata: {}\"}";
        assert_eq!(Framing::Events.frame(hostile.as_bytes()), format!("data: {whole}\n\n"));
        assert_eq!(Framing::Lines.frame(hostile.as_bytes()), format!("{whole}\n"));
        assert!(Framing::Lines.keep_alive().is_empty(), "a blank line is no message");
    }

    #[test]
    fn an_event_has_its_name_and_the_first_one_nothing_else() {
        assert_eq!(named("3-1", b"{\n}"), "id: 3-1\ndata: { }\n\n");
        assert_eq!(first("3-0"), "id: 3-0\nretry: 1000\ndata: \n\n");
    }

    #[test]
    fn progress_is_json_with_the_token_as_it_came() {
        let step = Step { done: 50.0, total: Some(100.5), message: Some("a \"b\"\n".into()) };
        let bytes = progress("\"t\"", &step);
        let told: Value = serde_json::from_slice(&bytes).unwrap();
        let params = json!({ "progressToken": "t", "progress": 50, "total": 100.5, "message": "a \"b\"\n" });
        assert_eq!(told, json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }));
        let far = Step { done: 1e300, total: None, message: None };
        assert!(serde_json::from_slice::<Value>(&progress("7", &far)).is_ok());
    }
}
