//! What clients carry for us: cursors and the states of calls that ask, and the answers that come with these.

use portcullis::{
    domain::Seal,
    protocol::{Envelope, Raw, Tree},
    tools::Answers,
};
use serde_json::{Value, json};

use super::driver::{Target, fingerprint};

const WORDS: &[&str] = &[
    "\"cursor\":",
    "\"requestState\":",
    "\"inputResponses\":",
    "\"k1.",
    "k2.",
    "=",
    "\\u006b",
    "\\/",
    "{\"action\":\"accept\",\"content\":{}}",
    "\"name\":",
    "\"sure\":",
    "null",
    "[]",
    "{}",
    "A",
    "-",
    "_",
    "\u{0}",
    ",",
];
/// What it is sealed for, and what it holds.
const BOUND: (&[u8], &[u8]) = (b"resources/list\0ada", b"file:///there.txt");

fn seal(purpose: &str) -> Seal {
    Seal::new(&[7; 32], purpose).unwrap()
}

fn body(method: &str, params: &Value) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string().into_bytes()
}

/// What `open` makes of `text`: nothing, unless it is what was `sealed`, to the letter.
fn opens(seal: &Seal, sealed: &str, text: &str) -> bool {
    let opened = seal.open(BOUND.0, text);
    assert_eq!(opened.as_deref(), (text == sealed).then_some(BOUND.1), "{text}");
    assert_eq!(seal.open(b"resources/list\0bob", text), None);
    opened.is_some()
}

/// The string that `raw` is, which an independent reader reads alike.
fn text(raw: Raw<'_>) -> Option<String> {
    let ours = raw.string().map(std::borrow::Cow::into_owned);
    let theirs: Value = serde_json::from_str(raw.text()).unwrap();
    assert_eq!(ours.as_deref(), theirs.as_str());
    ours
}

#[test]
fn no_cursor_but_the_one_that_was_given_opens() {
    let seal = seal("cursor");
    let sealed = seal.seal(BOUND.0, BOUND.1).unwrap();
    let seeds = vec![
        body("resources/list", &json!({ "cursor": sealed })),
        body("tools/list", &json!({ "cursor": "", "name": sealed })),
        sealed.clone().into_bytes(),
    ];
    Target { name: "cursor", seeds, words: WORDS }.fuzz(|input| {
        // Also the bare text, which a body would have to quote.
        let bare = std::str::from_utf8(input).is_ok_and(|text| opens(&seal, &sealed, text));
        let envelope = Envelope::parse(input);
        let cursor = envelope.as_ref().ok().and_then(|envelope| envelope.params.cursor);
        let read = cursor.map(text);
        let opened = read.as_ref().map(|text| text.as_ref().map(|text| opens(&seal, &sealed, text)));
        fingerprint((bare, envelope.is_ok(), opened, read.map(|text| text.map(|text| text.len().min(99)))))
    });
}

/// The answers that are taken with `value`, as an independent reader takes them: those to what was asked, or all.
fn taken(value: &Value, asked: &[String]) -> Option<Value> {
    let taken = value.as_object()?.iter().filter(|(key, _)| asked.is_empty() || asked.contains(key));
    let shown = |(key, value): (&String, &Value)| {
        (key.clone(), json!({ "text": value, "was_asked": asked.contains(key) }))
    };
    Some(Value::Object(taken.map(shown).collect()))
}

#[test]
fn no_state_but_the_one_that_was_given_opens_and_only_answers_to_what_was_asked_are_taken() {
    let seal = seal("tools/call requestState");
    let sealed = seal.seal(BOUND.0, BOUND.1).unwrap();
    let answers = json!({ "name": { "action": "accept", "content": { "name": "Ada" } }, "sure": { "action": "decline" } });
    let seeds = vec![
        body("tools/call", &json!({ "name": "t", "requestState": sealed, "inputResponses": answers })),
        body("tools/call", &json!({ "name": "t", "inputResponses": { "other": [1, "é\n", null] } })),
        body("tools/call", &json!({ "name": "t", "requestState": 7, "inputResponses": [] })),
    ];
    let asked = ["name".to_owned(), "sure".to_owned()];
    Target { name: "state", seeds, words: WORDS }.fuzz(|input| {
        let Ok(envelope) = Envelope::parse(input) else { return fingerprint("none") };
        let opened =
            envelope.params.request_state().map(|raw| text(raw).map(|text| opens(&seal, &sealed, &text)));
        let mut kinds = Vec::new();
        for asked in [&asked[..], &[]] {
            let Some(round) = envelope.params.input_responses() else { continue };
            let mut ours = Answers::none();
            let added = ours.add(round.text(), asked);
            let theirs = taken(&serde_json::from_str(round.text()).unwrap(), asked);
            // A member that stands twice is read by nobody; the target `tree` holds what else has a tree.
            let theirs = theirs.filter(|_| Tree::of_text(round.text()).is_ok());
            assert_eq!(added.is_ok(), theirs.is_some(), "{}", round.text());
            if let Some(theirs) = theirs {
                // They travel on as text, inside of the next state.
                let again: Answers = serde_json::from_str(&serde_json::to_string(&ours).unwrap()).unwrap();
                assert_eq!(serde_json::to_value(&again).unwrap(), theirs);
                kinds.push(theirs.as_object().map_or(0, serde_json::Map::len).min(4));
            }
        }
        fingerprint((opened, kinds))
    });
}
