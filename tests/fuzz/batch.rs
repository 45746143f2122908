//! Several messages in one body: each is what it would be alone.

use portcullis::protocol::{Batch, Envelope, MAX_DEPTH, WireError, begins_batch};
use serde_json::{Value, value::RawValue};

use super::driver::{Target, fingerprint};

const WORDS: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    r#"{"jsonrpc":"2.0","method":"x"}"#,
    r#""params":{"#,
    r#""_meta":{"#,
    "\"io.modelcontextprotocol/protocolVersion\"",
    "\"io.modelcontextprotocol\\/protocolVersion\"",
    "\"\\u0069o.modelcontextprotocol/protocolVersion\"",
    ":7",
    "[",
    "]",
    ",",
    "{}",
    "null",
    "\\ud800",
    "\u{feff}",
    "\u{b}",
    " ",
];

fn seeds() -> Vec<Vec<u8>> {
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":1}}}"#;
    [
        format!("[{ping}]"),
        format!(" [ {ping} , 7, [], {{}} ,\n{ping}] "),
        format!("[{}]", vec![ping; 50].join(",")),
        format!("[{}]", vec!["{}"; 51].join(",")),
        format!("[{ping},{}]", ping.replace("progressToken", "io.modelcontextprotocol/protocolVersion")),
        "[]".into(),
    ]
    .map(String::into_bytes)
    .into()
}

/// What a message alone comes to.
fn alone(text: &str) -> (Option<String>, Option<WireError>, Option<String>) {
    of(&Envelope::parse(text.as_bytes()))
}

type Read<'a> = Result<Envelope<'a>, (WireError, Option<portcullis::protocol::Id<'a>>)>;

fn of(read: &Read<'_>) -> (Option<String>, Option<WireError>, Option<String>) {
    match read {
        Ok(envelope) => {
            let id = envelope.id.map(|id| id.as_json().to_owned());
            (Some(envelope.method.clone().into_owned()), None, id)
        }
        Err((error, id)) => (None, Some(*error), id.map(|id| id.as_json().to_owned())),
    }
}

/// Whether a member of that name stands anywhere in `value`.
fn claims(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(claims),
        Value::Object(members) => {
            members.contains_key("io.modelcontextprotocol/protocolVersion") || members.values().any(claims)
        }
        Value::String(text) => text.contains("io.modelcontextprotocol/protocolVersion"),
        _ => false,
    }
}

#[test]
fn each_message_of_a_batch_is_what_it_would_be_alone() {
    Target { name: "batch", seeds: seeds(), words: WORDS }.fuzz(|body| {
        let ours = Batch::parse(body);
        let theirs = serde_json::from_slice::<Vec<&RawValue>>(body);
        let kind = ours.as_ref().err().copied();
        let mut read = Vec::new();
        match (ours, &theirs) {
            (Ok(batch), Ok(raws)) => {
                assert!(begins_batch(body) && (1..=50).contains(&raws.len()));
                let elements: Vec<_> = batch.into_elements().collect();
                assert_eq!(elements.len(), raws.len());
                for (element, raw) in elements.iter().zip(raws) {
                    assert_eq!(of(element), alone(raw.get()));
                    // A modern one never is carried out.
                    assert!(!element.as_ref().is_ok_and(|it| it.params.meta.claims_version()));
                    read.push(of(element).1.map(|error| error as u8));
                }
            }
            (Ok(_), Err(error)) => panic!("{error}: taken, but no array"),
            (Err(WireError::Messages), Ok(raws)) => assert!(!(1..=50).contains(&raws.len())),
            (Err(WireError::Batch), Ok(raws)) => {
                let said =
                    raws.iter().any(|raw| claims(&serde_json::from_str(raw.get()).unwrap_or_default()));
                // A member that stands twice keeps only the last of them in a value.
                assert!(said || raws.iter().any(|raw| raw.get().contains("io.modelcontextprotocol")));
            }
            (Err(error), Ok(_)) => {
                // The raw values of theirs are not read, so half surrogates and depths pass there.
                let is_stricter =
                    [WireError::Depth, WireError::Count, WireError::Surrogate, WireError::Number]
                        .contains(&error);
                assert!(is_stricter, "{error:?} for an array of at most {MAX_DEPTH} levels");
            }
            (Err(_), Err(_)) => {}
        }
        read.truncate(8);
        fingerprint((kind.map(|error| error as u8), read, theirs.is_ok()))
    });
}
