//! The MCP endpoint: from a request to the one path to a tool, and back.

mod answer;
mod audience;
mod batch;
mod call;
mod completion;
mod count;
mod detached;
mod dispatch;
mod endpoint;
mod era;
mod events;
mod exchange;
mod guarded;
mod large;
mod listen;
mod mirrored;
mod pace;
mod page;
mod prompts;
mod refusal;
mod resources;
mod rounds;
mod sessions;
mod settle;
mod stdio;
mod stream;
mod tasks;
mod telling;
mod tools;
mod via;

pub(crate) use dispatch::METHOD_LABELS;
pub(crate) use endpoint::routes;
pub(crate) use stdio::Session;
