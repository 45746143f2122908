//! One call as its tool sees it (or one request as its prompt or source does): whose it is, what can be told while it
//! runs, and what the client can be asked.

use std::ops::Deref;

use super::{Asking, Progress, ToolError};
use crate::{
    policy::{CallTool, Permit},
    protocol::{LogLevel, Trace},
};

/// One call, for as long as its tool runs; or, with another deed `D`, one request for a prompt or a resource. It is its
/// own [`Permit`]: `call.principal()` says who is calling.
///
/// A tool that tells and asks nothing pays nothing for it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a, D = CallTool> {
    permit: &'a Permit<D>,
    progress: Option<&'a Progress>,
    asking: Option<&'a Asking<'a>>,
    tasks: Tasks,
    trace: Option<&'a Trace>,
}

/// Whether a call may go on as a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tasks {
    /// It may not.
    None,
    /// It may, if the client knows tasks.
    Offered,
    /// It is one.
    Inside,
}

impl<D> Deref for Call<'_, D> {
    type Target = Permit<D>;

    fn deref(&self) -> &Permit<D> {
        self.permit
    }
}

impl<'a, D> Call<'a, D> {
    /// A call of which nobody wants to hear before it ends, by a client that can be asked nothing.
    pub fn new(permit: &'a Permit<D>) -> Self {
        Self { permit, progress: None, asking: None, tasks: Tasks::None, trace: None }
    }

    /// The same for a client that wants to hear how far it is.
    #[must_use]
    pub fn heard(self, progress: Option<&'a Progress>) -> Self {
        Self { progress, ..self }
    }

    /// The same for a client that may be asked.
    #[must_use]
    pub fn answered(self, asking: &'a Asking<'a>) -> Self {
        Self { asking: Some(asking), ..self }
    }

    /// The same as a part of that trace.
    #[must_use]
    pub fn traced(self, trace: Option<&'a Trace>) -> Self {
        Self { trace, ..self }
    }

    /// The trace that the call is a part of, if its client says so: to be sent on to services that are asked for it.
    pub fn trace(&self) -> Option<&'a Trace> {
        self.trace
    }

    /// The same where the call may go on as a task, if the client knows tasks.
    #[must_use]
    pub fn offering_tasks(self, is_offered: bool) -> Self {
        Self { tasks: if is_offered { Tasks::Offered } else { Tasks::None }, ..self }
    }

    /// The same within a task.
    #[must_use]
    pub fn within_task(self) -> Self {
        Self { tasks: Tasks::Inside, ..self }
    }

    /// Has the call go on as a task where that is possible: the client is told so at once, and the tool is run anew
    /// from its beginning, with the answers it has, and told `true` here. `false` if it has to be done as it is.
    ///
    /// Call it before anything is changed, and only in a tool whose [`Tool::TASK`](super::Tool::TASK) says that it
    /// may: elsewhere it gives `false`.
    ///
    /// # Errors
    /// [`ToolError::Deferred`], to be passed on.
    pub fn as_task(&self) -> Result<bool, ToolError> {
        match self.tasks {
            Tasks::Inside => Ok(true),
            Tasks::Offered if self.asking.is_some_and(Asking::knows_tasks) => Err(ToolError::Deferred),
            Tasks::Offered | Tasks::None => Ok(false),
        }
    }

    /// Says how far the call is: `done` of `total`, in whatever unit, and what it does now. Only what is more
    /// than everything before is told, and of what comes faster than the client is told only the latest.
    ///
    /// Never waits; does nothing if the client does not want to know.
    pub fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        if let Some(progress) = self.progress {
            progress.tell(done, total, message);
        }
    }

    /// Writes a line of the log that the client sees, for a person who looks for a fault; never a secret. Lines that
    /// come faster than the client takes them are dropped.
    ///
    /// Never waits; does nothing if the client does not want to see it.
    pub fn log(&self, level: LogLevel, text: &str) {
        if let Some(progress) = self.progress {
            progress.log(level, text);
        }
    }

    /// Says that the call will take a while: a client that can come back for the answer need not hold its connection
    /// meanwhile, and every other one notices nothing.
    pub fn pause(&self) {
        if let Some(progress) = self.progress {
            progress.pause();
        }
    }

    /// What the client can be asked, and has answered.
    pub(super) fn asking(&self) -> Option<&'a Asking<'a>> {
        self.asking
    }
}
