//! The MCP endpoint: from a request to the one path to a tool, and back.

mod answer;
mod call;
mod count;
mod dispatch;
mod endpoint;
mod era;
mod exchange;
mod refusal;

pub(crate) use dispatch::METHOD_LABELS;
pub(crate) use endpoint::routes;
