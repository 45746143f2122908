//! The fixtures that go on as tasks.

use std::time::Duration;

use portcullis::tools::{AnyTool, Call, Content, InTask, Said, Shown, Spec, Tool, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Nothing, spec};

/// Longest run of any of them.
const MOST: Duration = Duration::from_secs(120);

fn shown(text: String) -> Shown {
    Shown(vec![Content::Text(text)])
}

#[derive(Deserialize, JsonSchema)]
struct Greeted {
    /// Whom to greet.
    name: String,
}

/// Is never a task.
struct Greet;

impl Tool for Greet {
    const SPEC: Spec = spec("greet", "Greets.");
    type Args = Greeted;
    type Output = Shown;

    async fn call(&self, args: Greeted, _: &Call<'_>) -> Result<Shown, ToolError> {
        Ok(shown(format!("Hello, {}!", args.name)))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Computed {
    /// How long.
    #[schemars(range(min = 0, max = 100))]
    seconds: u64,
    /// What it is called.
    #[serde(default)]
    label: String,
}

/// Takes as long as it is told to; what takes no time is answered at once.
struct SlowCompute;

impl Tool for SlowCompute {
    const SPEC: Spec = spec("slow_compute", "Takes its time.");
    const TASK: InTask = InTask::May(MOST);
    type Args = Computed;
    type Output = Shown;

    async fn call(&self, args: Computed, call: &Call<'_>) -> Result<Shown, ToolError> {
        if args.seconds > 0 {
            call.as_task()?;
            tokio::time::sleep(Duration::from_secs(args.seconds)).await;
        }
        Ok(shown(format!("{} took {} s", args.label, args.seconds)))
    }
}

/// Fails as a tool does.
struct FailingJob;

impl Tool for FailingJob {
    const SPEC: Spec = spec("failing_job", "Fails.");
    const TASK: InTask = InTask::Must(MOST);
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.as_task()?;
        Err(ToolError::Refused("this job fails on purpose".to_owned()))
    }
}

/// Fails as a server does.
struct ProtocolErrorJob;

impl Tool for ProtocolErrorJob {
    const SPEC: Spec = spec("protocol_error_job", "Breaks.");
    const TASK: InTask = InTask::Must(MOST);
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.as_task()?;
        Err(ToolError::Output)
    }
}

#[derive(Deserialize, JsonSchema)]
struct Deleted {
    /// Which file.
    filename: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmed {
    /// Whether to go on.
    #[serde(default)]
    confirm: bool,
}

/// Asks one thing while it is a task.
struct ConfirmDelete;

impl Tool for ConfirmDelete {
    const SPEC: Spec = spec("confirm_delete", "Asks before it pretends to delete.");
    const TASK: InTask = InTask::May(MOST);
    type Args = Deleted;
    type Output = Shown;

    async fn call(&self, args: Deleted, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.as_task()?;
        let said = call.elicit::<Confirmed>("confirm", "Delete the file?")?;
        let did =
            if matches!(said, Said::Accepted(Confirmed { confirm: true })) { "deleted" } else { "kept" };
        Ok(shown(format!("{did} {}", args.filename)))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Named {
    /// Your name.
    #[serde(default)]
    name: String,
}

/// Asks two things at once while it is a task.
struct MultiInput;

impl Tool for MultiInput {
    const SPEC: Spec = spec("multi_input", "Asks two things at once.");
    const TASK: InTask = InTask::May(MOST);
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.as_task()?;
        let (one, other) =
            (call.elicit::<Named>("first", "First?"), call.elicit::<Named>("second", "Second?"));
        let names = [one?, other?].map(|said| match said {
            Said::Accepted(Named { name }) => name,
            Said::Declined | Said::Cancelled => "nobody".to_owned(),
        });
        Ok(shown(names.join(" and ")))
    }
}

/// Asks first, and becomes a task with the answer.
struct WithTask;

impl Tool for WithTask {
    const SPEC: Spec = spec("test_tool_with_task", "Asks, then goes on as a task.");
    const TASK: InTask = InTask::Must(MOST);
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        let said = call.elicit::<Named>("user_name", "What is your name?")?;
        call.as_task()?;
        Ok(match said {
            Said::Accepted(Named { name }) => shown(format!("Hello, {name}!")),
            Said::Declined | Said::Cancelled => shown("Hello, stranger!".to_owned()),
        })
    }
}

pub(super) fn fixtures() -> Vec<Box<dyn AnyTool>> {
    vec![
        Box::new(Greet),
        Box::new(SlowCompute),
        Box::new(FailingJob),
        Box::new(ProtocolErrorJob),
        Box::new(ConfirmDelete),
        Box::new(MultiInput),
        Box::new(WithTask),
    ]
}
