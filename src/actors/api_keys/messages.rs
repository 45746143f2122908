//! What the actor of the keys can be told.

use std::collections::HashSet;

use actix::Message;

use crate::{actors::feed::Upto, domain::KeyId};

/// These keys have changed: close what workers hold of them. With none of them, only: the feed was read to
/// its end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Apply {
    /// The keys; every key, if `None`.
    pub(super) keys: Option<HashSet<KeyId>>,
    /// How far nothing is missing then; a caller's own change has none.
    pub(super) upto: Option<Upto>,
}

/// A key is over: say so, once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct NoteEnded;
