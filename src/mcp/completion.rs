//! `completion/complete`: what an argument may be, as far as the caller may know.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::{
    answer::Answer,
    exchange::{Asked, Exchange},
    guarded::guarded,
    prompts,
    refusal::Refusal,
    resources,
};
use crate::{
    domain::Principal,
    error::Code,
    policy::{GetPrompt, ReadResource},
    protocol::Raw,
    resources::Suggestions,
    tools::{clean_name, hygiene},
};

/// Longest beginning of a value that is looked at, bytes.
const MAX_BEGINNING: usize = 4 * 1024;

/// What is to be completed.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Reference {
    /// An argument of a prompt.
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    /// A variable of a template of resources.
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

/// An argument, as far as it is written.
#[derive(Deserialize)]
struct Begun {
    name: String,
    value: String,
}

/// Completes one argument.
///
/// # Errors
/// [`Refusal`].
pub(super) async fn complete(exchange: &mut Exchange<'_>, asked: &mut Asked<'_>) -> Result<Answer, Refusal> {
    let rare = asked.params.rare.take().unwrap_or_default();
    let reference: Reference = read("ref", rare.reference)?;
    let begun: Begun = read("argument", rare.argument)?;
    if begun.value.len() > MAX_BEGINNING {
        return Err(Refusal::new(Code::InvalidParams, "params.argument.value is too long"));
    }
    let found = match reference {
        Reference::Prompt { name } => of_prompt(exchange, &asked.principal, &name, &begun).await?,
        Reference::Resource { uri } => of_template(exchange, &asked.principal, &uri, &begun).await?,
    };
    let values: Vec<_> = found.values.into_iter().take(Suggestions::MOST).collect();
    let completion = match found.total {
        Some(total) => json!({ "values": values, "total": total, "hasMore": found.has_more }),
        None => json!({ "values": values, "hasMore": found.has_more }),
    };
    // They are to be put in as they are, so nothing in them is replaced.
    let (text, _) = hygiene::json(completion.to_string(), true)?;
    let dress = exchange.house().views.dress(asked.revision);
    Ok(Answer::ok(dress.result(asked.id, format!("\"completion\":{text}").as_bytes())))
}

fn read<'de, T: Deserialize<'de>>(name: &str, raw: Option<Raw<'de>>) -> Result<T, Refusal> {
    let read = raw.and_then(|raw| serde_json::from_str(raw.text()).ok());
    read.ok_or_else(|| Refusal::new(Code::InvalidParams, format!("params.{name} is missing or malformed")))
}

async fn of_prompt(
    exchange: &mut Exchange<'_>,
    caller: &Arc<Principal>,
    name: &str,
    begun: &Begun,
) -> Result<Suggestions, Refusal> {
    let set = exchange.house().prompts.now();
    let entry = set.find(name).ok_or_else(|| prompts::unknown(name))?;
    exchange.permit::<GetPrompt>(caller, entry.needs()).ok_or_else(|| prompts::unknown(name))?;
    let arguments = &entry.prompt().spec().arguments;
    let argument = arguments.iter().find(|argument| argument.name == begun.name);
    let argument = argument.ok_or_else(|| no_argument(&begun.name))?;
    let Some((template, variable)) = &argument.offers else {
        return Ok(Suggestions::among(&argument.values, &begun.value));
    };
    let begun = Begun { name: variable.clone(), value: begun.value.clone() };
    // Who may have the prompt need not be one who may see the resources.
    match of_template(exchange, caller, template, &begun).await {
        Err(refusal) if refusal.code == Code::UnknownResource => Ok(Suggestions::default()),
        found => found,
    }
}

async fn of_template(
    exchange: &mut Exchange<'_>,
    caller: &Arc<Principal>,
    uri: &str,
    begun: &Begun,
) -> Result<Suggestions, Refusal> {
    let known = exchange.house().resources.template(uri);
    let (entry, template) = known.ok_or_else(|| resources::unknown(uri))?;
    let permit =
        exchange.permit::<ReadResource>(caller, entry.needs()).ok_or_else(|| resources::unknown(uri))?;
    if !template.has(&begun.name) {
        return Err(no_argument(&begun.name));
    }
    let completing = entry.source().complete(template, (&begun.name, &begun.value), &permit);
    Ok(guarded(exchange, (template.name, entry.spec().deadline), completing).await??)
}

fn no_argument(name: &str) -> Refusal {
    Refusal::new(Code::InvalidParams, format!("there is no argument {}", clean_name(name)))
}
