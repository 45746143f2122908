//! The MCP endpoint: from a request to the one path to a tool, and back.

mod answer;
mod batch;
mod call;
mod count;
mod detached;
mod dispatch;
mod endpoint;
mod era;
mod exchange;
mod large;
mod refusal;
mod settle;

pub(crate) use dispatch::METHOD_LABELS;
pub(crate) use endpoint::routes;
