//! Whoever hears of a request before its answer, and the session that it came in.

use std::{rc::Rc, sync::Arc};

use crate::{actors::sessions::Session, tools::Progress};

/// Whoever hears of a request before its answer.
#[derive(Default)]
pub(super) struct Audience {
    /// Where the tool says what is to be told.
    pub(super) progress: Option<Rc<Progress>>,
    /// The session that the request came in.
    pub(super) session: Option<Arc<Session>>,
    /// Whether what is told can be read later, so that the call may wait for an answer.
    pub(super) may_ask: bool,
    /// What its params say that only sessions read: capabilities, JSON text, or a level.
    pub(super) said: Box<str>,
}
