//! A form that a person fills in: the flat schema of a type, and the answers that fit it.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Said;
use crate::{
    protocol::Tree,
    tools::schema::{Schema, SchemaError},
};

/// What a member of a form may be (MCP, `PrimitiveSchemaDefinition`).
const PRIMITIVES: [&str; 4] = ["string", "number", "integer", "boolean"];

/// The form of `T`.
pub(super) struct Form<T> {
    schema: Schema,
    fits: PhantomData<T>,
}

impl<T: DeserializeOwned> Form<T> {
    /// # Errors
    /// [`SchemaError`]: `T` is no flat object.
    pub(super) fn of() -> Result<Self, SchemaError>
    where
        T: JsonSchema,
    {
        let whole = Schema::bare::<T>();
        let members = whole.get("properties").and_then(Value::as_object).ok_or(SchemaError::NotAnObject)?;
        let members = members.iter().map(|(name, member)| Some((name.clone(), flat(member)?)));
        let members = members.collect::<Option<Map<_, _>>>().ok_or(SchemaError::NotFlat)?;
        // One in which nothing is required says so.
        let required = whole.get("required").cloned().unwrap_or_else(|| json!([]));
        let schema = json!({ "type": "object", "properties": members, "required": required });
        Ok(Self { schema: Schema::compile(schema)?, fits: PhantomData })
    }

    /// As the client is sent it.
    pub(super) fn schema(&self) -> Value {
        self.schema.part("").cloned().unwrap_or_default()
    }

    /// What a person said; `None` if the answer is none to this form.
    pub(super) fn read(&self, answer: &str) -> Option<Said<T>> {
        let answer = Tree::of_text(answer).ok()?;
        match &*answer.root().member("action")?.string()? {
            "accept" => {
                let content = answer.root().member("content")?.text();
                if !self.schema.fits(&Tree::of_text(content).ok()?) {
                    return None;
                }
                serde_json::from_str(content).ok().map(Said::Accepted)
            }
            "decline" => Some(Said::Declined),
            "cancel" => Some(Said::Cancelled),
            _ => None,
        }
    }
}

/// A member as forms have it: whatever may be left out is left out, and not null. `None` if it is nested.
fn flat(member: &Value) -> Option<Value> {
    let mut member = member.clone();
    let object = member.as_object_mut()?;
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [one] = kinds.as_slice() {
            let one = one.clone();
            object.insert("type".into(), one);
        }
    }
    let kind = object.get("type")?.as_str()?;
    let is_choice = || {
        let items = object.get("items").and_then(Value::as_object);
        items.is_some_and(|items| items.contains_key("enum") || items.contains_key("anyOf"))
    };
    (PRIMITIVES.contains(&kind) || (kind == "array" && is_choice())).then_some(member)
}
