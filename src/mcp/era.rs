//! Whether a message is one that this server speaks: its body, then its headers against its body.
//!
//! The ladder of the specification, in its order: `_meta`, version header, version, mirrored headers.

use std::borrow::Cow;

use actix_web::http::Method as HttpMethod;
use serde_json::json;

use super::refusal::Refusal;
use crate::{
    edge::{Field, Headers},
    error::Code,
    protocol::{Envelope, MODERN, SUPPORTED, decode_header},
    tools::clean_name,
};

/// Whether a request that is no POST may come from a client of an older revision.
pub(super) fn may_be_legacy(method: &HttpMethod, headers: &Headers<'_>) -> bool {
    let modern = headers.version.text().is_some_and(|version| version >= MODERN);
    matches!(*method, HttpMethod::GET | HttpMethod::DELETE) && !modern
}

/// Checks a request (not a notification) of whatever era; gives the name of the tool that it calls, empty
/// if it calls none.
///
/// # Errors
/// The first rung of the ladder that does not hold.
pub(super) fn check<'a>(envelope: &Envelope<'a>, headers: &Headers<'_>) -> Result<Cow<'a, str>, Refusal> {
    let meta = &envelope.params.meta;
    if !meta.claims_version() {
        return Err(no_claim(envelope, headers));
    }
    if let Some(missing) = meta.first_problem() {
        let message = format!("missing or malformed _meta {missing}");
        return Err(Refusal::new(Code::InvalidParams, message).with_bad_request());
    }
    let claimed = meta.version().unwrap_or_default();
    mirrors("mcp-protocol-version", headers.version, &claimed, Plain)?;
    if !SUPPORTED.contains(&&*claimed) {
        return Err(unsupported(&claimed));
    }
    mirrors("mcp-method", headers.method, &envelope.method, Plain)?;
    let tool = tool_of(envelope, headers)?;
    match meta.first_bad_option() {
        Some(bad) if super::dispatch::Method::find(&envelope.method).is_some() => {
            Err(Refusal::new(Code::InvalidParams, format!("malformed _meta {bad}")))
        }
        _ => Ok(tool),
    }
}

/// The tool of a call, mirrored in its header.
fn tool_of<'a>(envelope: &Envelope<'a>, headers: &Headers<'_>) -> Result<Cow<'a, str>, Refusal> {
    if envelope.method != "tools/call" {
        return Ok(Cow::Borrowed(""));
    }
    let Some(name) = envelope.params.tool_name() else {
        return Err(Refusal::new(Code::InvalidParams, "params.name must be a string"));
    };
    mirrors("mcp-name", headers.name, &name, Encoded)?;
    Ok(name)
}

/// A request whose body claims no revision belongs to an older era, which this server does not speak.
fn no_claim(envelope: &Envelope<'_>, headers: &Headers<'_>) -> Refusal {
    if envelope.method != "initialize" {
        let message = "missing _meta io.modelcontextprotocol/protocolVersion";
        return Refusal::new(Code::InvalidParams, message).with_bad_request();
    }
    if headers.version.text().is_some_and(|value| is_date(value) && value >= MODERN) {
        return Refusal::new(
            Code::HeaderMismatch,
            "initialize belongs to revisions before the one in the header",
        );
    }
    unsupported(&envelope.params.requested_version().unwrap_or_default())
}

fn unsupported(requested: &str) -> Refusal {
    let requested = clean_name(requested);
    Refusal::new(Code::UnsupportedVersion, "unsupported protocol version")
        .with("supported", json!(SUPPORTED))
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
