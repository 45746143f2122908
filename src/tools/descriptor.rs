//! A tool as it stands in `tools/list`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Hints, Schema, Spec};
use crate::protocol::Revision;

/// One tool as each revision shows it: the JSON text of one object.
#[derive(Debug)]
pub(super) struct Descriptors {
    whole: Box<RawValue>,
    /// For the older revisions that know both, where it differs: they have no headers that repeat arguments.
    older: Option<Box<RawValue>>,
    /// For the revision that knows neither titles nor structured results.
    plain: Box<RawValue>,
}

impl Descriptors {
    /// Of a tool whose arguments have this schema, and the other one in older revisions if that differs.
    pub(super) fn new(
        spec: &Spec,
        (input, older): (&str, Option<&str>),
        output: Option<&Schema>,
    ) -> serde_json::Result<Self> {
        let whole = Descriptor {
            name: spec.name,
            title: Some(spec.title),
            description: spec.about,
            input_schema: serde_json::from_str(input)?,
            output_schema: output.map(|output| serde_json::from_str(output.text())).transpose()?,
            annotations: Annotations { title: spec.title, hints: spec.hints },
        };
        let titled = match older {
            Some(older) => Descriptor { input_schema: serde_json::from_str(older)?, ..whole },
            None => whole,
        };
        let plain = Descriptor { title: None, output_schema: None, ..titled };
        Ok(Self {
            whole: serde_json::value::to_raw_value(&whole)?,
            older: older.map(|_| serde_json::value::to_raw_value(&titled)).transpose()?,
            plain: serde_json::value::to_raw_value(&plain)?,
        })
    }

    pub(super) fn of(&self, revision: Revision) -> &str {
        match &self.older {
            _ if !revision.has_structure() => self.plain.get(),
            Some(older) if !revision.is_modern() => older.get(),
            _ => self.whole.get(),
        }
    }
}

/// The members in the order that the specification shows.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    description: &'a str,
    input_schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_schema: Option<&'a RawValue>,
    annotations: Annotations<'a>,
}

#[derive(Clone, Copy, Serialize)]
struct Annotations<'a> {
    title: &'a str,
    #[serde(flatten)]
    hints: Hints,
}
