//! Portcullis: a secure MCP server, as a library.

pub mod actors;
mod admin;
pub mod app;
pub mod auth;
pub mod cli;
mod credentials;
pub mod domain;
pub mod edge;
pub mod error;
mod files;
pub mod house;
mod mcp;
mod oauth;
pub mod policy;
pub mod prompts;
pub mod protocol;
pub mod resources;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod tools;
