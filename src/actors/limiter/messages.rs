//! What the limiter's actor can be asked.

use std::sync::Arc;

use actix::Message;

use super::{
    Scope,
    bucket::{Bucket, Class},
    fleet::Wanted,
    table::Id,
};
use crate::store::StoreError;

/// Make the bucket of an identity that has none yet.
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<Bucket>>")]
pub(super) struct Open {
    pub(super) scope: Scope,
    pub(super) id: Id,
    pub(super) class: Class,
}

/// Ask the store for what is wanted of a shared bucket; whoever wants the same meanwhile waits for the same answer.
/// A store that cannot be reached is no error: then it is known to be lost.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), StoreError>")]
pub(super) struct Lease(pub(super) Wanted);

/// Keep everything that has changed, then say so.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Close {
    pub(super) done: tokio::sync::oneshot::Sender<()>,
}
