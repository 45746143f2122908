//! Events as they are written: one each, whatever is told, as a reader by the book reads them.

use serde_json::{Value, json};

use super::{
    driver::{Target, fingerprint},
    sse,
    tools::Step,
};

const WORDS: &[&str] = &[
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "data: ",
    "data:",
    "event: message",
    "id: 7",
    "retry: 0",
    ":",
    ": keep-alive",
    "\u{feff}",
    "\u{2028}",
    "\u{85}",
    "\\n",
    "\\",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    "null",
    "\u{0}",
    "1e309",
    "x",
];

/// One event as a client is given it.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    data: Vec<u8>,
    kind: Vec<u8>,
    id: Option<Vec<u8>>,
}

/// The events of a stream by the rules of WHATWG HTML, 9.2.6.
fn read(stream: &[u8]) -> Vec<Event> {
    let stream = stream.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(stream);
    let mut lines = Vec::new();
    let mut rest = stream;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        lines.push(&rest[..at]);
        let both = rest[at..].starts_with(b"\r\n");
        rest = &rest[at + 1 + usize::from(both)..];
    }
    // What stands behind the last line break is no line yet.
    let (mut events, mut data, mut kind, mut id) = (Vec::new(), None::<Vec<u8>>, Vec::new(), None);
    for line in lines {
        if line.is_empty() {
            if let Some(data) = data.take() {
                events.push(Event { data, kind: std::mem::take(&mut kind), id: id.clone() });
            }
            kind.clear();
            continue;
        }
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(at + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..at] {
            b"data" => match &mut data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => data = Some(value.to_vec()),
            },
            b"event" => kind = value.to_vec(),
            b"id" if !value.contains(&0) => id = Some(value.to_vec()),
            _ => {}
        }
    }
    events
}

/// The data of the one event that `bytes` are, with another one right behind it, which is read as what it is.
fn only(bytes: &[u8]) -> Vec<u8> {
    let mut events = read(&[bytes, b": keep-alive\n\ndata: next\n\n"].concat());
    let next = Event { data: b"next".to_vec(), kind: Vec::new(), id: None };
    assert_eq!(events.pop(), Some(next), "{bytes:?}");
    let event = events.pop().unwrap();
    assert!(events.is_empty() && event.kind.is_empty() && event.id.is_none(), "{event:?}");
    event.data
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "{\"jsonrpc\":\"2.0\",\n\"id\":1,\r\n\"result\":{\"a\": \"x\\n\\ndata: {}\"}}",
        "half done\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
        "\u{feff}\u{2028}é\r\rid: 1",
        "[1, 2.5,\t{}]",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

#[test]
fn an_event_is_one_event_whatever_it_tells() {
    Target { name: "events", seeds: seeds(), words: WORDS }.fuzz(|input| {
        // Any bytes at all stay one event, and JSON stays what it is.
        let data = only(&sse::event(input));
        let value = serde_json::from_slice::<Value>(input).ok();
        if let Some(value) = &value {
            assert_eq!(serde_json::from_slice::<Value>(&data).unwrap(), *value);
        }
        // A tool tells what it likes, to whoever sent whatever token.
        let said = String::from_utf8_lossy(input).into_owned();
        let number = input.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let number = Some(f64::from_bits(number)).filter(|number| number.is_finite()).unwrap_or(0.5);
        let (begin, end) =
            said.split_at(said.char_indices().nth(said.chars().count() / 2).map_or(0, |(at, _)| at));
        let step = Step { done: number, total: Some(number), message: Some(end.to_owned()) };
        let told: Value =
            serde_json::from_slice(&only(&sse::event(&sse::progress(&json!(begin).to_string(), &step))))
                .unwrap();
        assert_eq!(
            (&told["params"]["progressToken"], &told["params"]["message"]),
            (&json!(begin), &json!(end))
        );
        let close =
            |told: &Value| told.as_f64().is_some_and(|told| (told - number).abs() <= number.abs() * 1e-12);
        assert!(close(&told["params"]["progress"]) && close(&told["params"]["total"]), "{told}");
        fingerprint((value.is_some(), data.len() % 7, said.lines().count().min(9), number.is_normal()))
    });
}

#[test]
fn the_reader_finds_what_is_slipped_in() {
    assert_eq!(read(b"data: a\n\nid: 7\nevent: x\ndata: b\ndata: c\n\ndata: half").len(), 2);
    assert_eq!(read(b"data: a\r\rdata: b\r\n\r\n")[1].data, b"b");
    assert_eq!(
        read(b"id: 7\nevent: x\ndata: b\ndata: c\n\n")[0],
        Event { data: b"b\nc".to_vec(), kind: b"x".to_vec(), id: Some(b"7".to_vec()) }
    );
    assert!(read(b": comment\n\nretry: 1\n\n").is_empty());
}
