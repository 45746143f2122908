//! What may change under a client that has looked: lists, and single resources.

use std::sync::Arc;

/// Something that a client may have asked to be told of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// Which tools there are, or who may call them.
    Tools,
    /// Which prompts there are, or what they say.
    Prompts,
    /// Which resources there are.
    Resources,
    /// What the resource of this URI holds.
    Resource(Arc<str>),
}
