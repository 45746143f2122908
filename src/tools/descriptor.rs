//! A tool as it stands in `tools/list`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Hints, Icon, Schema, Spec};
use crate::protocol::Revision;

/// One tool as each revision shows it: the JSON text of one object.
#[derive(Debug)]
pub(super) struct Descriptors {
    whole: Box<RawValue>,
    /// For the older revision that knows icons, where it differs: it has no headers that repeat arguments.
    older: Option<Box<RawValue>>,
    /// For the one before, which knows no icons, where that differs from both.
    bare: Option<Box<RawValue>>,
    /// For the revision that knows neither titles nor structured results.
    plain: Box<RawValue>,
}

impl Descriptors {
    /// Of a tool whose arguments have this schema, and the other one in older revisions if that differs.
    pub(super) fn new(
        spec: &Spec,
        (input, older): (&str, Option<&str>),
        output: Option<&Schema>,
        icons: &[Icon],
    ) -> serde_json::Result<Self> {
        let whole = Descriptor {
            name: spec.name,
            title: Some(spec.title),
            description: spec.about,
            input_schema: serde_json::from_str(input)?,
            output_schema: output.map(|output| serde_json::from_str(output.text())).transpose()?,
            annotations: Annotations { title: spec.title, hints: spec.hints },
            icons,
        };
        let titled = match older {
            Some(older) => Descriptor { input_schema: serde_json::from_str(older)?, ..whole },
            None => whole,
        };
        let bare = Descriptor { icons: &[], ..titled };
        let plain = Descriptor { title: None, output_schema: None, ..bare };
        let text = |descriptor: &Descriptor<'_>| serde_json::value::to_raw_value(descriptor);
        let differs = older.is_some() || !icons.is_empty();
        Ok(Self {
            whole: text(&whole)?,
            older: older.map(|_| text(&titled)).transpose()?,
            bare: differs.then(|| text(&bare)).transpose()?,
            plain: text(&plain)?,
        })
    }

    pub(super) fn of(&self, revision: Revision) -> &str {
        let whole = || self.whole.get();
        if !revision.has_structure() {
            self.plain.get()
        } else if !revision.has_icons() {
            self.bare.as_ref().map_or_else(whole, |bare| bare.get())
        } else if !revision.is_modern() {
            self.older.as_ref().map_or_else(whole, |older| older.get())
        } else {
            whole()
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
