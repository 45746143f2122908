//! The trace that a request is a part of, as its client says it (W3C Trace Context and Baggage; MCP M5).
//!
//! It is hearsay: nothing is decided by it. What is malformed or too long is dropped, and the request is not.

use super::raw::Raw;

/// Length of a `traceparent` of the version that there is.
const PARENT_LEN: usize = 55;
/// Longest `tracestate` that is carried on, bytes (W3C Trace Context 3.3.1.5), and most members of it.
const MOST_STATE: (usize, usize) = (512, 32);
/// Longest `baggage` that is carried on, bytes, and most members of it (W3C Baggage 3.3.2).
const MOST_BAGGAGE: (usize, usize) = (8_192, 64);

/// The trace that a request is a part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    parent: Option<Box<str>>,
    state: Option<Box<str>>,
    baggage: Option<Box<str>>,
}

impl Trace {
    /// Keeps `traceparent` (0), `tracestate` (1) or `baggage` (2), if it is well formed.
    pub(super) fn take(&mut self, which: usize, value: Raw<'_>) {
        let Some(text) = value.string() else { return };
        let (place, fits) = match which {
            0 => (&mut self.parent, is_parent(&text)),
            1 => (&mut self.state, is_list(&text, MOST_STATE)),
            _ => (&mut self.baggage, is_list(&text, MOST_BAGGAGE)),
        };
        *place = fits.then(|| text.as_ref().into());
    }

    /// `traceparent`, as it may be sent on.
    pub fn parent(&self) -> Option<&str> {
        self.parent.as_deref()
    }

    /// `tracestate`, which means nothing without a parent.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref().filter(|_| self.parent.is_some())
    }

    /// `baggage`. Its client's words to whoever comes behind us: not for services of others.
    pub fn baggage(&self) -> Option<&str> {
        self.baggage.as_deref()
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn id(&self) -> Option<&str> {
        self.parent()?.get(3..35)
    }

    /// The id of the span that asks, 16 hexadecimal digits.
    pub fn parent_id(&self) -> Option<&str> {
        self.parent()?.get(36..52)
    }
}

/// `00-`, 32 and 16 digits that are not all zero, two digits of flags (3.2). A later version has more behind them,
/// which we would not understand: it is no parent of ours.
fn is_parent(text: &str) -> bool {
    let digits = |from: usize, to: usize| {
        let part = text.as_bytes().get(from..to).unwrap_or_default();
        part.len() == to - from && part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |from, to| text.as_bytes().get(from..to).unwrap_or_default().iter().all(|b| *b == b'0');
    let dashes = [2, 35, 52].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    text.len() == PARENT_LEN
        && text.starts_with("00")
        && dashes
        && digits(3, 35)
        && digits(36, 52)
        && digits(53, 55)
        && !is_zero(3, 35)
        && !is_zero(36, 52)
}

/// Members `key=value` between commas, of characters that can stand in a header.
fn is_list(text: &str, (bytes, members): (usize, usize)) -> bool {
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic() || matches!(b, b' ' | b'\t'));
    let is_pair = |member: &str| {
        let pair = member.trim_matches([' ', '\t']).split_once('=');
        pair.is_some_and(|(key, _)| !key.is_empty() && !key.contains([' ', '\t']))
    };
    (1..=bytes).contains(&text.len())
        && is_plain
        && text.split(',').count() <= members
        && text.split(',').all(is_pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Envelope;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(meta: &serde_json::Value) -> Option<Trace> {
        let params = serde_json::json!({ "_meta": meta });
        let text =
            serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "x", "params": params }).to_string();
        Envelope::parse(text.as_bytes()).unwrap().params.meta.trace().cloned()
    }

    #[test]
    fn a_trace_is_read_as_it_came() {
        let meta =
            serde_json::json!({ "tracestate": "a=1,b@c=2", "traceparent": PARENT, "baggage": "k=v;p=1" });
        let trace = read(&meta).unwrap();
        assert_eq!(
            (trace.parent(), trace.state(), trace.baggage()),
            (Some(PARENT), Some("a=1,b@c=2"), Some("k=v;p=1"))
        );
        assert_eq!(trace.id(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(trace.parent_id(), Some("b7ad6b7169203331"));
        assert_eq!(read(&serde_json::json!({ "progressToken": 1 })), None, "nothing is made of nothing");
        assert_eq!(
            read(&serde_json::json!({ "tracestate": "a=1" })).unwrap().state(),
            None,
            "without a parent"
        );
    }

    #[test]
    fn what_is_malformed_is_dropped_alone() {
        let long = format!("{PARENT}-00");
        for bad in [
            "",
            "00",
            &long,
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "01", 1),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.replace('-', "_"),
            &PARENT.replace("b7ad6b7169203331", "0000000000000000"),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace('7', "é"),
            &PARENT.replace("-01", "\r\nx"),
        ] {
            let trace = read(&serde_json::json!({ "traceparent": bad, "baggage": "k=v" })).unwrap();
            assert_eq!((trace.parent(), trace.baggage()), (None, Some("k=v")), "{bad}");
        }
        let many = vec!["a=1"; MOST_STATE.1 + 1].join(",");
        for bad in [
            "",
            "a",
            "=1",
            "a b=1",
            "a=1,,b=2",
            "a=1\r\nx: y",
            "a=é",
            &many,
            &format!("a={}", "x".repeat(511)),
        ] {
            let trace = read(&serde_json::json!({ "traceparent": PARENT, "tracestate": bad })).unwrap();
            assert_eq!((trace.parent(), trace.state()), (Some(PARENT), None), "{bad}");
        }
        let most = format!("a={}", "x".repeat(510));
        assert_eq!(
            read(&serde_json::json!({ "traceparent": PARENT, "tracestate": most })).unwrap().state(),
            Some(&*most)
        );
        let huge = format!("a={}", "x".repeat(MOST_BAGGAGE.0 - 1));
        assert_eq!(read(&serde_json::json!({ "baggage": huge })).unwrap().baggage(), None);
        assert_eq!(read(&serde_json::json!({ "traceparent": 7, "baggage": {} })), Some(Trace::default()));
    }
}
