//! How large and how costly a schema may be, decided once at registration.
//!
//! The validator does not memoise, so 27 subschemas that each name the next one twice take a second
//! per call (measured). Size, depth and number of subschemas do not stop that; the expanded cost does.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// Longest schema, bytes of its JSON text.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting of subschemas, the root being 1.
pub(super) const MAX_DEPTH: usize = 32;
/// Most subschemas, the root included.
pub(super) const MAX_SUBSCHEMAS: usize = 1_000;
/// Most subschemas that one validation may visit per instance level, with every `$ref` expanded.
pub(super) const MAX_COST: u64 = 10_000;

/// Keywords whose value is one schema; `true` where it applies to the same instance as its parent.
const ONE: [(&str, bool); 11] = [
    ("not", true),
    ("if", true),
    ("then", true),
    ("else", true),
    ("additionalProperties", false),
    ("unevaluatedProperties", false),
    ("propertyNames", false),
    ("items", false),
    ("unevaluatedItems", false),
    ("contains", false),
    ("contentSchema", false),
];
/// Keywords whose value is a list of schemas.
const LIST: [(&str, bool); 4] = [("allOf", true), ("anyOf", true), ("oneOf", true), ("prefixItems", false)];
/// Keywords whose value is an object of schemas.
const TABLE: [(&str, bool); 3] =
    [("dependentSchemas", true), ("properties", false), ("patternProperties", false)];
/// Keywords that hold schemas which apply nowhere by themselves.
const SHELF: [&str; 2] = ["$defs", "definitions"];

/// What is too much about a schema, or not to be known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// Too long.
    #[error("is {0} bytes long, more than {MAX_BYTES}")]
    Bytes(usize),
    /// Nested too deep.
    #[error("nests subschemas deeper than {MAX_DEPTH}")]
    Depth,
    /// Too many parts.
    #[error("has more than {MAX_SUBSCHEMAS} subschemas")]
    Subschemas,
    /// Short, but a validation would visit too many subschemas.
    #[error("visits more than {MAX_COST} subschemas a validation once every $ref is expanded")]
    Cost,
    /// A `$ref` that comes back to itself without going deeper into the instance.
    #[error("refers to itself without end at {0}")]
    Endless(String),
    /// A reference out of the document, or to nothing in it.
    #[error("refers to {0}, which is not in the schema itself")]
    Foreign(String),
    /// A keyword that we do not take in tools of our own.
    #[error("uses {0}, which is not supported here")]
    Unsupported(&'static str),
}

/// Holds `schema` against every bound.
///
/// # Errors
/// [`BoundsError`], the first that is found.
pub(super) fn check(schema: &Value) -> Result<(), BoundsError> {
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        return Err(BoundsError::Bytes(bytes));
    }
    let mut survey = Survey { root: schema, anchors: HashMap::new(), parts: HashSet::new() };
    survey.walk(schema, 1)?;
    let mut costs = Costs { survey: &survey, known: HashMap::new() };
    let mut total = 0;
    for part in std::iter::once(schema).chain(shelved(schema)) {
        total = costs.of(part, 0)?.max(total);
    }
    if total > MAX_COST { Err(BoundsError::Cost) } else { Ok(()) }
}

/// What one look at every part of the schema finds out.
struct Survey<'s> {
    root: &'s Value,
    anchors: HashMap<&'s str, &'s Value>,
    parts: HashSet<*const Value>,
}

impl<'s> Survey<'s> {
    fn walk(&mut self, schema: &'s Value, depth: usize) -> Result<(), BoundsError> {
        self.parts.insert(schema);
        if self.parts.len() > MAX_SUBSCHEMAS {
            return Err(BoundsError::Subschemas);
        }
        if depth > MAX_DEPTH {
            return Err(BoundsError::Depth);
        }
        let Some(object) = schema.as_object() else { return Ok(()) };
        // `$id` would move the base of every `$ref` below it; `$dynamicRef` depends on the way taken.
        for unsupported in ["$id", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "dependencies"] {
            if object.contains_key(unsupported) {
                return Err(BoundsError::Unsupported(unsupported));
            }
        }
        if let Some(anchor) = object.get("$anchor").and_then(Value::as_str) {
            self.anchors.insert(anchor, schema);
        }
        for (part, _) in applied(object) {
            self.walk(part, depth + 1)?;
        }
        for part in shelved(schema) {
            self.walk(part, depth + 1)?;
        }
        Ok(())
    }

