//! Arguments and results as the schema validator sees them: straight from the tree over their text.

use std::{borrow::Cow, sync::OnceLock};

use jsonschema::{
    JsonType,
    json::{Array, Json, Node as JsonNode, NodeIdentity, Object},
};
use jsonschema_value::LazyInstance;
use serde_json::{Number, Value};

use crate::protocol::{Children, Kind, Members, Node, Tree};

/// The representation of JSON that our schemas are compiled for.
#[derive(Debug)]
pub(super) struct Instance;

impl Json for Instance {
    type Node<'a> = Node<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = String;

    // A look-up reads the names one after the other, as going through all members does.
    const KEYS_PER_LOOKUP: usize = 1;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(buffer: &mut String, string: &str, f: impl FnOnce(Node<'_>) -> T) -> T {
        *buffer = Value::from(string).to_string();
        let tree = Tree::of_text(buffer).unwrap_or_default();
        f(tree.root())
    }
}

impl<'a> JsonNode<'a, Instance> for Node<'a> {
    type Object = Self;
    type Array = Self;
    type Number = Number;

    fn as_object(&self) -> Option<Self> {
        (self.kind() == Kind::Object).then_some(*self)
    }

    fn as_array(&self) -> Option<Self> {
        (self.kind() == Kind::Array).then_some(*self)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.string()
    }

    fn as_number(&self) -> Option<Number> {
        if self.kind() == Kind::Number { serde_json::from_str(self.text()).ok() } else { None }
    }

    fn as_boolean(&self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.text() == "true")
    }

    fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    fn is_number(&self) -> bool {
        self.kind() == Kind::Number
    }

    fn json_type(&self) -> JsonType {
        match self.kind() {
            Kind::Null => JsonType::Null,
            Kind::Bool => JsonType::Boolean,
            Kind::Number => JsonType::Number,
            Kind::String => JsonType::String,
            Kind::Array => JsonType::Array,
            Kind::Object => JsonType::Object,
        }
    }

    fn string_length(&self) -> Option<u64> {
        self.length_up_to(u64::MAX)
    }

    // No further than it takes to know: of a text that is far too long most is not even looked at.
    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let enough = if max == u64::MAX { min } else { max };
        self.length_up_to(enough).map(|length| (min..=max).contains(&length))
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Node::to_value(*self))
    }

    // An error carries the value that it is about, and we show none: it is made for whoever asks.
    fn lazy_value(&self) -> LazyInstance<'a> {
        LazyInstance::Deferred {
            bytes: self.text().as_bytes(),
            tag: 0,
            make: |text, _| serde_json::from_slice(text).unwrap_or_default(),
            cell: OnceLock::new(),
        }
    }

    fn identity(&self) -> Option<NodeIdentity> {
        let (tree, at) = self.place();
        Some(NodeIdentity::tagged(tree, u32::try_from(at).ok()?))
    }
}

impl<'a> Object<'a, Instance> for Node<'a> {
    type Node = Self;
    type MemberName = Cow<'a, str>;
    type MembersIter = Named<'a>;

    fn len(&self) -> usize {
        Node::len(*self)
    }

    fn get(&self, key: &Box<str>) -> Option<Self> {
        self.member(key)
    }

    fn members(&self) -> Named<'a> {
        Named(Node::members(*self))
    }
}

/// Members with their names as text.
pub(super) struct Named<'a>(Members<'a>);

impl<'a> Iterator for Named<'a> {
    type Item = (Cow<'a, str>, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.0.next()?;
        Some((name.string().unwrap_or_default(), value))
    }
}

impl<'a> Array<'a, Instance> for Node<'a> {
    type Node = Self;
    type ElementsIter = Children<'a>;

    fn len(&self) -> usize {
        Node::len(*self)
    }

    fn elements(&self) -> Children<'a> {
        Node::elements(*self)
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::json::conformance;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn it_keeps_what_the_validator_relies_on() {
        let text = conformance::document().to_string();
        conformance::assert_conformance::<Instance>(&Tree::of_text(&text).unwrap().root());
    }

    /// Schemas that use each kind of keyword: of objects, arrays, texts and numbers, composed and referring.
    fn schemas() -> Vec<Value> {
        vec![
            json!({ "type": "object", "required": ["a"], "additionalProperties": { "type": "number" } }),
            json!({ "properties": { "a": { "type": "string", "maxLength": 2, "pattern": "^[a-zé]*$" }, "b": { "multipleOf": 2 } } }),
            json!({ "items": { "type": "integer", "minimum": -1 }, "uniqueItems": true, "maxItems": 3 }),
            json!({ "anyOf": [{ "const": { "a": 1 } }, { "enum": ["a", 2, null, [1]] }, { "contains": { "type": "boolean" } }] }),
            json!({ "propertyNames": { "minLength": 2 }, "patternProperties": { "^a": { "not": {} } }, "maxProperties": 2 }),
            json!({ "$ref": "#/$defs/node", "$defs": { "node": { "type": ["object", "null"], "properties": { "a": { "$ref": "#/$defs/node" } } } } }),
            json!({ "if": { "required": ["a"] }, "then": { "unevaluatedProperties": false, "properties": { "a": {} } }, "else": { "unevaluatedItems": false, "prefixItems": [{}] } }),
        ]
    }

    fn instance() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3_i64..9).prop_map(Value::from),
            (-3_i64..9).prop_map(|n| Value::from(n as f64 / 2.0)),
            any::<u64>().prop_map(Value::from),
            "[aé\"\\n🦀]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let name = prop::sample::select(vec!["a", "b", "ab", "é", "\n"]).prop_map(str::to_owned);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_schema_judges_it_as_it_judges_the_value(value in instance()) {
            let text = value.to_string();
            let tree = Tree::of_text(&text).unwrap();
            for schema in schemas() {
                let theirs = jsonschema::options().build(&schema).unwrap();
                let ours = jsonschema::options_for::<Instance>().build(&schema).unwrap();
                prop_assert_eq!(ours.is_valid(tree.root()), theirs.is_valid(&value), "{} {}", schema, text);
                let errors = |list: Vec<String>| { let mut list = list; list.sort(); list };
                let told: Vec<String> = ours.iter_errors(tree.root()).map(|e| format!("{} {}", e.instance_path(), e.kind().keyword())).collect();
                let said: Vec<String> = theirs.iter_errors(&value).map(|e| format!("{} {}", e.instance_path(), e.kind().keyword())).collect();
                prop_assert_eq!(errors(told), errors(said));
            }
        }
    }
}
