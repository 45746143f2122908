//! Whether a message is one that this server speaks: its body, then its headers against its body.
//!
//! The ladder of the specification, in its order: `_meta`, version header, version, mirrored headers.

use std::borrow::Cow;

use actix_web::http::header::HeaderMap;
use serde_json::json;

use super::refusal::Refusal;
use crate::{
    error::Code,
    protocol::{self, Envelope, MODERN, Meta, Params, SUPPORTED, decode_header},
};

const VERSION_HEADER: &str = "mcp-protocol-version";
const METHOD_HEADER: &str = "mcp-method";
const NAME_HEADER: &str = "mcp-name";

/// Checks a request (not a notification) of whatever era.
///
/// # Errors
/// The first rung of the ladder that does not hold.
pub(super) fn check(
    envelope: &Envelope<'_>,
    params: &Params<'_>,
    meta: &Meta<'_>,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    if !meta.claims_version() {
        return Err(no_claim(envelope, headers));
    }
    if let Some(missing) = meta.first_problem() {
        let message = format!("missing or malformed _meta {missing}");
        return Err(Refusal::new(Code::InvalidParams, message).with_bad_request());
    }
    let claimed = meta.version().unwrap_or_default();
    mirrors(headers, VERSION_HEADER, &claimed, Plain)?;
    if !SUPPORTED.contains(&&*claimed) {
        return Err(unsupported(&claimed));
    }
    mirrors(headers, METHOD_HEADER, &envelope.method, Plain)?;
    if envelope.method == "tools/call" {
        let Some(name) = params.tool_name() else {
            return Err(Refusal::new(Code::InvalidParams, "params.name must be a string"));
        };
        mirrors(headers, NAME_HEADER, &name, Encoded)?;
    }
    Ok(())
}

/// A request whose body claims no revision belongs to an older era, which this server does not speak.
fn no_claim(envelope: &Envelope<'_>, headers: &HeaderMap) -> Refusal {
    let header = headers.get(VERSION_HEADER).and_then(|value| value.to_str().ok());
    let modern = header.is_some_and(|value| is_date(value) && value >= MODERN);
    if envelope.method != "initialize" {
        let message = "missing _meta io.modelcontextprotocol/protocolVersion";
        return Refusal::new(Code::InvalidParams, message).with_bad_request();
    }
    if modern {
        return Refusal::new(
            Code::HeaderMismatch,
            "initialize belongs to revisions before the one in the header",
        );
    }
    let requested = envelope.params.and_then(|params| {
        let params: serde_json::Value = serde_json::from_str(params.get()).ok()?;
        Some(params.get("protocolVersion")?.as_str()?.chars().take(64).collect::<String>())
    });
    unsupported(&requested.unwrap_or_default())
}

fn unsupported(requested: &str) -> Refusal {
    let requested: String = requested.chars().take(64).collect();
    Refusal::new(Code::UnsupportedVersion, "unsupported protocol version")
        .with("supported", json!(SUPPORTED))
        .with("requested", json!(requested))
}

/// `YYYY-MM-DD`: dates of that shape compare as text.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() })
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
fn mirrors(headers: &HeaderMap, name: &str, body: &str, spelling: Spelling) -> Result<(), Refusal> {
    let mismatch = |what: &str| Refusal::new(Code::HeaderMismatch, format!("header mismatch: {name} {what}"));
    let mut values = headers.get_all(name);
    let value = values.next().ok_or_else(|| mismatch("is required"))?;
    if values.next().is_some() {
        return Err(mismatch("stands twice"));
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

/// Finds params and `_meta` of an envelope.
///
/// # Errors
/// [`protocol::WireError`] where a member stands twice.
pub(super) fn open<'a>(envelope: &Envelope<'a>) -> Result<(Params<'a>, Meta<'a>), protocol::WireError> {
    let params = Params::parse(envelope.params)?;
    let meta = Meta::parse(params.meta)?;
    Ok((params, meta))
}
