//! The tools of this server by name, each checked and compiled when it is registered.

use std::{future::poll_fn, task::Poll, time::Duration};

use super::{
    AnyTool, Call, Icon, InTask, Produced, Schema, SchemaError, Spec, ToolError, argument,
    descriptor::Descriptors,
    hygiene::{self, Redacted},
    mirrored::{self, Mirror, MirrorError},
};
use crate::{
    domain::{Catalogue, Permission},
    protocol::{Revision, Tree},
};

/// Longest name of a tool.
const MAX_NAME: usize = 128;
/// How alike a known permission must be to be suggested, 0 to 1.
const ALIKE: f64 = 0.6;

/// Every tool of this server, sorted by name. Fixed once built.
#[derive(Debug, Default)]
pub struct Registry(Vec<Entry>);

impl Registry {
    /// A registry of these tools, whose permissions are all in `catalogue`.
    ///
    /// # Errors
    /// [`RegistryError`], naming the tool, for the first that cannot be registered.
    pub fn new(tools: Vec<Box<dyn AnyTool>>, catalogue: &Catalogue) -> Result<Self, RegistryError> {
        let mut entries =
            tools.into_iter().map(|tool| Entry::new(tool, catalogue)).collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| entry.spec.name);
        let twice = entries.windows(2).find_map(|pair| match pair {
            [one, other] if one.spec.name == other.spec.name => Some(one.spec.name),
            _ => None,
        });
        match twice {
            Some(name) => Err(RegistryError::Twice(name)),
            None => Ok(Self(entries)),
        }
    }

    /// The tool of exactly that name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let at = self.0.binary_search_by(|entry| entry.spec.name.cmp(name)).ok()?;
        self.0.get(at)
    }

    /// Every tool, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.0.iter()
    }
}

/// One registered tool.
pub struct Entry {
    tool: Box<dyn AnyTool>,
    spec: &'static Spec,
    needs: Permission,
    in_task: InTask,
    descriptors: Descriptors,
    input: Schema,
    output: Option<Schema>,
    mirrors: Option<Box<[Mirror]>>,
}

impl Entry {
    fn new(tool: Box<dyn AnyTool>, catalogue: &Catalogue) -> Result<Self, RegistryError> {
        let spec = tool.spec();
        if !is_well_named(spec.name) {
            return Err(RegistryError::Name(spec.name));
        }
        if spec.cost == 0 || spec.deadline == Duration::ZERO {
            return Err(RegistryError::Zero(spec.name));
        }
        let needs = catalogue.find(spec.needs).ok_or_else(|| RegistryError::Permission {
            tool: spec.name,
            permission: spec.needs,
            nearest: nearest(spec.needs, catalogue),
        })?;
        let in_task = tool.in_task();
        if in_task.most() == Some(Duration::ZERO) {
            return Err(RegistryError::Zero(spec.name));
        }
        let icons = tool.icons();
        if !icons.iter().all(Icon::is_sound) {
            return Err(RegistryError::Icon(spec.name));
        }
        let faulty = |part| move |source| RegistryError::Schema { tool: spec.name, part, source };
        let input = tool.input().map_err(faulty("input"))?;
        let output = tool.output().map_err(faulty("output"))?;
        let mirrors = mirrored::of_schema(input.value()).map_err(|error| faulty("input")(error.into()))?;
        let in_result = output.as_ref().map(|output| mirrored::of_schema(output.value()));
        if !matches!(in_result, None | Some(Ok(None))) {
            return Err(faulty("output")(MirrorError::Place.into()));
        }
        let older = mirrors.as_ref().map(|_| mirrored::without(input.value()).to_string());
        let inputs = (input.text(), older.as_deref());
        let descriptors = Descriptors::new(spec, inputs, output.as_ref(), &icons)
            .map_err(|_| faulty("descriptor")(SchemaError::NotAnObject))?;
        Ok(Self { tool, spec, needs, in_task, descriptors, input, output, mirrors })
    }

    /// Fixed facts about the tool.
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// Whether credentials in its result are left alone.
    pub fn is_verbatim(&self) -> bool {
        self.tool.is_verbatim()
    }

    /// Whether it may go on as a task.
    pub fn in_task(&self) -> InTask {
        self.in_task
    }

    /// What a caller needs.
    pub fn needs(&self) -> Permission {
        self.needs
    }

    /// The tool as it stands in the `tools/list` of `revision`: the JSON text of one object.
    pub fn descriptor(&self, revision: Revision) -> &str {
        self.descriptors.of(revision)
    }

    /// The schema of its arguments.
    pub fn input(&self) -> &Schema {
        &self.input
    }

