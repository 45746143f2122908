//! What can be read by URI: sources of resources, the registry of those that this server has, and the built-in
//! ones.
//!
//! A source is a family of resources below one prefix, for which one permission is needed. A new one is one file
//! that implements [`Source`] and one line where the server is put together.

mod audit;
mod descriptor;
mod files;
mod media;
mod registry;
mod source;
mod watch;

pub use audit::AuditViews;
pub use descriptor::{Audience, Descriptor};
pub use files::FileResources;
pub use registry::{Entry, Resources, ResourcesError};
pub use source::{Source, SourceSpec, Suggestions, Template};
pub use watch::watch;

pub use crate::protocol::{Icon, Resource, ResourceBody};
