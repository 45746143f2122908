//! The schema of a tool's arguments or result: made from its type, published as text, compiled once.

use jsonschema::{Draft, PatternOptions, Validator};
use schemars::{JsonSchema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Map, Value};

use super::{
    bounds::{self, BoundsError},
    instance::Instance,
    mirrored::MirrorError,
};
use crate::protocol::Tree;

/// The dialect that we speak, as a schema may name it.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Largest compiled `pattern`, bytes; the engine itself runs in linear time.
const PATTERN_SIZE: usize = 1 << 20;

/// One schema, JSON Schema draft 2020-12.
#[derive(Debug)]
pub struct Schema {
    text: Box<str>,
    value: Value,
    validator: Validator<Instance>,
}

impl Schema {
    /// The schema of arguments of type `T`, closed: a property that it does not name is refused.
    ///
    /// # Errors
    /// [`SchemaError`] for one that is not an object's, is over a bound or does not compile.
    pub fn input<T: JsonSchema>() -> Result<Self, SchemaError> {
        let mut schema = generate::<T>(SchemaSettings::draft2020_12().for_deserialize());
        if let Some(object) = schema.as_object_mut() {
            close(object);
        }
        Self::compile(schema)
    }

    /// The schema of results of type `T`.
    ///
    /// # Errors
    /// As [`Schema::input`].
    pub fn output<T: JsonSchema>() -> Result<Self, SchemaError> {
        Self::compile(generate::<T>(SchemaSettings::draft2020_12().for_serialize()))
    }

    /// What the type `T` says of itself, as it is read and not closed; nothing is checked.
    pub(super) fn bare<T: JsonSchema>() -> Value {
        generate::<T>(SchemaSettings::draft2020_12().for_deserialize())
    }

    /// A schema as its author wrote it; it is published byte for byte.
    ///
    /// # Errors
    /// As [`Schema::input`], and for text that is no JSON or has a member twice.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let tree = Tree::of_text(text).map_err(|error| SchemaError::Invalid(error.to_string()))?;
        Ok(Self { text: tree.text().into(), ..Self::compile(tree.root().to_value())? })
    }

    /// Checks `schema` against our bounds and compiles it.
    ///
    /// # Errors
    /// As [`Schema::input`].
    pub(super) fn compile(schema: Value) -> Result<Self, SchemaError> {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(SchemaError::NotAnObject);
        }
        if let Some(dialect) = schema.get("$schema")
            && dialect.as_str().map(|name| name.trim_end_matches('#')) != Some(DIALECT)
        {
            return Err(SchemaError::Dialect);
        }
        bounds::check(&schema)?;
        let validator = jsonschema::options_for::<Instance>()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(
                PatternOptions::regex().size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE),
            )
            .build(&schema)
            .map_err(|e| SchemaError::Invalid(super::error::clean_to(&e.masked().to_string(), 200)))?;
        Ok(Self { text: schema.to_string().into(), value: schema, validator })
    }

    /// Its JSON text, as it is published.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `instance` fits.
    pub fn fits(&self, instance: &Tree<'_>) -> bool {
        self.validator.is_valid(instance.root())
    }

    /// The first thing that is wrong with `instance`; nothing behind it has been looked at.
    pub(super) fn first_error<'i>(
        &'i self,
        instance: &'i Tree<'_>,
    ) -> Option<jsonschema::ValidationError<'i>> {
        self.validator.validate(instance.root()).err()
    }

    /// What is wrong with `instance`, one by one.
    pub(super) fn errors<'i>(
        &'i self,
        instance: &'i Tree<'_>,
    ) -> impl Iterator<Item = jsonschema::ValidationError<'i>> {
        self.validator.iter_errors(instance.root())
    }

    /// The schema as a value.
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// The part of the schema at that JSON pointer.
    pub(super) fn part(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer)
    }
}

