//! Which revision a message is of: its body decides, its headers only confirm.
//!
//! For the modern era the ladder of the specification, in its order: `_meta`, version header, version, mirrored
//! headers. Older clients mirror nothing.

use std::borrow::Cow;

use actix_web::http::Method as HttpMethod;
use serde_json::json;

use super::{dispatch::Method, refusal::Refusal};
use crate::{
    edge::{Field, Headers},
    error::Code,
    protocol::{Envelope, MODERN, MODERN_ONLY, Revision, decode_header},
    tools::clean_name,
};

/// Whether a request that is no POST may come from a client of an older revision.
pub(super) fn may_be_legacy(method: &HttpMethod, headers: &Headers<'_>) -> bool {
    matches!(*method, HttpMethod::GET | HttpMethod::DELETE) && !says_modern(headers)
}

/// Whether the headers alone say that the message is none of an older revision.
pub(super) fn says_modern(headers: &Headers<'_>) -> bool {
    headers.version.text().is_some_and(|version| is_date(version) && version >= MODERN)
}

/// A request that this server speaks.
pub(super) struct Checked<'a> {
    /// The revision that it is of.
    pub(super) revision: Revision,
    /// The tool that it calls, empty if it calls none.
    pub(super) tool: Cow<'a, str>,
}

/// What is said of a message beside its body.
#[derive(Clone, Copy)]
pub(super) enum Beside<'h> {
    /// The headers of its request, and the revision that its session has agreed on, if it came in one.
    Headers(&'h Headers<'h>, Option<Revision>),
    /// Nothing, and there is nothing to mirror; a client of an older revision says once which one it speaks.
    Agreed(Option<Revision>),
}

impl<'h> Beside<'h> {
    fn headers(self) -> Option<&'h Headers<'h>> {
        match self {
            Self::Headers(headers, _) => Some(headers),
            Self::Agreed(_) => None,
        }
    }

    fn says_modern(self) -> bool {
        self.headers().is_some_and(says_modern)
    }
}

/// Checks a request (not a notification) of whatever era.
///
/// # Errors
/// The first rung of the ladder that does not hold.
pub(super) fn check<'a>(envelope: &Envelope<'a>, beside: Beside<'_>) -> Result<Checked<'a>, Refusal> {
    let meta = &envelope.params.meta;
    if !meta.claims_version() {
        return check_legacy(envelope, beside);
    }
    let headers = beside.headers();
    if let Some(missing) = meta.first_problem() {
        let message = format!("missing or malformed _meta {missing}");
        return Err(Refusal::new(Code::InvalidParams, message).with_bad_request());
    }
    let claimed = meta.version().unwrap_or_default();
    headers.map_or(Ok(()), |all| mirrors("mcp-protocol-version", all.version, &claimed, Plain))?;
    if claimed != MODERN {
        return Err(unsupported(&claimed));
    }
    headers.map_or(Ok(()), |all| mirrors("mcp-method", all.method, &envelope.method, Plain))?;
    let (revision, tool) = (Revision::July2026, tool_of(envelope, headers)?);
    check_name(envelope, headers)?;
    if Method::find(&envelope.method, revision).is_some() {
        check_options(envelope)?;
    }
    Ok(Checked { revision, tool })
}

/// Checks a notification. The modern era has no rules for one's headers (T13).
///
/// # Errors
/// Of an older era, and its header names none of ours (G9).
pub(super) fn check_notification(envelope: &Envelope<'_>, beside: Beside<'_>) -> Result<(), Refusal> {
    if envelope.params.meta.claims_version() || beside.says_modern() {
        return Ok(());
    }
    legacy_revision(beside).map(drop)
}

/// A request whose body claims no revision is one of an older era, unless its headers say otherwise.
fn check_legacy<'a>(envelope: &Envelope<'a>, beside: Beside<'_>) -> Result<Checked<'a>, Refusal> {
    if beside.says_modern() {
        return Err(if envelope.method == "initialize" {
            let message = "initialize belongs to revisions before the one in the header";
            Refusal::new(Code::HeaderMismatch, message)
        } else {
            let message = "missing _meta io.modelcontextprotocol/protocolVersion";
            Refusal::new(Code::InvalidParams, message).with_bad_request()
        });
    }
    let revision = legacy_revision(beside)?;
    let tool = match (&*envelope.method, envelope.params.tool_name()) {
        ("tools/call", Some(name)) => name,
        ("tools/call", None) => return Err(nameless().in_revision(revision)),
        _ => Cow::Borrowed(""),
    };
    check_options(envelope).map_err(|refusal| refusal.in_revision(revision))?;
    Ok(Checked { revision, tool })
}

