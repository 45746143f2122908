//! The reader against its bounds, and against `serde_json`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn read(body: &[u8]) -> Result<Raw<'_>, WireError> {
    let mut reader = Reader::new(body)?;
    let value = reader.value()?;
    reader.end()?;
    Ok(value)
}

fn refused(body: &[u8]) -> bool {
    read(body).is_err()
}

#[test]
fn the_deepest_nesting_passes_and_one_more_does_not() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n)).into_bytes();
    assert!(!refused(&nested(MAX_DEPTH)));
    assert!(refused(&nested(MAX_DEPTH + 1)));
    assert!(refused(&nested(2_000_000)));
    let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n)).into_bytes();
    assert!(!refused(&objects(MAX_DEPTH)));
    assert!(refused(&objects(MAX_DEPTH + 1)));
}

#[test]
fn each_closing_bracket_must_be_that_of_its_opening_one() {
    let mixed = |n: usize| format!("{}{}", "[{\"a\":".repeat(n), "}]".repeat(n));
    assert!(refused(mixed(64).as_bytes()), "a value is missing inside");
    let mixed = |n: usize| format!("{}[]{}", "[{\"a\":".repeat(n), "}]".repeat(n));
    assert!(!refused(mixed(63).as_bytes()));
    for body in ["[}", "{]", "[{]}", "[[{}]", "{\"a\":[}", "[1,]", "{\"a\":1,}", "[,1]", "]", "}"] {
        assert!(refused(body.as_bytes()), "{body}");
    }
}

#[test]
fn brackets_in_strings_do_not_count() {
    let text = format!("\"{}\"", "[{,".repeat(20_000));
    assert!(!refused(text.as_bytes()));
    assert!(!refused(br#""\"[[\\""#));
}

#[test]
fn too_many_values_are_refused() {
    assert!(!refused(format!("[{}]", vec!["1"; MAX_NODES].join(",")).as_bytes()));
    assert!(refused(format!("[{}]", vec!["1"; MAX_NODES + 1].join(",")).as_bytes()));
}

#[test]
fn the_time_for_numbers_grows_with_their_length_and_not_with_its_square() {
    // Parsed again at each digit, each of these takes hours.
    for text in ["1".repeat(2_000_000), format!("0.{}", "1".repeat(2_000_000))] {
        assert_eq!(refused(text.as_bytes()), !text.contains('.'));
    }
    assert!(refused(format!("[{}1]", "1e1,".repeat(700_000)).as_bytes()));
}

#[test]
fn encodings_and_escapes_that_no_reader_agrees_on_are_refused() {
    for body in [
        &b"\xff"[..],
        b"\"\xc0\xaf\"",
        b"\xef\xbb\xbf{}",
        b"{\0}\xfe",
        br#""\ud800""#,
        br#""\udc00x""#,
        br#""\ud800\u0041""#,
        br#""\u12g4""#,
        br#""\u+123""#,
        br#""\u""#,
        br#""\x41""#,
        b"\"open",
        b"\"a\nb\"",
        br#""\"#,
        b"1e400",
        b"[-1E999]",
        b"01",
        b"-",
        b"1.",
        b".5",
        b"+1",
        b"1e",
        b"truth",
        b"nul",
        b"1 2",
        b"1\0",
        b"\xc2\xa01",
        b"",
    ] {
        assert!(refused(body), "{}", body.escape_ascii());
    }
    for body in [
        &br#""\ud83d\ude00""#[..],
        b"true",
        b"[false,1e3,-2.5E-3,-0,0.0]",
        br#"{"e":"1e999"}"#,
        b"\"\"",
        b" \t\r\n{ \"a\" : [ ] } ",
    ] {
        assert!(!refused(body), "{}", body.escape_ascii());
    }
}

/// Tokens of which JSON is made, and some of which it is not.
const TOKENS: [&str; 34] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"b\"",
    "\"\\u0061\"",
    "\"\\n\"",
    "\"\\ud83d\\ude00\"",
    "\"é\"",
    "\"",
    "\\",
    "1",
    "-0",
    "1.5",
    "2e3",
    "01",
    "-",
    "true",
    "false",
    "null",
    "nul",
    " ",
    "\n",
    "\t",
    "\u{b}",
    "{\"a\":1}",
    "[1,2]",
    "{}",
    "[]",
    "\"\\/\\b\\f\"",
    "1E-2",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever is made of JSON's tokens: both take it, or both refuse it.
    #[test]
    fn it_takes_what_serde_json_takes_and_nothing_else(tokens in prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..12)) {
        let text = tokens.concat();
        let theirs = serde_json::from_str::<Value>(&text);
        prop_assert_eq!(read(text.as_bytes()).is_ok(), theirs.is_ok(), "{}", text);
    }

    /// Valid JSON with one byte changed, taken away or doubled.
    #[test]
    fn one_wrong_byte_is_judged_as_serde_json_judges_it(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        match how {
            0 => text[at] = byte,
            1 => drop(text.remove(at)),
            _ => text.insert(at, text[at]),
        }
        // Half a surrogate pair is the one thing in which we are stricter, and serde_json refuses it in a `Value` too.
        prop_assert_eq!(read(&text).is_ok(), serde_json::from_slice::<Value>(&text).is_ok(), "{}", text.escape_ascii());
    }

    /// What is taken means the same, and each member's raw text is that member.
    #[test]
    fn members_are_those_that_serde_json_sees(value in json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let raw = read(text.as_bytes()).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Value>(raw.text()).unwrap(), &value);
        let string = raw.string();
        prop_assert_eq!(string.as_deref(), value.as_str());
        if let Some(object) = value.as_object() {
            let mut seen = serde_json::Map::new();
            let mut reader = Reader::new(text.as_bytes()).unwrap();
            reader.members(|reader, name| {
                let raw = reader.value()?;
                seen.insert(name.string().unwrap().into_owned(), serde_json::from_str(raw.text()).unwrap());
                Ok(())
            }).unwrap();
            prop_assert_eq!(&seen, object);
            reader.end().unwrap();
        }
    }
}

/// JSON of some depth, with strings that need escapes.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}
