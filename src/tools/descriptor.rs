//! A tool as it stands in `tools/list`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Hints, Icon, Schema, Spec};
use crate::protocol::Revision;

/// One tool as each revision shows it: the JSON text of one object.
#[derive(Debug)]
pub(super) struct Descriptors {
    /// For the revisions that know icons, if it has any.
    pictured: Option<Box<RawValue>>,
    whole: Box<RawValue>,
    /// For the revision that knows neither titles nor structured results.
    plain: Box<RawValue>,
}

impl Descriptors {
    pub(super) fn new(
        spec: &Spec,
        (input, output): (&Schema, Option<&Schema>),
        icons: &[Icon],
    ) -> serde_json::Result<Self> {
        let whole = Descriptor {
            name: spec.name,
            title: Some(spec.title),
            description: spec.about,
            input_schema: serde_json::from_str(input.text())?,
            output_schema: output.map(|output| serde_json::from_str(output.text())).transpose()?,
            annotations: Annotations { title: spec.title, hints: spec.hints },
            icons: &[],
        };
        let pictured = Descriptor { icons, ..whole };
        let pictured = (!icons.is_empty()).then(|| serde_json::value::to_raw_value(&pictured));
        let plain = Descriptor { title: None, output_schema: None, ..whole };
        Ok(Self {
            pictured: pictured.transpose()?,
            whole: serde_json::value::to_raw_value(&whole)?,
            plain: serde_json::value::to_raw_value(&plain)?,
        })
    }

    pub(super) fn of(&self, revision: Revision) -> &str {
        match &self.pictured {
            Some(pictured) if revision.has_icons() => pictured.get(),
            _ if revision.has_structure() => self.whole.get(),
            _ => self.plain.get(),
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
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    icons: &'a [Icon],
}

#[derive(Clone, Copy, Serialize)]
struct Annotations<'a> {
    title: &'a str,
    #[serde(flatten)]
    hints: Hints,
}
