//! What the limiter's actor can be asked.

use std::sync::Arc;

use actix::Message;

use super::{
    Scope,
    bucket::{Bucket, Class},
    table::Id,
};

/// Make the bucket of an identity that has none yet.
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<Bucket>>")]
pub(super) struct Open {
    pub(super) scope: Scope,
    pub(super) id: Id,
    pub(super) class: Class,
}

/// Keep everything that has changed, then say so.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Close {
    pub(super) done: tokio::sync::oneshot::Sender<()>,
}
