//! Prompts: what clients offer people to begin with. Those of the operator stand in files beside the settings and
//! are read again when they change; those of a program that is built on this library are code.
//!
//! A new one of the operator is one file in `settings/prompts`; one of a program implements [`Prompt`].

mod file;
mod fill;
mod folder;
mod prompt;
mod reader;
mod reload;
mod set;
mod spec;

pub use folder::{Folder, Look};
pub use prompt::{Block, Message, Prompt, Role, Values};
pub use reload::{Reloader, Watch};
pub use set::{Entry, Prompts, Set};
pub use spec::{Argument, PromptSpec};

pub use crate::protocol::Icon;
