//! Arguments that clients repeat in headers (`x-mcp-header`), so that whoever stands between can route by them.
//!
//! A property is annotated with the name of its header: `{"type": "string", "x-mcp-header": "Region"}` is repeated in
//! `Mcp-Param-Region`. Which are is worked out once, when the tool is registered; a tool without pays nothing.

use actix_web::http::header::HeaderName;
use serde_json::{Map, Value};

use crate::protocol::{Kind, Node, Tree};

/// The keyword.
const KEYWORD: &str = "x-mcp-header";
/// What the names of all such headers begin with.
const PREFIX: &str = "mcp-param-";
/// Keywords whose values are data, not schemas.
const DATA: [&str; 4] = ["const", "default", "enum", "examples"];
/// Keywords whose values map names to schemas.
const MAPS: [&str; 5] = ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];
/// Largest integer that every client can hold exactly: 2^53 − 1.
const MAX_INTEGER: f64 = 9_007_199_254_740_991.0;

/// One property that is repeated in a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirror {
    header: HeaderName,
    /// The names on the way to it.
    path: Vec<String>,
}

impl Mirror {
    /// The header.
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// What the property is in `arguments`; `None` if it is not there, or null.
    pub fn find<'t>(&self, arguments: &'t Tree<'_>) -> Option<Node<'t>> {
        let found = self.path.iter().try_fold(arguments.root(), |node, name| node.member(name));
        found.filter(|node| node.kind() != Kind::Null)
    }
}

/// Whether a header that reads `header` says what `argument` is.
///
/// What is none of the types that an annotated property may have fits no header, and no schema either: that is for the
/// schema to say.
pub fn says(header: &str, argument: Node<'_>) -> bool {
    match argument.kind() {
        Kind::String => argument.says(header),
        Kind::Bool => argument.text() == header,
        Kind::Number => match integer(argument.text()) {
            Some(number) => is_decimal(header) && integer(header) == Some(number),
            None => !is_integral(argument.text()),
        },
        Kind::Null | Kind::Object | Kind::Array => true,
    }
}

/// Whether a header has to stand beside `argument` at all.
pub fn is_mirrored(argument: Node<'_>) -> bool {
    match argument.kind() {
        Kind::String | Kind::Bool => true,
        Kind::Number => is_integral(argument.text()),
        Kind::Null | Kind::Object | Kind::Array => false,
    }
}

/// The integer that every client can hold.
fn integer(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.fract() == 0.0 && number.abs() <= MAX_INTEGER)
}

fn is_integral(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
}

/// Digits, perhaps behind a minus and before a fraction of nothing.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && all_digits(fraction) && fraction.bytes().all(|byte| byte == b'0')
}

/// Every annotated property of `schema`; none for most.
///
/// # Errors
/// [`MirrorError`]: clients have to drop a tool whose annotations break the rules, so it is not even registered.
pub(super) fn of_schema(schema: &Value) -> Result<Option<Box<[Mirror]>>, MirrorError> {
    let mut found = Vec::new();
    walk(schema, &mut Vec::new(), &mut found)?;
    for (at, mirror) in found.iter().enumerate() {
        if found.iter().take(at).any(|other: &Mirror| other.header == mirror.header) {
            return Err(MirrorError::Twice(mirror.header.as_str().to_owned()));
        }
    }
    Ok((!found.is_empty()).then(|| found.into()))
}

/// `schema` without annotations, as revisions know it that have none.
pub(super) fn without(schema: &Value) -> Value {
    let mut plain = schema.clone();
    strip(&mut plain);
    plain
}

fn strip(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    object.remove(KEYWORD);
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(strip);
    }
}

/// Goes down the properties of a schema that only names of properties lead to.
fn walk(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Mirror>) -> Result<(), MirrorError> {
    let Some(object) = schema.as_object() else { return Ok(()) };
    if let Some(name) = object.get(KEYWORD) {
        found.push(mirror(name, object, path)?);
    }
    for (keyword, part) in object {
        match (keyword.as_str(), part.as_object()) {
            ("properties", Some(properties)) => {
                for (name, property) in properties {
                    path.push(name.clone());
                    walk(property, path, found)?;
                    path.pop();
                }
            }
            _ => refuse_inside(keyword, part)?,
        }
    }
    Ok(())
}

