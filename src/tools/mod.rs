//! What a tool is, the registry of those that this server has, and the built-in ones.
//!
//! A new tool is one file (arguments, output, [`Spec`], `call`, tests) and one line in `builtin.rs`.

mod argument;
mod ask;
mod bounds;
mod builtin;
mod call;
pub mod delete_file;
mod descriptor;
mod error;
pub mod files;
pub mod get_security_audit;
pub mod hygiene;
mod instance;
pub mod list_files;
pub mod list_users;
pub mod mirrored;
mod progress;
pub mod read_file;
mod registry;
mod reply;
mod schema;
mod secrets;
mod spec;
mod tool;
pub mod weather;
pub mod write_file;

pub use ask::{Answers, Ask, Asking, Question, Root, Said, TASKS_EXTENSION, declares_tasks};
pub use bounds::BoundsError;
pub use builtin::{Parts, builtin};
pub use call::Call;
pub(crate) use error::clean_to;
pub use error::{ToolError, clean, clean_name};
pub use progress::{LogLine, Note, Progress, Step, Wanted};
pub use registry::{Entry, Registry, RegistryError};
pub use reply::{Beside, Produced, Reply, Shown, Written};
pub use schema::{Schema, SchemaError};
pub use spec::{Hints, InTask, Spec};
pub use tool::{AnyTool, LocalFuture, Tool};

pub use crate::protocol::{Content, Icon, Link, LogLevel, Resource, ResourceBody, Trace};
