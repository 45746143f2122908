//! A prompt as an operator writes it: one TOML file, read strictly.

use config::{FileFormat, Format};

use super::{
    Argument, Block, Message, Prompt, PromptSpec, Role, Values,
    fill::Fill,
    reader::{Findings, Table},
    spec::MAX_VALUE,
};
use crate::{
    policy::GetPrompt,
    protocol::{Content, Icon},
    settings::Problem,
    tools::{Call, LocalFuture, ToolError},
};

/// Longest file, bytes.
pub(super) const MAX_FILE: u64 = 64 * 1024;
/// Most arguments, and most messages.
const MOST: usize = 32;
/// Most values that are offered for an argument.
const MOST_VALUES: usize = 1_000;
/// Longest text of a message, characters.
const MAX_TEXT: usize = 32 * 1024;

/// A prompt of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilePrompt {
    spec: PromptSpec,
    messages: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    role: Role,
    says: Says,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Says {
    Text(Fill),
    Resource(Fill),
}

impl FilePrompt {
    /// Reads the prompt `name` from the `text` of `file`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn parse(name: &str, file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut findings = Findings::of(file);
        let members = match FileFormat::Toml.parse(None, text) {
            Ok(members) => members,
            Err(fault) => {
                let fault = fault.to_string();
                // The parser shows the line too, which is of no use without the rest.
                let (first, last) = (fault.lines().next(), fault.lines().last());
                let place = first.and_then(|line| line.split_once(" at ")).map_or("", |(_, place)| place);
                let problem = format!("is not TOML: {} {}", last.unwrap_or_default(), place);
                findings.add("", problem.trim_end(), "correct that line");
                return Err(findings.into_problems());
            }
        };
        let mut table = Table::new("", members, &mut findings);
        let title = table.text("title", 200);
        let spec = PromptSpec {
            title: title.unwrap_or_else(|| name.to_owned()),
            name: name.to_owned(),
            about: table.required("about", 1_000),
            needs: table.required("needs", 100),
            icons: table.texts("icons", (8, 64 * 1024)).into_iter().map(Icon::at).collect(),
            arguments: table.tables("arguments", MOST, argument),
        };
        let messages = table.tables("messages", MOST, |table| line(table, &spec.arguments));
        if messages.is_empty() {
            table.refuse("messages", "is missing or empty", "write at least one section [[messages]]");
        }
        table.finish();
        if let Some((place, fault)) = spec.fault() {
            findings.add(&place, fault, "correct it");
        }
        let messages: Option<Vec<Line>> = messages.into_iter().collect();
        match messages.filter(|_| findings.is_empty()) {
            Some(messages) => Ok(Self { spec, messages }),
            None => Err(findings.into_problems()),
        }
    }
}

fn argument(mut table: Table<'_>) -> Argument {
    let name = table.required("name", 64);
    let offers = table.text("values_of", 200).and_then(|text| {
        let parts =
            text.split_once('#').map(|(template, variable)| (template.to_owned(), variable.to_owned()));
        if parts.is_none() {
            let fix = "write a template of resources, # and a variable of it: file:///{+path}#path";
            table.refuse("values_of", "names no variable", fix);
        }
        parts
    });
    let read = Argument {
        title: table.text("title", 200).unwrap_or_else(|| name.clone()),
        name,
        about: table.required("about", 1_000),
        required: table.flag("required").unwrap_or(false),
        max_length: table.number("max_length", 10_000).unwrap_or(MAX_VALUE),
        values: table.texts("values", (MOST_VALUES, 1_000)),
        offers,
    };
    table.finish();
    read
}

fn line(mut table: Table<'_>, arguments: &[Argument]) -> Option<Line> {
    let role = match &*table.text("role", 20).unwrap_or_else(|| "user".into()) {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => {
            table.refuse("role", "is no role", "write user or assistant");
            Role::User
        }
    };
    let (text, resource) = (table.text("text", MAX_TEXT), table.text("resource", 4_000));
    let says = match (text, resource) {
        (Some(text), None) => fill(&mut table, ("text", &text), arguments).map(Says::Text),
        (None, Some(uri)) => fill(&mut table, ("resource", &uri), arguments).map(Says::Resource),
        _ => {
            table.refuse("text", "or resource must be there, and one of them only", "write one of the two");
            None
        }
    };
    table.finish();
    Some(Line { role, says: says? })
}

