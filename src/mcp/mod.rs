//! The MCP endpoint: from a request to the one path to a tool, and back.

mod answer;
mod batch;
mod call;
mod count;
mod detached;
mod dispatch;
mod endpoint;
mod era;
mod events;
mod exchange;
mod large;
mod listen;
mod refusal;
mod rounds;
mod settle;
mod stream;

pub(crate) use dispatch::METHOD_LABELS;
pub(crate) use endpoint::routes;
