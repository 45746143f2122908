//! The audit log as `audit query --json` prints it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::home::Home;

/// One record, as far as these tests look at it.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    /// Which chain and place.
    pub(crate) chain: String,
    /// Place in the chain, from 1.
    pub(crate) seq: u64,
    /// The stable code.
    pub(crate) event: String,
    /// How it ended.
    pub(crate) outcome: String,
    /// Why, if not as asked.
    pub(crate) reason: Option<String>,
    /// Who.
    pub(crate) principal: Option<Value>,
    /// The tool as the client named it.
    pub(crate) tool: Option<String>,
    /// The permission that was missing.
    pub(crate) missing: Option<String>,
    /// Which request.
    pub(crate) request_id: Option<String>,
}

/// Every record that `audit query` finds with these further arguments, oldest first.
pub(crate) async fn query(home: &Home, further: &[&str]) -> Vec<Record> {
    let arguments = [&["audit", "query", "--since", "24h", "--json"], further].concat();
    let lines = home.ok(&arguments).await;
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The one record of a request; that its credential was seen for the first time is a record of its own.
pub(crate) async fn of_request(home: &Home, request_id: &str) -> Record {
    let mut found = query(home, &["--request-id", request_id]).await;
    found.retain(|record| record.event != "auth.succeeded");
    assert_eq!(found.len(), 1, "records of request {request_id}: {found:?}");
    found.remove(0)
}

/// Asserts that every one of these requests has exactly one `tool.called` record with outcome `ok`.
pub(crate) async fn hold_each_of(home: &Home, answered: &[String]) {
    let mut times = HashMap::new();
    for record in query(home, &["--event", "tool.called", "--outcome", "ok"]).await {
        *times.entry(record.request_id.unwrap()).or_insert(0_u32) += 1;
    }
    let lost: Vec<_> = answered.iter().filter(|id| !times.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} of {} answered calls have no record: {lost:?}", lost.len(), answered.len());
    let twice: Vec<_> = answered.iter().filter(|id| times[*id] > 1).collect();
    assert!(twice.is_empty(), "recorded more than once: {twice:?}");
}