/// The bare schema of `T`.
///
/// No `$schema`: where it is absent 2020-12 is meant (MCP 2026-07-28), while validators of some
/// clients know no other draft than their default and stop at one that is named.
fn generate<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let settings = settings.with(|s| {
        s.meta_schema = None;
        s.inline_subschemas = true;
        s.transforms.push(Box::new(RecursiveTransform(forget_rust_formats)));
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(object) = schema.as_object_mut()
        && object.get("title").and_then(Value::as_str) == Some(T::schema_name().as_ref())
    {
        // The name of a Rust type, which says nothing to a model.
        object.remove("title");
    }
    schema
}

/// Drops `format: "uint32"` and the like, which are no formats of JSON Schema and stop strict clients.
fn forget_rust_formats(schema: &mut schemars::Schema) {
    let rust =
        |format: &str| ["uint", "int", "float", "double"].iter().any(|start| format.starts_with(start));
    if schema.get("format").and_then(Value::as_str).is_some_and(rust) {
        schema.remove("format");
    }
}

/// Refuses what no part of the schema names, unless its author decided that already.
fn close(object: &mut Map<String, Value>) {
    if object.contains_key("additionalProperties") || object.contains_key("unevaluatedProperties") {
        return;
    }
    // Beside these, `additionalProperties` would refuse what they name.
    let composed = ["$ref", "allOf", "anyOf", "oneOf", "if"].iter().any(|key| object.contains_key(*key));
    let keyword = if composed { "unevaluatedProperties" } else { "additionalProperties" };
    object.insert(keyword.into(), Value::Bool(false));
}

/// Why a type's schema cannot be that of a tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Arguments and results are objects (MCP: the root has `type: "object"`).
    #[error("is not the schema of an object")]
    NotAnObject,
    /// A form has texts, numbers, truth values and choices, side by side.
    #[error("is not flat")]
    NotFlat,
    /// Written for another draft than ours.
    #[error("names another dialect than {DIALECT}")]
    Dialect,
    /// Too large, too costly or not self-contained.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// Annotations of headers that clients refuse.
    #[error(transparent)]
    Mirrors(#[from] MirrorError),
    /// Not a valid schema.
    #[error("does not compile: {0}")]
    Invalid(String),
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    fn fits(schema: &Schema, instance: &Value) -> bool {
        schema.fits(&Tree::of_text(&instance.to_string()).unwrap())
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Open {
        name: String,
        many: Option<u32>,
        inner: Inner,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        ratio: f64,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Either {
        Left { l: u8 },
        Right,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Node {
        next: Option<Box<Node>>,
    }

    #[test]
    fn an_input_schema_is_closed_inlined_and_free_of_rust() {
        let schema = Schema::input::<Open>().unwrap();
        let value: Value = serde_json::from_str(schema.text()).unwrap();
        assert_eq!(
            value,
            json!({
                "type": "object",
                "properties": {
                    "name": { "type": "string" },
                    "many": { "type": ["integer", "null"], "minimum": 0 },
                    "inner": {
                        "type": "object", "additionalProperties": false, "required": ["ratio"],
                        "properties": { "ratio": { "type": "number" } }
                    }
                },
                "required": ["name", "inner"],
                "additionalProperties": false
            })
        );
        assert!(fits(&schema, &json!({ "name": "a", "inner": { "ratio": 1 } })));
        assert!(!fits(&schema, &json!({ "name": "a", "inner": { "ratio": 1 }, "more": 1 })));
    }

    #[test]
    fn an_output_schema_stays_open_and_recursion_refers_to_itself_only() {
        let output = Schema::output::<Inner>().unwrap();
        assert!(!fits(&output, &json!({ "ratio": null })));
        let node = Schema::input::<Node>().unwrap();
        assert!(fits(&node, &json!({ "next": { "next": null } })));
        assert!(!fits(&node, &json!({ "next": { "next": 1 } })));
    }

    #[test]
    fn only_objects_are_arguments() {
        assert_eq!(Schema::input::<Vec<u8>>().unwrap_err(), SchemaError::NotAnObject);
        assert_eq!(Schema::input::<String>().unwrap_err(), SchemaError::NotAnObject);
        assert_eq!(Schema::input::<Either>().unwrap_err(), SchemaError::NotAnObject);
    }

    #[test]
    fn a_composed_schema_is_closed_without_refusing_what_its_parts_name() {
        let mut object = json!({ "type": "object", "oneOf": [{ "properties": { "a": {} } }] });
        close(object.as_object_mut().unwrap());
        let schema = Schema::compile(object).unwrap();
        assert!(fits(&schema, &json!({ "a": 1 })));
        assert!(!fits(&schema, &json!({ "b": 1 })));
    }

    #[test]
    fn what_the_linear_engine_cannot_match_does_not_register() {
        for pattern in ["(?=a)b", "(a)\\1", "(", "(?:a{1000}){1000}"] {
            let schema =
                json!({ "type": "object", "properties": { "a": { "type": "string", "pattern": pattern } } });
            assert!(matches!(Schema::compile(schema), Err(SchemaError::Invalid(_))), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_explodes_elsewhere_is_answered_at_once() {
        let schema =
            json!({ "type": "object", "properties": { "a": { "type": "string", "pattern": "^(a+)+$" } } });
        let schema = Schema::compile(schema).unwrap();
        let started = std::time::Instant::now();
        assert!(!fits(&schema, &json!({ "a": format!("{}!", "a".repeat(50_000)) })));
        assert!(started.elapsed() < std::time::Duration::from_secs(2));
    }

    #[test]
    fn a_schema_that_was_written_down_is_published_byte_for_byte() {
        let text = "{ \"type\": \"object\",\"properties\":{\"b\":{},\"a\":{\"const\":1.0}} }";
        let schema = Schema::parse(&format!(" {text}\n")).unwrap();
        assert_eq!(schema.text(), text);
        assert!(fits(&schema, &json!({ "a": 1 })) && !fits(&schema, &json!({ "a": 2 })));
        for wrong in ["", "[]", "{\"type\":\"object\",\"type\":\"object\"}", "{\"type\":\"string\"}"] {
            assert!(Schema::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_schema_may_name_our_dialect_and_no_other() {
        let named = |dialect: &str| Schema::compile(json!({ "$schema": dialect, "type": "object" }));
        assert!(named(DIALECT).unwrap().text().contains("2020-12"));
        assert_eq!(named("http://json-schema.org/draft-07/schema#").unwrap_err(), SchemaError::Dialect);
    }

    #[test]
    fn a_keyword_of_the_wrong_type_does_not_register() {
        let schema = json!({ "type": "object", "required": "city" });
        assert!(matches!(Schema::compile(schema), Err(SchemaError::Invalid(_))));
    }
}
