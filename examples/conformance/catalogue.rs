//! The suite's resources and prompts.

use std::{sync::Arc, time::Duration};

use portcullis::{
    policy::{GetPrompt, Permit, ReadResource},
    prompts::{Argument, Block, Message, Prompt, PromptSpec, Role, Values},
    resources::{Descriptor, Resource, ResourceBody, Source, SourceSpec, Suggestions, Template},
    tools::{Call, Content, LocalFuture, Said, ToolError},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{PERMISSION, PIXEL};

/// Resources of `test:`, fixed ones and one for each id.
pub(super) struct Fixtures;

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const WATCHED: &str = "test://watched-resource";

impl Source for Fixtures {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            prefix: "test://",
            needs: PERMISSION,
            verbatim: false,
            deadline: Duration::from_secs(1),
            templates: &[Template {
                uri: "test://template/{id}/data",
                name: "template",
                title: "Data of an id",
                about: "Says which id it was asked for.",
                mime_type: Some("application/json"),
            }],
        }
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a str>,
        most: usize,
        _: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<(Vec<Descriptor>, bool), ToolError>> {
        let one = |(uri, name, mime_type): &(&str, &str, &str)| Descriptor {
            about: Some("A fixture.".to_owned()),
            mime_type: Some((*mime_type).to_owned()),
            ..Descriptor::new(*uri, *name)
        };
        // In the order of their URIs.
        let all = [
            (BINARY, "static-binary", "image/png"),
            (TEXT, "static-text", "text/plain"),
            (WATCHED, "watched-resource", "text/plain"),
        ];
        let behind = all.iter().filter(|(uri, ..)| after.is_none_or(|after| *uri > after));
        let page: Vec<_> = behind.clone().take(most).map(one).collect();
        let goes_on = behind.count() > page.len();
        Box::pin(async move { Ok((page, goes_on)) })
    }

    fn read<'a>(
        &'a self,
        uri: &'a str,
        _: &'a Call<'a, ReadResource>,
    ) -> LocalFuture<'a, Result<Resource, ToolError>> {
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let (mime_type, body) = match (uri, id) {
            (TEXT, _) => ("text/plain", text("This is the content of the static text resource.")),
            (BINARY, _) => ("image/png", ResourceBody::Blob(PIXEL.to_vec())),
            (WATCHED, _) => ("text/plain", text("It never changes.")),
            (_, Some(id)) if !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                let json = format!(r#"{{"id":"{id}","templateTest":true,"data":"Data for ID: {id}"}}"#);
                ("application/json", ResourceBody::Text(json))
            }
            _ => return Box::pin(async { Err(ToolError::NotFound("there is none".to_owned())) }),
        };
        let read = Resource { uri: uri.to_owned(), mime_type: Some(mime_type.to_owned()), body };
        Box::pin(async { Ok(read) })
    }

    fn complete<'a>(
        &'a self,
        _: &'a Template,
        (_, beginning): (&'a str, &'a str),
        _: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<Suggestions, ToolError>> {
        Box::pin(async move { Ok(Suggestions::among(["123", "456"], beginning)) })
    }
}

fn text(text: &str) -> ResourceBody {
    ResourceBody::Text(text.to_owned())
}

/// A prompt that asks what it is for.
struct Asking(PromptSpec);

#[derive(Deserialize, JsonSchema)]
struct UserContext {
    /// What you are working on.
    context: String,
}

impl Prompt for Asking {
    fn spec(&self) -> &PromptSpec {
        &self.0
    }

    fn get<'a>(
        &'a self,
        _: &'a Values,
        call: &'a Call<'a, GetPrompt>,
    ) -> LocalFuture<'a, Result<Vec<Message>, ToolError>> {
        Box::pin(async {
            let context = match call.elicit("user_context", "What context should the prompt use?")? {
                Said::Accepted(UserContext { context }) => context,
                Said::Declined | Said::Cancelled => "none".to_owned(),
            };
            Ok(vec![Message::user(format!("The context is: {context}"))])
        })
    }
}

/// A prompt with what it says.
struct Fixture {
    spec: PromptSpec,
    says: fn(&Values) -> Vec<Block>,
}

impl Prompt for Fixture {
    fn spec(&self) -> &PromptSpec {
        &self.spec
    }

    fn get<'a>(
        &'a self,
        values: &'a Values,
        _: &'a Call<'a, GetPrompt>,
    ) -> LocalFuture<'a, Result<Vec<Message>, ToolError>> {
        let messages =
            (self.says)(values).into_iter().map(|block| Message { role: Role::User, block }).collect();
        Box::pin(async { Ok(messages) })
    }
}

fn prompt(name: &str, arguments: &[&str], says: fn(&Values) -> Vec<Block>) -> Arc<dyn Prompt> {
    Arc::new(Fixture { spec: spec(name, arguments), says })
}

fn spec(name: &str, arguments: &[&str]) -> PromptSpec {
    let argument = |name: &&str| Argument {
        values: vec!["paris".to_owned(), "park".to_owned(), "party".to_owned()],
        ..Argument::required(name, "An argument.")
    };
    PromptSpec {
        name: name.to_owned(),
        title: name.to_owned(),
        about: "A fixture.".to_owned(),
        needs: PERMISSION.to_owned(),
        arguments: arguments.iter().map(argument).collect(),
        icons: Vec::new(),
    }
}

fn said(text: impl Into<String>) -> Block {
    Block::Content(Content::Text(text.into()))
}

/// Every prompt of the suite.
pub(super) fn prompts() -> Vec<Arc<dyn Prompt>> {
    vec![
        Arc::new(Asking(spec("test_input_required_result_prompt", &[]))),
        prompt("test_simple_prompt", &[], |_| vec![said("This is a simple prompt for testing.")]),
        prompt("test_prompt_with_arguments", &["arg1", "arg2"], |values| {
            let (one, other) = (values.get("arg1"), values.get("arg2"));
            vec![said(format!("Prompt with arguments: arg1='{one}', arg2='{other}'"))]
        }),
        prompt("test_prompt_with_embedded_resource", &["resourceUri"], |values| {
            let resource = Resource {
                uri: values.get("resourceUri").to_owned(),
                mime_type: Some("text/plain".to_owned()),
                body: text("Embedded resource content for testing."),
            };
            let embedded = Block::Content(Content::Resource(resource));
            vec![embedded, said("Please process the embedded resource above.")]
        }),
        prompt("test_prompt_with_image", &[], |_| {
            let image = Content::Image { data: PIXEL.to_vec(), mime_type: "image/png".to_owned() };
            vec![Block::Content(image), said("Please analyze the image above.")]
        }),
    ]
}
