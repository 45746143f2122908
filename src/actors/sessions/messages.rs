//! What the sessions actor can be asked.

use std::sync::Arc;

use actix::Message;

use super::{
    error::SessionError,
    id::SessionId,
    session::{Opening, Session},
};
use crate::store::{SessionDigest, SessionRow};

/// Open a session.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<Session>, SessionError>")]
pub(super) struct Open(pub(super) Opening);

/// Know the session of that id, which all servers have.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<Session>, SessionError>")]
pub(super) struct Adopt(pub(super) SessionId, pub(super) SessionRow);

/// Look at what is in doubt, now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct LookAgain;

/// Take these questions of a session out of the store.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Withdraw(pub(super) SessionDigest, pub(super) Vec<Box<str>>);

/// End the session of that id, here.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct End(pub(super) SessionId);
