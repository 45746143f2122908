//! Calls that go on as tasks: clients that know them, and tools that become one.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use portcullis::{
    domain::Timestamp,
    store::TaskRow,
    tools::{AnyTool, Call, Content, Hints, InTask, Said, Shown, Spec, Tool, ToolError},
};
use serde_json::{Value, json};

use super::{
    SOON,
    app::TestApp,
    rpc::{META_CAPABILITIES, Rpc},
    tools::{Nothing, Watched},
    until,
};

/// The extension.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Longest run of any tool here.
const MOST: Duration = Duration::from_secs(60);

/// The same request of a client that knows tasks, and can be asked.
pub(crate) fn knowing(rpc: Rpc) -> Rpc {
    let all = json!({ "elicitation": {}, "extensions": { EXTENSION: {} } });
    rpc.meta(|meta| meta[META_CAPABILITIES] = all)
}

/// A request about the task `id`.
pub(crate) fn about(method: &str, id: &str) -> Rpc {
    knowing(Rpc::new(method, json!({ "taskId": id })).header("mcp-name", id))
}

/// The row of a task of ada's, which `runner` runs and nobody has begun here.
pub(crate) fn kept_row(digest: [u8; 32], tool: &str, runner: String) -> TaskRow {
    let now = Timestamp::now();
    TaskRow {
        digest,
        owner: "ada".parse().unwrap(),
        tool: tool.into(),
        runner,
        created_at: now,
        due: now.plus(MOST),
        until: now.plus(10 * MOST),
        ended: None,
    }
}

/// Answers to what the task `id` asks.
pub(crate) fn update(id: &str, answers: Value) -> Rpc {
    about("tasks/update", id).edit(|body| body["params"]["inputResponses"] = answers)
}

/// Begins a task by a call of `tool`; its id.
#[track_caller]
pub(crate) fn begun(app: &TestApp, token: &str, tool: &str) -> String {
    let result = knowing(Rpc::call(tool, json!({}))).bearer(token).send(app).result();
    assert_eq!((&result["resultType"], &result["status"]), (&json!("task"), &json!("working")), "{result}");
    result["taskId"].as_str().unwrap().to_owned()
}

/// The task `id` as it is.
#[track_caller]
pub(crate) fn got(app: &TestApp, token: &str, id: &str) -> Value {
    let result = about("tasks/get", id).bearer(token).send(app).result();
    assert_eq!(result["resultType"], "complete");
    result
}

/// The task `id` once it is `status`.
#[track_caller]
pub(crate) fn awaited(app: &TestApp, token: &str, id: &str, status: &str) -> Value {
    let mut seen = Value::Null;
    until(&format!("the task is {status}"), SOON, || {
        seen = got(app, token, id);
        seen["status"] == status
    });
    seen
}

const fn spec(name: &'static str, needs: &'static str) -> Spec {
    let deadline = Duration::from_secs(5);
    Spec { name, title: "Test", about: "For tests.", needs, hints: Hints::READ, cost: 1, deadline }
}

fn shown(text: &str) -> Shown {
    Shown(vec![Content::Text(text.to_owned())])
}

/// Runs until it is let go, as a task if it can.
pub(crate) struct Job(pub(crate) Arc<Watched>);

struct Dropped<'a>(&'a Watched);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Tool for Job {
    const SPEC: Spec = spec("job", "files:read");
    const TASK: InTask = InTask::May(MOST);
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        if call.as_task()? {
            call.progress(1.0, None, Some("half way"));
        }
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let _dropped = Dropped(&self.0);
        self.0.go.notified().await;
        Ok(shown("done"))
    }
}

/// Does nothing for whoever knows no tasks.
pub(crate) struct OnlyTask;

impl Tool for OnlyTask {
    const SPEC: Spec = spec("only_task", "files:read");
    const TASK: InTask = InTask::Must(MOST);
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.as_task()?;
        Ok(shown(&"x".repeat(2_000)))
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Named {
    name: String,
}

/// Asks two things at once, and then a third.
pub(crate) struct Asker;

impl Tool for Asker {
    const SPEC: Spec = spec("asker", "files:read");
    const TASK: InTask = InTask::May(MOST);
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.as_task()?;
        let name = |key| match call.elicit::<Named>(key, "Name?") {
            Ok(Said::Accepted(Named { name })) => Ok(name),
            Ok(_) => Ok("nobody".to_owned()),
            Err(error) => Err(error),
        };
        let (one, two) = (name("one"), name("two"));
        let (one, two) = (one?, two?);
        Ok(shown(&format!("{one} {two} {}", call.confirm("sure", "Sure?")?)))
    }
}

/// Panics, once it is a task.
pub(crate) struct Breaks;

impl Tool for Breaks {
    const SPEC: Spec = spec("breaks", "files:read");
    const TASK: InTask = InTask::May(MOST);
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        call.as_task()?;
        panic!("a tool panics on purpose");
    }
}

/// All of them.
pub(crate) fn tools() -> (Arc<Watched>, Vec<Box<dyn AnyTool>>) {
    let watched = Arc::new(Watched::default());
    let job = Job(Arc::clone(&watched));
    (watched, vec![Box::new(job), Box::new(OnlyTask), Box::new(Asker), Box::new(Breaks)])
}