    /// Its arguments that clients repeat in headers, if it has any.
    pub fn mirrors(&self) -> Option<&[Mirror]> {
        self.mirrors.as_deref()
    }

    /// The schema of its structured result, if it has one.
    pub fn output(&self) -> Option<&Schema> {
        self.output.as_ref()
    }

    /// Whether `arguments` fit the input schema.
    ///
    /// # Errors
    /// Text for the caller: what is wrong where, and what would be right; never a value.
    pub fn check_arguments(&self, arguments: &Tree<'_>) -> Result<(), String> {
        argument::complaint(&self.input, arguments).map_or(Ok(()), Err)
    }

    /// Checks `arguments` and runs the tool under its deadline. What it gives has to be [finished](Self::finish).
    ///
    /// Must run within a tokio runtime that has its timer on, as every actix worker does.
    ///
    /// # Errors
    /// [`ToolError`]; [`ToolError::Arguments`] means that the tool was not run.
    pub async fn begin(&self, arguments: &Tree<'_>, call: &Call<'_>) -> Result<Produced, ToolError> {
        self.begin_within(self.spec.deadline, arguments, call).await
    }

    /// The same under another deadline.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin).
    pub async fn begin_within(
        &self,
        deadline: Duration,
        arguments: &Tree<'_>,
        call: &Call<'_>,
    ) -> Result<Produced, ToolError> {
        self.check_arguments(arguments).map_err(ToolError::Arguments)?;
        let mut running = self.tool.call(arguments.text(), call);
        // Many tools are done at once, and need no timer.
        match poll_fn(|context| Poll::Ready(running.as_mut().poll(context))).await {
            Poll::Ready(produced) => produced,
            Poll::Pending => tokio::time::timeout(deadline, running).await.unwrap_or(Err(ToolError::Timeout)),
        }
    }

    /// Checks what the tool gave, and makes it fit to be sent.
    ///
    /// # Errors
    /// [`ToolError::Output`] if it is not what the tool promised, and those of [`hygiene::produced`].
    pub fn finish(&self, produced: Produced) -> Result<(Produced, Redacted), ToolError> {
        if !self.keeps_its_promise(&produced) {
            return Err(ToolError::Output);
        }
        hygiene::produced(self, produced)
    }

    /// Whether there is structure where a schema promises it, of that schema, and content that can be shown.
    fn keeps_its_promise(&self, produced: &Produced) -> bool {
        let fits = match (&self.output, produced.output()) {
            (Some(schema), Some(output)) => Tree::of_text(output).is_ok_and(|tree| schema.fits(&tree)),
            (None, None) => true,
            _ => false,
        };
        fits && produced.has_sound_content()
    }
}

#[cfg(test)]
impl Entry {
    /// What the tool gives for these arguments, as it would be sent.
    pub(crate) async fn run(&self, arguments: &Tree<'_>, call: &Call<'_>) -> Result<Produced, ToolError> {
        let produced = self.begin(arguments, call).await?;
        self.finish(produced).map(|(produced, _)| produced)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("spec", self.spec).finish_non_exhaustive()
    }
}

/// 1 to 128 of `[A-Za-z0-9_.-]` (MCP 2026-07-28, tool names).
fn is_well_named(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// The known permission that `name` was most likely meant to be.
fn nearest(name: &str, catalogue: &Catalogue) -> Option<String> {
    catalogue
        .iter()
        .map(|(_, known)| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known.into())
}

/// Why a tool cannot be registered; each is a mistake in the tool or in the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The name is not one.
    #[error("`{0}` is not the name of a tool: 1 to {MAX_NAME} of the characters A-Z a-z 0-9 _ . -")]
    Name(&'static str),
    /// Two tools of one name.
    #[error("two tools are called `{0}`")]
    Twice(&'static str),
    /// No cost or no time.
    #[error("tool `{0}` must have a cost of at least 1 and a deadline")]
    Zero(&'static str),
    /// A picture that clients are not shown.
    #[error("tool `{0}` has an icon that is neither an https nor a data URI of up to 64 KiB")]
    Icon(&'static str),
    /// Nobody knows the permission.
    #[error("tool `{tool}` needs the permission `{permission}`, which is not known{}", hint(.nearest.as_deref()))]
    Permission {
        /// Whose.
        tool: &'static str,
        /// As the tool has it.
        permission: &'static str,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// A schema that we do not take.
    #[error("tool `{tool}`: the {part} schema {source}")]
    Schema {
        /// Whose.
        tool: &'static str,
        /// Which: `input` or `output`.
        part: &'static str,
        /// Why not.
        source: SchemaError,
    },
}

fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(known) => format!("; did you mean `{known}`?"),
        None => "; declare it under [permissions] extra".into(),
    }
}

#[cfg(test)]
mod tests;
