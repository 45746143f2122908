//! What the sessions actor can be asked.

use std::sync::Arc;

use actix::Message;

use super::{
    error::SessionError,
    id::SessionId,
    session::{Opening, Session},
};

/// Open a session.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<Session>, SessionError>")]
pub(super) struct Open(pub(super) Opening);

/// End the session of that id.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct End(pub(super) SessionId);
