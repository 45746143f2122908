//! What a tool is, the registry of those that this server has, and the built-in ones.
//!
//! A new tool is one file (arguments, output, [`Spec`], `call`, tests) and one line in `builtin.rs`.

mod argument;
mod bounds;
mod builtin;
mod error;
pub mod hygiene;
mod instance;
pub mod list_users;
mod registry;
mod schema;
mod secrets;
mod spec;
mod tool;
pub mod weather;

pub use bounds::BoundsError;
pub use builtin::{Parts, builtin};
pub use error::{ToolError, clean, clean_name};
pub use registry::{Entry, Registry, RegistryError};
pub use schema::{Schema, SchemaError};
pub use spec::{Hints, Spec};
pub use tool::{AnyTool, LocalFuture, Produced, Tool};
