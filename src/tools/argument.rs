//! What is wrong with arguments, as text that the calling model can act on.
//!
//! Values are never shown, since they may be secrets; names of properties are, escaped and cut.

use std::fmt::Write;

use jsonschema::{
    JsonTypeSet, ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

use super::{Schema, error::clean_to};
use crate::protocol::Tree;

/// Longest arguments, bytes, of which every mistake is looked for: it takes a multiple of what finding the first
/// one takes, and thousands of values are no mistake that a model corrects one by one.
const MAX_THOROUGH: usize = 4 * 1024;
/// Most errors that one answer names.
const MAX_ERRORS: usize = 10;
/// Longest answer, bytes.
const MAX_BYTES: usize = 4 * 1024;
/// Most characters shown of a path or of what is allowed.
const MAX_PART: usize = 120;

/// Everything that is wrong with `arguments`, within our bounds; `None` if nothing is.
pub(super) fn complaint(schema: &Schema, arguments: &Tree<'_>) -> Option<String> {
    if schema.fits(arguments) {
        return None;
    }
    let mut text = String::from("Invalid arguments: ");
    if arguments.text().len() > MAX_THOROUGH {
        if let Some(error) = schema.first_error(arguments) {
            text.push_str(&describe(schema, &error));
        }
        text.push_str("; there may be more, but of arguments this large only the first mistake is told");
        return Some(text);
    }
    for (index, error) in schema.errors(arguments).take(MAX_ERRORS + 1).enumerate() {
        let line = describe(schema, &error);
        let separator = if index == 0 { "" } else { "; " };
        if index == MAX_ERRORS || text.len() + separator.len() + line.len() > MAX_BYTES - 16 {
            text.push_str("; and more");
            break;
        }
        text.push_str(separator);
        text.push_str(&line);
    }
    Some(text)
}

/// One error: where, what, and what would be right.
fn describe(schema: &Schema, error: &ValidationError<'_>) -> String {
    let path = error.instance_path().as_str();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unknown(schema, error, unexpected)
        }
        Kind::Required { property } => {
            format!("{} is required", shown(&format!("{path}/{}", property.as_str().unwrap_or_default())))
        }
        kind => format!("{} {}", shown(path), clean_to(&demand(kind), MAX_PART * 2)),
    }
}