fn mirror(name: &Value, property: &Map<String, Value>, path: &[String]) -> Result<Mirror, MirrorError> {
    let place = || path.join(".");
    if path.is_empty() {
        return Err(MirrorError::Place);
    }
    let header = name.as_str().filter(|name| is_token(name));
    let header = header.and_then(|name| format!("{PREFIX}{}", name.to_ascii_lowercase()).parse().ok());
    let header = header.ok_or_else(|| MirrorError::Name(place()))?;
    match property.get("type").and_then(Value::as_str) {
        Some("string" | "integer" | "boolean") => Ok(Mirror { header, path: path.to_vec() }),
        _ => Err(MirrorError::Type(place())),
    }
}

/// Nothing behind any other keyword is annotated: no client could say which value is meant.
fn refuse_inside(keyword: &str, part: &Value) -> Result<(), MirrorError> {
    match part {
        _ if DATA.contains(&keyword) => Ok(()),
        Value::Array(parts) => parts.iter().try_for_each(|part| refuse_inside("", part)),
        Value::Object(parts) if MAPS.contains(&keyword) => {
            parts.values().try_for_each(|part| refuse_inside("", part))
        }
        Value::Object(parts) if parts.contains_key(KEYWORD) => Err(MirrorError::Place),
        Value::Object(parts) => parts.iter().try_for_each(|(keyword, part)| refuse_inside(keyword, part)),
        _ => Ok(()),
    }
}

