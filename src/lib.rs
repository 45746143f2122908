//! Portcullis: a secure MCP server, as a library.

pub mod actors;
pub mod domain;
pub mod error;
pub mod settings;