    /// What a `$ref` names: a JSON pointer or an anchor of this document, nothing else.
    ///
    /// Percent escapes are refused, since the validator would read another name than we do, and so is a
    /// target that is data (below `default`, for example), which no bound has been held against.
    fn resolve(&self, reference: &str) -> Result<&'s Value, BoundsError> {
        let within = reference.strip_prefix('#').and_then(|fragment| match fragment {
            "" => Some(self.root),
            _ if fragment.starts_with('/') => self.root.pointer(fragment),
            _ => self.anchors.get(fragment).copied(),
        });
        let part = within
            .filter(|target| !reference.contains('%') && self.parts.contains(&std::ptr::from_ref(*target)));
        part.ok_or_else(|| BoundsError::Foreign(super::error::clean_to(reference, 100)))
    }
}

/// The cost of each part, each computed once.
struct Costs<'a, 's> {
    survey: &'a Survey<'s>,
    known: HashMap<*const Value, Progress>,
}

/// How far the computing of one part has come.
#[derive(Clone, Copy)]
enum Progress {
    /// Begun at this level of the instance.
    Begun(usize),
    Done(u64),
}

impl<'s> Costs<'_, 's> {
    /// Subschemas that validating against `schema` visits, itself included.
    ///
    /// A part that is reached again one instance level deeper counts as one there: how often that
    /// happens is bounded by the instance, not by the schema. (A schema that reaches itself twice for
    /// the same deeper value still doubles with the depth of the instance. Our own types make none;
    /// whoever takes schemas from outside must also bound the time.)
    fn of(&mut self, schema: &'s Value, level: usize) -> Result<u64, BoundsError> {
        let Some(object) = schema.as_object() else { return Ok(1) };
        match self.known.get(&std::ptr::from_ref(schema)) {
            Some(Progress::Done(cost)) => return Ok(*cost),
            Some(Progress::Begun(at)) if *at < level => return Ok(1),
            Some(Progress::Begun(_)) => return Err(BoundsError::Endless(name_of(object))),
            None => {}
        }
        self.known.insert(schema, Progress::Begun(level));
        let mut cost = 1_u64;
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let target = self.survey.resolve(reference)?;
            cost = cost.saturating_add(self.of(target, level)?);
        }
        for (part, in_place) in applied(object) {
            cost = cost.saturating_add(self.of(part, if in_place { level } else { level + 1 })?);
        }
        self.known.insert(schema, Progress::Done(cost));
        Ok(cost)
    }
}

/// How to call a part in a message: its reference, which every endless part has.
fn name_of(object: &Map<String, Value>) -> String {
    let name = object.get("$ref").and_then(Value::as_str).unwrap_or("its root");
    super::error::clean_to(name, 100)
}

/// Every subschema that `object` applies, and whether to the same instance as itself.
fn applied(object: &Map<String, Value>) -> impl Iterator<Item = (&Value, bool)> {
    let one = ONE.into_iter().filter_map(|(key, in_place)| Some((object.get(key)?, in_place)));
    let list = LIST.into_iter().flat_map(|(key, in_place)| {
        object.get(key).and_then(Value::as_array).into_iter().flatten().map(move |part| (part, in_place))
    });
    let table = TABLE.into_iter().flat_map(|(key, in_place)| {
        object
            .get(key)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(move |(_, part)| (part, in_place))
    });
    one.chain(list).chain(table)
}