/// The revision of a message of an older era: what was agreed on, else what the header says, and without either the
/// oldest (G9).
///
/// # Errors
/// The header names none of ours; that is no request of ours, hence 400.
pub(super) fn legacy_revision(beside: Beside<'_>) -> Result<Revision, Refusal> {
    let (headers, agreed) = match beside {
        Beside::Headers(headers, agreed) => (headers, agreed),
        Beside::Agreed(revision) => return Ok(revision.unwrap_or(Revision::March2025)),
    };
    let named = match headers.version {
        Field::Absent => return Ok(agreed.unwrap_or(Revision::March2025)),
        field => field.text().and_then(|name| Revision::legacy(name.trim_matches([' ', '\t']))),
    };
    let names = Revision::LEGACY.map(Revision::name).join(", ");
    // Some clients name another one of ours than they have agreed on.
    named.map(|named| agreed.unwrap_or(named)).ok_or_else(|| {
        let message = format!("mcp-protocol-version must be one of {names}, or that of the body's _meta");
        Refusal::new(Code::InvalidRequest, message)
    })
}

/// The optional members of `_meta` fit.
fn check_options(envelope: &Envelope<'_>) -> Result<(), Refusal> {
    envelope
        .params
        .meta
        .first_bad_option()
        .map_or(Ok(()), |bad| Err(Refusal::new(Code::InvalidParams, format!("malformed _meta {bad}"))))
}

fn nameless() -> Refusal {
    Refusal::new(Code::InvalidParams, "params.name must be a string")
}

/// The tool of a call, mirrored in its header.
fn tool_of<'a>(envelope: &Envelope<'a>, headers: Option<&Headers<'_>>) -> Result<Cow<'a, str>, Refusal> {
    if envelope.method != "tools/call" {
        return Ok(Cow::Borrowed(""));
    }
    let Some(name) = envelope.params.tool_name() else {
        return Err(nameless());
    };
    headers.map_or(Ok(()), |all| mirrors("mcp-name", all.name, &name, Encoded))?;
    Ok(name)
}

/// What a request for a prompt, a resource or a task names is mirrored as the name of a tool is (H3).
fn check_name(envelope: &Envelope<'_>, headers: Option<&Headers<'_>>) -> Result<(), Refusal> {
    let (named, what) = match &*envelope.method {
        "prompts/get" => (envelope.params.tool_name(), "params.name must be a string"),
        "resources/read" => (envelope.params.resource_uri(), "params.uri must be a string"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => {
            (envelope.params.task(), "params.taskId must be a string")
        }
        _ => return Ok(()),
    };
    let named = named.ok_or_else(|| Refusal::new(Code::InvalidParams, what))?;
    headers.map_or(Ok(()), |all| mirrors("mcp-name", all.name, &named, Encoded))
}

/// Names the modern revision alone: a client that is told of the one it has just claimed would ask again (D6).
fn unsupported(requested: &str) -> Refusal {
    let requested = clean_name(requested);
    Refusal::new(Code::UnsupportedVersion, "unsupported protocol version")
        .with("supported", json!(MODERN_ONLY))
        .with("requested", json!(requested))
}

/// `YYYY-MM-DD`: dates of that shape compare as text.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(
            |(at, b)| {
                if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() }
            },
        )
}

/// How a mirrored header may be written.
enum Spelling {
    /// As it is.
    Plain,
    /// As it is, or as a base64 sentinel.
    Encoded,
}
use Spelling::{Encoded, Plain};

/// Exactly one header `name`, equal to what the body says.
fn mirrors(name: &str, field: Field<'_>, body: &str, spelling: Spelling) -> Result<(), Refusal> {
    let mismatch = |what: &str| Refusal::new(Code::HeaderMismatch, format!("header mismatch: {name} {what}"));
    let value = match field {
        Field::One(value) => value,
        Field::Absent => return Err(mismatch("is required")),
        Field::Many => return Err(mismatch("stands twice")),
    };
    // The usual case, in which there is nothing to trim and nothing to decode.
    let is_plain = body.bytes().all(|b| b.is_ascii_graphic()) && !body.starts_with("=?");
    if is_plain && value.as_bytes() == body.as_bytes() {
        return Ok(());
    }
    let text = match spelling {
        Plain => value.to_str().ok().map(|text| Cow::Borrowed(text.trim_matches([' ', '\t']))),
        Encoded => decode_header(value.as_bytes()),
    };
    match text {
        Some(text) if text == body => Ok(()),
        Some(_) => Err(mismatch("differs from the body")),
        None => Err(mismatch("is not decodable")),
    }
}
