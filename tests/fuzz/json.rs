//! Bodies: our reader against `serde_json`, in both directions.

use std::{collections::BTreeSet, fmt};

use portcullis::{
    error::{Code, Coded},
    protocol::{Envelope, MAX_DEPTH, MAX_NODES, Node, Tree, WireError, decode_header},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use super::driver::{Target, fingerprint};

const WORDS: &[&str] = &[
    "{\"jsonrpc\":\"2.0\",",
    "\"id\":",
    "\"method\":\"tools/call\"",
    "\"params\":{",
    "\"_meta\":{",
    "\"name\":",
    "\"arguments\":",
    "\"result\":",
    "\"io.modelcontextprotocol/protocolVersion\"",
    "\\u0000",
    "\\ud83d\\ude00",
    "\\ud800",
    "\\\"",
    "1e400",
    "-0.0",
    "9007199254740992",
    "null",
    "true",
    "[[[[[[[[",
    "{\"a\":",
    "]]]]",
    "}}",
    "\u{feff}",
    "\u{202e}",
];

fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{"city":"Oslo"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
        r#" {"jsonrpc":"2.0","id":"a\"b","method":"tools/list","params":{"cursor":null,"x":[1,-2.5e3,true,"\u00e9\n\ud83d\ude00",{}]}} "#,
        r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#,
        r#"{"a":{"a":{"a":[[[]]]}},"b":"","c":0,"d":-0,"e":1e308}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// What `serde_json` finds beside the value itself: how deep, how many, whether a name stands twice.
#[derive(Debug, Default, Clone, Copy)]
struct Judged {
    depth: usize,
    nodes: usize,
    doubled: bool,
}

impl Judged {
    fn over(mut self, inner: Self) -> Self {
        self.depth = self.depth.max(inner.depth + 1);
        self.nodes += inner.nodes;
        self.doubled |= inner.doubled;
        self
    }
}

impl<'de> Deserialize<'de> for Judged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Judge;

        macro_rules! leaves {
            ($($visit:ident: $kind:ty),*) => { $(
                fn $visit<E>(self, _: $kind) -> Result<Judged, E> {
                    Ok(Judged { nodes: 1, ..Judged::default() })
                }
            )* };
        }

        impl<'de> Visitor<'de> for Judge {
            type Value = Judged;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            leaves!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

            fn visit_unit<E>(self) -> Result<Judged, E> {
                Ok(Judged { nodes: 1, ..Judged::default() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Judged, A::Error> {
                let mut whole = Judged { depth: 1, nodes: 1, doubled: false };
                while let Some(inner) = items.next_element::<Judged>()? {
                    whole = whole.over(inner);
                }
                Ok(whole)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Judged, A::Error> {
                let mut whole = Judged { depth: 1, nodes: 1, doubled: false };
                let mut names = BTreeSet::new();
                while let Some((name, inner)) = members.next_entry::<String, Judged>()? {
                    whole = whole.over(inner);
                    whole.doubled |= !names.insert(name);
                }
                Ok(whole)
            }
        }

        deserializer.deserialize_any(Judge)
    }
}

/// What is told of a text without decoding it is true of the text.
fn says_the_same(node: Node<'_>, value: &Value) {
    match value {
        Value::String(text) => {
            let length = text.chars().count() as u64;
            assert!(node.says(text) && !node.says(&format!("{text}x")));
            assert_eq!(
                (node.string().as_deref(), node.length_up_to(u64::MAX)),
                (Some(&**text), Some(length))
            );
            let cut = node.length_up_to(length / 2).unwrap();
            assert!(if length <= length / 2 { cut == length } else { cut > length / 2 });
        }
        Value::Array(items) => node.elements().zip(items).for_each(|(node, item)| says_the_same(node, item)),
        Value::Object(members) => {
            node.members()
                .for_each(|(name, member)| says_the_same(member, &members[&*name.string().unwrap()]));
        }
        _ => assert!(node.string().is_none() && node.length_up_to(0).is_none()),
    }
}

#[test]
fn a_tree_takes_exactly_what_is_json_within_its_bounds() {
    Target { name: "tree", seeds: seeds(), words: WORDS }.fuzz(|body| {
        let ours = Tree::of_body(body);
        let theirs = serde_json::from_slice::<Judged>(body);
        match (&ours, &theirs) {
            (Ok(tree), Ok(judged)) => {
                assert!(!judged.doubled && judged.depth <= MAX_DEPTH);
                let value: Value = serde_json::from_slice(body).unwrap();
                assert_eq!(tree.root().to_value(), value);
                says_the_same(tree.root(), &value);
            }
            (Err(WireError::Doubled), Ok(judged)) => assert!(judged.doubled),
            (Err(WireError::Depth), Ok(judged)) => assert!(judged.depth > MAX_DEPTH),
            // How names count towards the bound is ours to say.
            (Err(WireError::Count), Ok(judged)) => assert!(2 * judged.nodes > MAX_NODES),
            (Err(error), Ok(_)) => panic!("{error:?} for what is JSON"),
            (Ok(_), Err(error)) => assert!(error.to_string().contains("recursion limit"), "{error}"),
            (Err(_), Err(_)) => {}
        }
        let shape = ours.as_ref().map(|tree| (tree.root().kind() as u8, tree.root().len().min(20)));
        fingerprint((shape.map_err(|error| *error as u8), theirs.map(|judged| judged.depth).ok()))
    });
}

#[test]
fn an_envelope_says_what_its_json_says() {
    Target { name: "envelope", seeds: seeds(), words: WORDS }.fuzz(|body| match Envelope::parse(body) {
        Ok(envelope) => {
            let value: Value =
                serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: taken, but no JSON"));
            assert_eq!(value["jsonrpc"], "2.0");
            assert_eq!(value["method"], &*envelope.method);
            assert!(value.get("result").is_none() && value.get("error").is_none());
            let id = envelope.id.map(|id| serde_json::from_str::<Value>(id.as_json()).unwrap());
            assert_eq!(value.get("id"), id.as_ref());
            let params = value.get("params").cloned().unwrap_or_default();
            let name = envelope.params.tool_name();
            assert_eq!(params.get("name").and_then(Value::as_str), name.as_deref());
            let arguments = envelope.params.arguments.as_ref();
            let read = arguments.map(|tree| serde_json::from_str(tree.text()).unwrap());
            assert_eq!(params.get("arguments"), read.as_ref());
            if let (Some(tree), Some(read)) = (arguments.filter(|tree| tree.check_members().is_ok()), read) {
                assert_eq!(tree.root().to_value(), read);
            }
            let meta = &envelope.params.meta;
            fingerprint((id.is_some(), name.is_some(), meta.first_problem(), meta.first_bad_option()))
        }
        Err((error, id)) => {
            assert!(matches!(error.code(), Code::ParseError | Code::InvalidRequest), "{error:?}");
            assert!(id.is_none_or(|id| serde_json::from_str::<Value>(id.as_json()).is_ok()));
            fingerprint((error as u8, id.is_some(), body.len().checked_ilog2().min(Some(8))))
        }
    });
}

#[test]
fn a_mirrored_header_means_one_text() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let seeds = ["get_weather", " x\t", "=?base64?w6k=?=", "=?base64??=", "=?BASE64?w6k=?="];
    let seeds = seeds.map(|text| text.as_bytes().to_vec()).into();
    let words = &["=?base64?", "?=", "w6k=", "====", "/w==", "get_weather"];
    Target { name: "sentinel", seeds, words }.fuzz(|value| {
        let decoded = decode_header(value);
        if let Some(text) = &decoded {
            let trimmed = std::str::from_utf8(value).unwrap().trim_matches([' ', '\t']);
            let sentinel = trimmed.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
            let written = sentinel.map_or_else(|| (**text).to_owned(), |_| STANDARD.encode(&**text));
            assert_eq!(written, sentinel.unwrap_or(trimmed), "two spellings of one text");
        }
        fingerprint((decoded.is_some(), decoded.map(|text| text.len().min(16)), value.first()))
    });
}
