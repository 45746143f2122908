//! What a tool is: the typed trait that authors implement, and its erased form that the registry holds.

use std::pin::Pin;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{Call, Icon, InTask, Produced, Reply, Schema, SchemaError, Spec, ToolError};

/// A future that stays on its worker thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A tool with typed arguments and a typed result. Implement this one; [`AnyTool`] follows.
///
/// ```
/// use std::time::Duration;
///
/// use portcullis::tools::{Call, Hints, Spec, Tool, ToolError};
///
/// struct Echo;
///
/// /// Arguments of `echo`.
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Said {
///     /// What to say again.
///     #[schemars(length(max = 100))]
///     text: String,
/// }
///
/// /// What was said.
/// #[derive(serde::Serialize, schemars::JsonSchema)]
/// struct Echoed {
///     text: String,
/// }
///
/// impl Tool for Echo {
///     const SPEC: Spec = Spec {
///         name: "echo",
///         title: "Echo",
///         about: "Says again what it was told.",
///         needs: "weather:read",
///         hints: Hints::READ,
///         cost: 1,
///         deadline: Duration::from_secs(1),
///     };
///     type Args = Said;
///     type Output = Echoed;
///
///     async fn call(&self, said: Said, _: &Call<'_>) -> Result<Echoed, ToolError> {
///         Ok(Echoed { text: said.text })
///     }
/// }
/// ```
pub trait Tool: Send + Sync + 'static {
    /// Fixed facts about the tool.
    const SPEC: Spec;
    /// Whether the result must be what was asked for, byte by byte: a file that a model reads, changes and
    /// writes back. What looks like a credential is then not replaced; invisible characters are escapes of
    /// the same value all the same.
    const VERBATIM: bool = false;
    /// Whether it may go on as a task.
    const TASK: InTask = InTask::Never;
    /// Arguments; their JSON Schema is published and enforced before [`Tool::call`] runs.
    type Args: DeserializeOwned + JsonSchema;
    /// The structured result; its JSON Schema is published and enforced afterwards. A tool that shows text,
    /// pictures, sounds or resources answers with [`Shown`](super::Shown) instead, or with
    /// [`Beside`](super::Beside) both.
    type Output: Reply;

    /// Pictures for it, of `https:` or `data:`; a tool with any other is not registered.
    fn icons(&self) -> Vec<Icon> {
        Vec::new()
    }

    /// Runs the tool. `call` proves that the caller may, and says who it is; with it the tool tells how far it
    /// is and asks what it must know.
    ///
    /// A tool that asks is run anew for each round of answers, from its beginning: it asks before it acts.
    ///
    /// The future is dropped when the client leaves or the deadline passes, so whatever must not
    /// stop half-way belongs into a task of its own.
    fn call(
        &self,
        args: Self::Args,
        call: &Call<'_>,
    ) -> impl Future<Output = Result<Self::Output, ToolError>>;
}

/// A tool whose types have been erased. Each [`Tool`] is one; only what no type can say is written by hand; [`super::Entry::begin`] and [`super::Entry::finish`] are the way to run one.
pub trait AnyTool: Send + Sync {
    /// Fixed facts about the tool.
    fn spec(&self) -> &'static Spec;

    /// Whether credentials in its result are left alone, as [`Tool::VERBATIM`] says.
    fn is_verbatim(&self) -> bool {
        false
    }

    /// Pictures for it, of `https:` or `data:`.
    fn icons(&self) -> Vec<Icon> {
        Vec::new()
    }

    /// Whether it may go on as a task.
    fn in_task(&self) -> InTask {
        InTask::Never
    }

    /// The schema of its arguments, compiled.
    ///
    /// # Errors
    /// [`SchemaError`] if the type has none that we accept.
    fn input(&self) -> Result<Schema, SchemaError>;

    /// The schema of its structured result, compiled; `None` if it has no such result.
    ///
    /// # Errors
    /// [`SchemaError`] if the type has none that we accept.
    fn output(&self) -> Result<Option<Schema>, SchemaError>;

    /// Reads `args`, JSON text that fits [`AnyTool::input`], and runs the tool. The result is not checked yet.
    fn call<'a>(&'a self, args: &'a str, call: &'a Call<'a>) -> LocalFuture<'a, Result<Produced, ToolError>>;
}

impl<T: Tool> AnyTool for T {
    fn spec(&self) -> &'static Spec {
        &T::SPEC
    }

    fn is_verbatim(&self) -> bool {
        T::VERBATIM
    }

    fn icons(&self) -> Vec<Icon> {
        Tool::icons(self)
    }

    fn in_task(&self) -> InTask {
        T::TASK
    }

    fn input(&self) -> Result<Schema, SchemaError> {
        Schema::input::<T::Args>()
    }

    fn output(&self) -> Result<Option<Schema>, SchemaError> {
        T::Output::schema()
    }

    fn call<'a>(&'a self, args: &'a str, call: &'a Call<'a>) -> LocalFuture<'a, Result<Produced, ToolError>> {
        Box::pin(async move {
            // The schema let it through, so this fails only where a type is stricter than its schema.
            // serde's own text may quote the value, hence none of it is shown.
            let args = serde_json::from_str::<T::Args>(args).map_err(|_| {
                ToolError::Arguments("Invalid arguments: they do not fit the tool's types".into())
            })?;
            Tool::call(self, args, call).await?.produce()
        })
    }
}