/// The properties nobody knows, and those that the schema knows at that place.
fn unknown(schema: &Schema, error: &ValidationError<'_>, unexpected: &[String]) -> String {
    let path = error.instance_path().as_str();
    let mut text = String::new();
    for (index, name) in unexpected.iter().take(MAX_ERRORS).enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{separator}{}", shown(&format!("{path}/{name}")));
    }
    text.push_str(if unexpected.len() == 1 {
        " is not a known property"
    } else {
        " are not known properties"
    });
    let parent = error.schema_path().as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
    let known: Vec<&str> = schema
        .part(&format!("{parent}/properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let known = if known.is_empty() { "none".into() } else { clean_to(&known.join(", "), MAX_PART * 2) };
    let _ = write!(text, " (known: {known})");
    text
}

/// A JSON pointer into the arguments, fit to be shown.
fn shown(path: &str) -> String {
    if path.is_empty() { "the arguments".into() } else { clean_to(path, MAX_PART) }
}

/// What the schema asks for; speaks of the schema's own limits only, never of the value.
fn demand(kind: &Kind) -> String {
    match kind {
        Kind::Type { kind: TypeKind::Single(one) } => format!("must be {}", article(one.as_str())),
        Kind::Type { kind: TypeKind::Multiple(many) } => format!("must be {}", either(*many)),
        Kind::MinLength { limit: 1 } => "must not be empty".into(),
        Kind::MinLength { limit } => format!("must be at least {limit} characters long"),
        Kind::MaxLength { limit } => format!("must be at most {limit} characters long"),
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::MinItems { limit } => format!("must have at least {limit} items"),
        Kind::MaxItems { limit } => format!("must have at most {limit} items"),
        Kind::MinProperties { limit } => format!("must have at least {limit} properties"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} properties"),
        Kind::UniqueItems => "must not hold the same item twice".into(),
        Kind::Enum { options } => format!("must be one of {options}"),
        Kind::Constant { expected_value } => format!("must be {expected_value}"),
        Kind::Pattern { pattern } => format!("must match the pattern {pattern}"),
        Kind::Format { format } => format!("must be of the format {format}"),
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => "fits none of the allowed forms".into(),
        Kind::OneOfMultipleValid { .. } => "fits more than one of the forms of which it must fit one".into(),
        Kind::PropertyNames { .. } => "has a property whose name is not allowed".into(),
        Kind::FalseSchema => "is not allowed".into(),
        Kind::AdditionalItems { .. } | Kind::UnevaluatedItems { .. } => "has too many items".into(),
        other => format!("does not satisfy {}", other.keyword()),
    }
}

/// `a string`, `an object`, `null`.
fn article(name: &str) -> String {
    match name {
        "null" => name.into(),
        "array" | "integer" | "object" => format!("an {name}"),
        _ => format!("a {name}"),
    }
}

/// `a string or null`: null last, as one says it.
fn either(types: JsonTypeSet) -> String {
    let mut names: Vec<&str> = types.iter().map(|one| one.as_str()).collect();
    names.sort_by_key(|name| *name == "null");
    names.into_iter().map(article).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::compile(json!({
            "type": "object",
            "properties": {
                "city": { "type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[a-z]*$" },
                "page": { "type": ["integer", "null"], "minimum": 1 },
                "unit": { "enum": ["c", "f"] },
                "near": { "type": "object", "properties": { "lat": {} }, "additionalProperties": false }
            },
            "required": ["city"],
            "additionalProperties": false
        }))
        .unwrap()
    }

    fn complain(schema: &Schema, arguments: &Value) -> Option<String> {
        complaint(schema, &Tree::of_text(&arguments.to_string()).unwrap())
    }

    fn told(arguments: Value) -> String {
        complain(&schema(), &arguments).unwrap()
    }

    #[test]
    fn arguments_that_fit_have_nothing_said_of_them() {
        assert_eq!(complain(&schema(), &json!({ "city": "oslo", "page": null, "unit": "c" })), None);
    }

    #[test]
    fn each_mistake_is_named_with_its_place_and_what_would_be_right() {
        for (arguments, text) in [
            (json!({}), "/city is required"),
            (json!([]), "the arguments must be an object"),
            (json!({ "city": 7 }), "/city must be a string"),
            (json!({ "city": "" }), "/city must not be empty"),
            (json!({ "city": "abcdef" }), "/city must be at most 5 characters long"),
            (json!({ "city": "A" }), "/city must match the pattern ^[a-z]*$"),
            (json!({ "city": "a", "page": "x" }), "/page must be an integer or null"),
            (json!({ "city": "a", "page": 0 }), "/page must be at least 1"),
            (json!({ "city": "a", "unit": "k" }), "/unit must be one of [\"c\",\"f\"]"),
            (
                json!({ "city": "a", "citty": 1 }),
                "/citty is not a known property (known: city, near, page, unit)",
            ),
            (json!({ "city": "a", "near": { "lon": 1 } }), "/near/lon is not a known property (known: lat)"),
        ] {
            assert_eq!(told(arguments), format!("Invalid arguments: {text}"));
        }
        let both = told(json!({ "city": 7, "citty": 1 }));
        assert!(
            both.contains("/city must be a string") && both.contains("; ") && both.contains("/citty is not")
        );
    }

    #[test]
    fn no_value_is_ever_shown() {
        for arguments in [
            json!({ "city": "HUNTER2-SECRET" }),
            json!({ "city": ["HUNTER2-SECRET"] }),
            json!({ "city": "a", "unit": "HUNTER2-SECRET" }),
            json!({ "city": "a", "page": "HUNTER2-SECRET" }),
            json!({ "city": "a", "near": "HUNTER2-SECRET" }),
            json!("HUNTER2-SECRET"),
            json!({ "city": "a", "more": "HUNTER2-SECRET" }),
        ] {
            assert!(!told(arguments).contains("HUNTER2"));
        }
    }

    #[test]
    fn ten_errors_are_told_and_of_more_only_that_there_are_more() {
        let properties: serde_json::Map<_, _> =
            (0..12).map(|n| (format!("p{n:02}"), json!({ "type": "string" }))).collect();
        let schema = Schema::compile(json!({ "type": "object", "properties": properties })).unwrap();
        let wrong =
            |count: usize| Value::Object((0..count).map(|n| (format!("p{n:02}"), json!(1))).collect());
        let ten = complain(&schema, &wrong(10)).unwrap();
        assert_eq!(ten.matches("must be a string").count(), 10);
        assert!(!ten.contains("more"));
        let eleven = complain(&schema, &wrong(11)).unwrap();
        assert_eq!(eleven.matches("must be a string").count(), 10);
        assert!(eleven.ends_with("; and more"));
    }

    #[test]
    fn hostile_names_make_neither_a_long_nor_a_harmful_answer() {
        let long: serde_json::Map<_, _> =
            (0..5_000).map(|n| (format!("{n}\u{1b}[2J\n{}", "é\u{202e}".repeat(400)), json!(1))).collect();
        let text = told(Value::Object(long));
        assert!(text.len() <= MAX_BYTES, "{}", text.len());
        assert!(text.chars().all(super::super::error::is_visible));
    }

    /// Any JSON of up to three levels whose texts hold `§`, which our own texts never do.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "§\\PC{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 40, 8, |inner| {
            let names = prop_oneof![
                Just("city".to_owned()),
                Just("near".into()),
                Just("unit".into()),
                "[a-zé~/\\p{Cc}\u{202e}]{0,12}"
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::hash_map(names, inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered_briefly_harmlessly_and_without_its_values(arguments in any_json()) {
            let schema = schema();
            let text = complain(&schema, &arguments);
            prop_assert_eq!(text.is_none(), schema.fits(&Tree::of_text(&arguments.to_string()).unwrap()));
            let text = text.unwrap_or_default();
            prop_assert!(text.len() <= MAX_BYTES);
            prop_assert!(!text.contains('§'));
            prop_assert!(text.chars().all(super::super::error::is_visible));
        }
    }
}
