//! Portcullis: a secure MCP server, as a library.

pub mod actors;
pub mod auth;
pub mod domain;
pub mod edge;
pub mod error;
pub mod house;
mod mcp;
pub mod policy;
pub mod protocol;
pub mod store;
pub mod telemetry;
pub mod tools;

