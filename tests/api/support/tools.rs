//! Tools that behave as badly as a tool can.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::tools::{AnyTool, Call, Hints, Spec, Tool, ToolError};
use tokio::sync::Notify;

/// Arguments of a tool that takes none.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Says that it is done.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Done {
    done: bool,
}

/// What a test sees of a tool that runs.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// How often it was begun.
    pub(crate) begun: AtomicUsize,
    /// How often its future was dropped, ended or not.
    pub(crate) dropped: AtomicUsize,
    /// Lets one run end.
    pub(crate) go: Notify,
}

impl Watched {
    pub(crate) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
}

struct Dropped<'a>(&'a Watched);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

const fn spec(name: &'static str, hints: Hints, deadline: Duration) -> Spec {
    Spec { name, title: "Test", about: "For tests.", needs: "weather:read", hints, cost: 1, deadline }
}

/// Runs until it is let go.
pub(crate) struct Waits(pub(crate) Arc<Watched>);

impl Tool for Waits {
    const SPEC: Spec = spec("waits", Hints::READ, Duration::from_secs(60));
    type Args = Nothing;
    type Output = Done;

    async fn call(&self, _: Nothing, _: &Call<'_>) -> Result<Done, ToolError> {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let _dropped = Dropped(&self.0);
        self.0.go.notified().await;
        Ok(Done { done: true })
    }
}

/// Changes something, and runs until it is let go.
pub(crate) struct Changes(pub(crate) Arc<Watched>);

impl Tool for Changes {
    const SPEC: Spec = spec("changes", Hints { read_only: false, ..Hints::READ }, Duration::from_secs(60));
    type Args = Nothing;
    type Output = Done;

    async fn call(&self, _: Nothing, _: &Call<'_>) -> Result<Done, ToolError> {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let _dropped = Dropped(&self.0);
        self.0.go.notified().await;
        Ok(Done { done: true })
    }
}

/// Never ends by itself, and has little time.
pub(crate) struct Dawdles;

impl Tool for Dawdles {
    const SPEC: Spec = spec("dawdles", Hints::READ, Duration::from_millis(50));
    type Args = Nothing;
    type Output = Done;

    async fn call(&self, _: Nothing, _: &Call<'_>) -> Result<Done, ToolError> {
        std::future::pending().await
    }
}

/// Panics.
pub(crate) struct Panics;

impl Tool for Panics {
    const SPEC: Spec = spec("panics", Hints::READ, Duration::from_secs(1));
    type Args = Nothing;
    type Output = Done;

    async fn call(&self, _: Nothing, _: &Call<'_>) -> Result<Done, ToolError> {
        panic!("a tool panics on purpose");
    }
}

/// Says a lot more than its schema allows.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Small {
    #[schemars(range(max = 9))]
    digit: u32,
}

/// Breaks the promise of its own schema.
pub(crate) struct Lies;

impl Tool for Lies {
    const SPEC: Spec = spec("lies", Hints::READ, Duration::from_secs(1));
    type Args = Nothing;
    type Output = Small;

    async fn call(&self, _: Nothing, _: &Call<'_>) -> Result<Small, ToolError> {
        Ok(Small { digit: 10 })
    }
}

/// Text of a shape that drives a backtracking matcher mad.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patterned {
    #[schemars(regex(pattern = "^(a+)+$"))]
    #[expect(dead_code, reason = "only its schema counts")]
    text: String,
}

/// Takes text of that shape.
pub(crate) struct Matches;

impl Tool for Matches {
    const SPEC: Spec = spec("matches", Hints::READ, Duration::from_secs(5));
    type Args = Patterned;
    type Output = Done;

    async fn call(&self, _: Patterned, _: &Call<'_>) -> Result<Done, ToolError> {
        Ok(Done { done: true })
    }
}

/// All of them; what the waiting ones do shows in what comes with them.
pub(crate) fn all() -> (Arc<Watched>, Vec<Box<dyn AnyTool>>) {
    let watched = Arc::new(Watched::default());
    let tools: Vec<Box<dyn AnyTool>> = vec![
        Box::new(Waits(Arc::clone(&watched))),
        Box::new(Changes(Arc::clone(&watched))),
        Box::new(Dawdles),
        Box::new(Panics),
        Box::new(Lies),
        Box::new(Matches),
    ];
    (watched, tools)
}