fn fill(table: &mut Table<'_>, (name, text): (&str, &str), arguments: &[Argument]) -> Option<Fill> {
    Fill::parse(text, arguments)
        .map_err(|fault| table.refuse(name, fault, "write {name} of an argument in [[arguments]]"))
        .ok()
}

impl Prompt for FilePrompt {
    fn spec(&self) -> &PromptSpec {
        &self.spec
    }

    fn get<'a>(
        &'a self,
        values: &'a Values,
        _: &'a Call<'a, GetPrompt>,
    ) -> LocalFuture<'a, Result<Vec<Message>, ToolError>> {
        let message = |line: &Line| Message {
            role: line.role,
            block: match &line.says {
                Says::Text(fill) => Block::Content(Content::Text(fill.text(values))),
                Says::Resource(fill) => Block::Embedded(fill.uri(values)),
            },
        };
        let messages = self.messages.iter().map(message).collect();
        Box::pin(async move { Ok(messages) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::permit_for_tests;

    const GOOD: &str = r#"
about = "Explains a file."
needs = "files:read"
icons = ["https://example.org/a.png"]
[[arguments]]
name = "path"
about = "Which."
required = true
values_of = "file:///{+path}#path"
[[messages]]
role = "assistant"
text = "About {path}: {{braces}}"
[[messages]]
resource = "file:///{path}"
"#;

    #[tokio::test]
    async fn a_file_is_a_prompt_with_what_stands_in_it() {
        let prompt = FilePrompt::parse("explain", "prompts/explain.toml", GOOD).unwrap();
        let spec = prompt.spec();
        assert_eq!((&*spec.name, &*spec.title, &*spec.needs), ("explain", "explain", "files:read"));
        assert_eq!(spec.arguments[0].offers, Some(("file:///{+path}".into(), "path".into())));
        assert_eq!((spec.arguments[0].required, spec.arguments[0].max_length), (true, 1_000));
        let values = Values::check(&spec.arguments, [("path".into(), "a {path}.txt".into())]).unwrap();
        let messages = prompt.get(&values, &Call::new(&permit_for_tests())).await.unwrap();
        let said = Block::Content(Content::Text("About a {path}.txt: {braces}".into()));
        let embedded = Block::Embedded("file:///a%20%7Bpath%7D.txt".into());
        let roles: Vec<_> = messages.iter().map(|message| message.role).collect();
        let blocks: Vec<_> = messages.into_iter().map(|message| message.block).collect();
        assert_eq!((roles, blocks), (vec![Role::Assistant, Role::User], vec![said, embedded]));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_by_its_place() {
        let text = r#"
abuot = "x"
needs = 7
icons = ["http://example.org/a.png"]
[[arguments]]
name = "a b"
about = "x"
requird = true
max_length = 0
values = [1]
values_of = "file:///{+path}"
[[messages]]
role = "system"
text = "{nothing}"
[[messages]]
text = "x"
resource = "y"
"#;
        let problems = FilePrompt::parse("x", "prompts/x.toml", text).unwrap_err();
        let mut keys: Vec<_> = problems.iter().map(|one| &*one.key).collect();
        keys.sort_unstable();
        let expected = [
            "about",
            "abuot",
            "arguments[0].max_length",
            "arguments[0].requird",
            "arguments[0].values[0]",
            "arguments[0].values_of",
            "icons[0]",
            "messages[0].role",
            "messages[0].text",
            "messages[1].text",
            "needs",
        ];
        assert_eq!(keys, expected.map(|place| format!("prompts/x.toml {place}")));
        let named = problems.iter().find(|one| one.key.ends_with("abuot")).unwrap();
        assert!(named.fix.contains("about"), "{named}");
    }

    #[test]
    fn what_is_no_toml_is_said_with_its_line() {
        let problems = FilePrompt::parse("x", "prompts/x.toml", "about = \"x\"\nneeds = ").unwrap_err();
        assert_eq!((problems.len(), &*problems[0].key), (1, "prompts/x.toml"));
        assert!(problems[0].problem.contains("line 2"), "{}", problems[0].problem);
    }
}
