//! A task as its client reads it.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{
    actors::tasks::{State, View, status},
    house::TaskRules,
    store::TaskEnd,
};

/// The members that a task always has.
pub(super) fn seed(id: &str, view: &View, rules: &TaskRules) -> String {
    let (word, message) = match &view.state {
        State::Working(said) => ("working", said.as_deref()),
        State::Asks(_) => ("input_required", None),
        State::Ended(ended) => (status(ended.how), ended.message.as_deref()),
    };
    let message =
        message.map_or_else(String::new, |text| format!("\"statusMessage\":{},", Value::from(text)));
    let ttl = view.until.millis().saturating_sub(view.created_at.millis());
    format!(
        "\"taskId\":{},\"status\":\"{word}\",{message}\"createdAt\":\"{}\",\"lastUpdatedAt\":\"{}\",\"ttlMs\":{ttl},\
         \"pollIntervalMs\":{}",
        Value::from(id),
        view.created_at,
        view.updated_at,
        rules.poll_interval.as_millis(),
    )
}

/// The same, with what it asks or has come to.
pub(super) fn whole(id: &str, view: &View, rules: &TaskRules) -> String {
    let mut members = seed(id, view, rules);
    // Writing into a String cannot fail, here and below.
    let _written = match &view.state {
        State::Working(_) => Ok(()),
        State::Asks(questions) => {
            let all: Vec<String> = questions
                .iter()
                .map(|one| {
                    let method = json!(one.method);
                    format!("{}:{{\"method\":{method},\"params\":{}}}", json!(one.shown_as), one.params)
                })
                .collect();
            write!(members, ",\"inputRequests\":{{{}}}", all.join(","))
        }
        State::Ended(ended) => match ended.how {
            TaskEnd::Completed => write!(members, ",\"result\":{}", ended.body),
            TaskEnd::Failed => write!(members, ",\"error\":{}", ended.body),
            TaskEnd::Cancelled => Ok(()),
        },
    };
    members
}