/// A token of RFC 9110, 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Why a schema's annotations are none (MCP 2026-07-28, `x-mcp-header`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// Not the name of a header.
    #[error("has an x-mcp-header at `{0}` that is not the name of a header")]
    Name(String),
    /// Neither text nor an integer nor a truth value, or perhaps something else too.
    #[error("has an x-mcp-header at `{0}`, whose type is none of string, integer and boolean alone")]
    Type(String),
    /// Two properties in one header, whatever the case of its name.
    #[error("has the header {0} twice")]
    Twice(String),
    /// Somewhere that more than names of properties leads to.
    #[error("has an x-mcp-header where no chain of properties leads to")]
    Place,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(properties: Value) -> Result<Vec<(String, String)>, MirrorError> {
        let schema = json!({ "type": "object", "properties": properties });
        let found = of_schema(&schema)?.unwrap_or_default();
        Ok(found.iter().map(|one| (one.header.to_string(), one.path.join("/"))).collect())
    }

    fn annotated(kind: &str, name: &str) -> Value {
        json!({ "type": kind, "x-mcp-header": name })
    }

    #[test]
    fn annotated_properties_are_found_however_deep_they_stand() {
        assert_eq!(of(json!({ "a": { "type": "string" } })), Ok(Vec::new()));
        let deep = json!({ "type": "object", "properties": { "id": annotated("integer", "Tenant-Id") } });
        let found = of(
            json!({ "region": annotated("string", "Region"), "tenant": deep, "x-mcp-header": { "type": "string" } }),
        );
        let expected = [("mcp-param-region", "region"), ("mcp-param-tenant-id", "tenant/id")];
        assert_eq!(found.unwrap(), expected.map(|(header, path)| (header.to_owned(), path.to_owned())));
        // Data that looks like an annotation is none.
        let data = json!({ "a": { "type": "object", "default": { "x-mcp-header": "A" }, "enum": [{ "x-mcp-header": "A" }] } });
        assert_eq!(of(data), Ok(Vec::new()));
    }

    #[test]
    fn names_that_are_no_headers_are_refused() {
        for name in
            [json!(""), json!("a b"), json!("a\r\nb"), json!("a:b"), json!("é"), json!(1), json!(null)]
        {
            let refused = of(json!({ "a": { "type": "string", "x-mcp-header": name } }));
            assert_eq!(refused, Err(MirrorError::Name("a".into())), "{name}");
        }
        let twice = json!({ "a": annotated("string", "Region"), "b": annotated("string", "rEGION") });
        assert_eq!(of(twice), Err(MirrorError::Twice("mcp-param-region".into())));
    }

    #[test]
    fn types_that_no_header_can_say_are_refused() {
        for kind in [json!("number"), json!("object"), json!("array"), json!(["string", "null"]), json!(null)]
        {
            let refused = of(json!({ "a": { "type": kind, "x-mcp-header": "A" } }));
            assert_eq!(refused, Err(MirrorError::Type("a".into())), "{kind}");
        }
        for kind in ["string", "integer", "boolean"] {
            assert_eq!(of(json!({ "a": annotated(kind, "A") })).unwrap().len(), 1);
        }
    }

    #[test]
    fn places_that_more_than_properties_lead_to_are_refused() {
        let one = annotated("string", "A");
        let inside = json!({ "type": "object", "properties": { "b": one } });
        for wrong in [
            json!({ "items": one }),
            json!({ "prefixItems": [one] }),
            json!({ "additionalProperties": one }),
            json!({ "allOf": [inside] }),
            json!({ "anyOf": [{ "not": inside }] }),
            json!({ "if": inside }),
            json!({ "then": inside }),
            json!({ "patternProperties": { "^a": one } }),
            json!({ "$defs": { "x-mcp-header": inside } }),
        ] {
            assert_eq!(of(json!({ "a": wrong })), Err(MirrorError::Place), "{wrong}");
            let mut root = wrong.clone();
            root["type"] = json!("object");
            assert_eq!(of_schema(&root), Err(MirrorError::Place), "{wrong}");
        }
        assert_eq!(of_schema(&json!({ "type": "object", "x-mcp-header": "A" })), Err(MirrorError::Place));
    }

    #[test]
    fn without_annotations_the_rest_is_as_it_was() {
        let schema =
            json!({ "type": "object", "properties": { "a": annotated("string", "A"), "x-mcp-header": {} } });
        let plain =
            json!({ "type": "object", "properties": { "a": { "type": "string" }, "x-mcp-header": {} } });
        assert_eq!(without(&schema), plain);
    }

    fn agrees(header: &str, argument: &str) -> bool {
        says(header, Tree::of_text(argument).unwrap().root())
    }

    #[test]
    fn integers_are_compared_as_numbers_and_within_what_clients_hold() {
        for (header, argument) in [
            ("42", "42"),
            ("42.0", "42"),
            ("42", "42.0"),
            ("42.000", "4.2e1"),
            ("-7", "-7"),
            ("007", "7"),
            ("-0", "0"),
            ("9007199254740991", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
        ] {
            assert!(agrees(header, argument), "{header} {argument}");
        }
        for (header, argument) in [
            ("43", "42"),
            ("42.5", "42"),
            ("4.2e1", "42"),
            ("+42", "42"),
            ("0x2a", "42"),
            ("", "0"),
            (".0", "0"),
            ("1.", "1"),
            ("inf", "1"),
            ("9007199254740992", "9007199254740992"),
            ("9007199254740992", "9007199254740991"),
            ("--1", "-1"),
        ] {
            assert!(!agrees(header, argument), "{header} {argument}");
        }
    }

    proptest! {
        #[test]
        fn a_header_says_exactly_one_value(text in any::<String>(), other in any::<String>(), number in -(1_i64 << 53) + 1..(1_i64 << 53), flag in any::<bool>()) {
            let value = Value::from(text.as_str()).to_string();
            prop_assert!(agrees(&text, &value));
            prop_assert_eq!(agrees(&other, &value), other == text);
            prop_assert!(agrees(&number.to_string(), &number.to_string()));
            prop_assert!(!agrees(&(number + 1).to_string(), &number.to_string()));
            prop_assert!(agrees(&flag.to_string(), &flag.to_string()));
            prop_assert!(!agrees(&(!flag).to_string(), &flag.to_string()));
        }
    }
}
