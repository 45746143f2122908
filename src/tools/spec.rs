//! The fixed facts about one tool.

use std::time::Duration;

use serde::Serialize;

/// Everything the house must know of a tool before it runs it.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The name clients call: 1 to 128 of `[A-Za-z0-9_.-]`, unique in a registry.
    pub name: &'static str,
    /// The name people read.
    pub title: &'static str,
    /// One or two sentences for the model that chooses tools.
    pub about: &'static str,
    /// The permission that a caller needs, for example `weather:read`; must be in the server's catalogue.
    pub needs: &'static str,
    /// What clients may assume before they call.
    pub hints: Hints,
    /// How many calls of quota one call takes, 1 or more.
    pub cost: u32,
    /// Longest run before it is cancelled and answered with [`super::ToolError::Timeout`].
    pub deadline: Duration,
}

/// Annotations of `tools/list`: promises to clients, never a ground for what we permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hints {
    /// It changes nothing. Tools that are not read-only are recorded before they act.
    #[serde(rename = "readOnlyHint")]
    pub read_only: bool,
    /// It may destroy or overwrite something.
    #[serde(rename = "destructiveHint")]
    pub destructive: bool,
    /// Calling it again with the same arguments changes nothing more.
    #[serde(rename = "idempotentHint")]
    pub idempotent: bool,
    /// It reaches things outside this server.
    #[serde(rename = "openWorldHint")]
    pub open_world: bool,
}

impl Hints {
    /// Reads, within this server: the mildest set.
    pub const READ: Self = Self { read_only: true, destructive: false, idempotent: true, open_world: false };
    /// Reads, from a service outside.
    pub const READ_OUTSIDE: Self = Self { open_world: true, ..Self::READ };
}

/// Whether a tool goes on as a task (extension `io.modelcontextprotocol/tasks`), and for how long it may then run:
/// its [`Spec::deadline`] counts for what is answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InTask {
    /// Never.
    Never,
    /// Where the client knows tasks and the tool wants it, by [`Call::as_task`](super::Call::as_task).
    May(Duration),
    /// The same, and whoever knows no tasks cannot call it.
    Must(Duration),
}

impl InTask {
    /// How long one run in a task may take; `None` if there is none.
    pub const fn most(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::May(most) | Self::Must(most) => Some(most),
        }
    }
}
