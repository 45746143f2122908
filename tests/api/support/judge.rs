//! Holds every message that any test receives against the published schema of its revision.

use serde_json::Value;

use super::{http::Reply, rpc::META_VERSION, schemas::Schemas};

/// One HTTP request as it went out, as far as it can be read.
#[derive(Debug, Default)]
struct Asked {
    /// What `MCP-Protocol-Version` says.
    header: Option<String>,
    /// Every message of its body; `None` if it cannot be read here: in chunks, or deeper than what reads it.
    messages: Option<Vec<Value>>,
}

/// Listens to one connection.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    sent: Vec<u8>,
    /// What is being answered.
    asked: Asked,
}

impl Judge {
    /// These bytes go out.
    pub(crate) fn sends(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
    }

    /// An answer begins: to the first request that has no answer yet.
    pub(crate) fn is_answered(&mut self) {
        self.asked = self.take().unwrap_or_else(|| {
            // Not a request that this can read: what comes behind it cannot be told apart either.
            self.sent.clear();
            Asked::default()
        });
    }

    fn take(&mut self) -> Option<Asked> {
        let length = self.sent.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.sent[..length]).into_owned();
        let header = |wanted: &str| {
            let mut values = head.lines().filter_map(|line| line.split_once(':'));
            let (_, value) = values.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
            Some(value.trim().to_owned())
        };
        let size = match (header("content-length"), header("transfer-encoding")) {
            (Some(text), _) => text.parse::<usize>().ok()?,
            (None, Some(_)) => return None,
            (None, None) => 0,
        };
        let end = length.checked_add(size)?;
        let messages = match serde_json::from_slice(self.sent.get(length..end)?) {
            Ok(Value::Array(all)) => Some(all),
            Ok(one) => Some(vec![one]),
            Err(_) => None,
        };
        self.sent.drain(..end);
        Some(Asked { header: header("mcp-protocol-version"), messages })
    }

    /// These bytes go out to a server that reads lines.
    pub(crate) fn writes(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        while let Some(end) = self.sent.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.sent.drain(..=end).collect();
            let asked = self.asked.messages.get_or_insert_default();
            match serde_json::from_slice(&line) {
                Ok(Value::Array(all)) => asked.extend(all),
                Ok(one) => asked.push(one),
                // No message: what is said of it names none.
                Err(_) => {}
            }
        }
    }

    /// The same of a message that is a line; what a handshake settles holds from then on.
    #[track_caller]
    pub(crate) fn hears_line(&mut self, line: &Value) {
        match line {
            Value::Array(all) => all.iter().for_each(|message| self.hears_message(message)),
            one => self.hears_message(one),
        }
        if let Some(settled) = line["result"]["protocolVersion"].as_str() {
            self.asked.header = Some(settled.to_owned());
        }
    }

    /// Asserts that every message of a whole answer is what its revision says.
    #[track_caller]
    pub(crate) fn hears(&self, reply: &Reply) {
        let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else { return };
        match body {
            Value::Array(all) => all.iter().for_each(|message| self.hears_message(message)),
            one => self.hears_message(&one),
        }
    }

    /// The same of one message.
    #[track_caller]
    pub(crate) fn hears_message(&self, message: &Value) {
        // Answers beside `/mcp` are no messages.
        let (Some(schemas), true) = (Schemas::find(), message.get("jsonrpc").is_some()) else { return };
        let id = message.get("id").filter(|_| message.get("method").is_none());
        let asked = self.asked.messages.as_deref().unwrap_or_default();
        // An id may stand twice in a batch: then it is the answer to one of them.
        let of: Vec<&Value> = asked.iter().filter(|asked| id.is_some() && asked.get("id") == id).collect();
        let is_due = !of.is_empty() || self.asked.messages.is_none();
        assert!(message.get("result").is_none() || is_due, "nobody asked for this: {message}");
        let judged = |asked: Option<&Value>| {
            let method = asked.and_then(|asked| asked["method"].as_str());
            schemas.message(self.revision(asked.or(self.first()), message), method, message)
        };
        let wrong = if of.is_empty() {
            judged(None).err()
        } else {
            of.iter()
                .map(|asked| judged(Some(asked)))
                .find(Result::is_ok)
                .map_or_else(|| judged(of.first().copied()).err(), Result::err)
        };
        if let Some(wrong) = wrong {
            panic!("{wrong}");
        }
    }

    fn first(&self) -> Option<&Value> {
        self.asked.messages.as_ref()?.first()
    }

    /// The revision in which a message must be: the body of the request decides, then its header (T3).
    fn revision(&self, asked: Option<&Value>, message: &Value) -> &'static str {
        let modern = |asked: &Value| asked["params"]["_meta"].get(META_VERSION).is_some();
        let settled = message["result"]["protocolVersion"].as_str();
        let header = self.asked.header.as_deref();
        let said = match asked {
            Some(asked) if modern(asked) => "2026-07-28",
            // A handshake is answered in the revision that it settles.
            Some(asked) if asked["method"] == "initialize" => settled.or(header).unwrap_or("2025-11-25"),
            _ => header.unwrap_or("2025-03-26"),
        };
        let known = super::schemas::REVISIONS.into_iter().find(|known| *known == said);
        // Whoever names none that there is may be told so only in the one that has words for it.
        known.unwrap_or("2026-07-28")
    }
}
