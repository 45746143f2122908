//! What the actor of tasks is told.

use std::{pin::Pin, sync::Arc, time::Duration};

use actix::Message;
use tokio::sync::oneshot;

use super::{Desk, Ending, TasksError, View, view::Digest};
use crate::domain::{Principal, RequestId};

/// What a task does: made on the thread of tasks, where it then stays.
pub type Work = Box<dyn FnOnce(Desk) -> Pin<Box<dyn Future<Output = Ending>>> + Send>;

/// A call that is to go on after its answer.
pub struct NewTask {
    /// Who has called.
    pub principal: Arc<Principal>,
    /// The tool.
    pub tool: &'static str,
    /// The request that made it.
    pub request: RequestId,
    /// Longest life until its end, if the tool gives itself less than the settings do.
    pub most: Duration,
    /// What it does.
    pub work: Work,
}

/// Keep this task, tell whether it is kept, and do its work. Whoever is told and has gone gets none.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Begin {
    pub(super) digest: Digest,
    pub(super) new: NewTask,
    pub(super) told: oneshot::Sender<Result<View, TasksError>>,
}