/// The schemas that `schema` only keeps for others to refer to.
fn shelved(schema: &Value) -> impl Iterator<Item = &Value> {
    SHELF.into_iter().filter_map(|key| schema.get(key)?.as_object()).flat_map(Map::values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `levels` definitions, each naming the next one twice.
    fn doubling(levels: usize) -> Value {
        let mut defs = Map::new();
        for level in 0..levels {
            let next = format!("#/$defs/d{}", level + 1);
            defs.insert(format!("d{level}"), json!({ "allOf": [{ "$ref": next }, { "$ref": next }] }));
        }
        defs.insert(format!("d{levels}"), json!({ "type": "object" }));
        json!({ "type": "object", "allOf": [{ "$ref": "#/$defs/d0" }], "$defs": defs })
    }

    fn nested(depth: usize) -> Value {
        (1..depth).fold(json!({ "type": "object" }), |inner, _| json!({ "properties": { "in": inner } }))
    }

    #[test]
    fn a_schema_that_doubles_at_every_level_is_refused_though_it_is_short() {
        assert_eq!(check(&doubling(10)), Ok(()));
        assert_eq!(check(&doubling(26)), Err(BoundsError::Cost));
        assert_eq!(check(&doubling(200)), Err(BoundsError::Cost));
    }

    #[test]
    fn depth_is_refused_one_past_its_limit() {
        assert_eq!(check(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(BoundsError::Depth));
    }

    #[test]
    fn the_number_of_subschemas_is_refused_one_past_its_limit() {
        let wide = |parts: usize| json!({ "anyOf": vec![json!({}); parts - 1] });
        assert_eq!(check(&wide(MAX_SUBSCHEMAS)), Ok(()));
        assert_eq!(check(&wide(MAX_SUBSCHEMAS + 1)), Err(BoundsError::Subschemas));
    }

    #[test]
    fn length_is_refused_one_past_its_limit() {
        let frame = json!({ "description": "" }).to_string().len();
        let long = |bytes: usize| json!({ "description": "x".repeat(bytes - frame) });
        assert_eq!(check(&long(MAX_BYTES)), Ok(()));
        assert_eq!(check(&long(MAX_BYTES + 1)), Err(BoundsError::Bytes(MAX_BYTES + 1)));
    }

    #[test]
    fn recursion_is_fine_where_it_goes_deeper_and_refused_where_it_does_not() {
        let tree =
            json!({ "type": "object", "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } });
        assert_eq!(check(&tree), Ok(()));
        let circle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "anyOf": [{ "$ref": "#/$defs/a" }] } } });
        assert!(matches!(check(&circle), Err(BoundsError::Endless(_))));
        let idle_circle = json!({ "$defs": { "a": { "$ref": "#/$defs/a" } } });
        assert!(matches!(check(&idle_circle), Err(BoundsError::Endless(_))));
    }

    #[test]
    fn references_stay_within_the_document() {
        for reference in
            ["https://example.com/x.json", "file:///etc/passwd", "other.json#/a", "#/nowhere", "#gone"]
        {
            let schema = json!({ "properties": { "a": { "$ref": reference } } });
            assert_eq!(check(&schema), Err(BoundsError::Foreign(reference.into())));
        }
        let escaped = json!({ "$ref": "#/$defs/%61", "$defs": { "%61": {}, "a": {} } });
        assert_eq!(check(&escaped), Err(BoundsError::Foreign("#/$defs/%61".into())));
        let data = json!({ "$ref": "#/default", "default": { "type": "object" } });
        assert_eq!(check(&data), Err(BoundsError::Foreign("#/default".into())));
        assert_eq!(check(&json!({ "$ref": "#here", "$defs": { "a": { "$anchor": "here" } } })), Ok(()));
    }

    #[test]
    fn what_moves_references_is_refused_wherever_a_schema_stands_but_not_as_a_property() {
        let moved = json!({ "properties": { "region": { "type": "string", "$id": "elsewhere" } } });
        assert_eq!(check(&moved), Err(BoundsError::Unsupported("$id")));
        assert_eq!(check(&json!({ "properties": { "$id": {} } })), Ok(()));
    }
}
