//! The headers that decide anything, found in one pass over all of them.

use actix_web::http::header::{HeaderMap, HeaderValue};

/// A header that must not stand twice.
#[derive(Debug, Clone, Copy, Default)]
pub enum Field<'a> {
    /// Not there.
    #[default]
    Absent,
    /// There once.
    One(&'a HeaderValue),
    /// There more than once: nobody can say which one counts.
    Many,
}

impl<'a> Field<'a> {
    /// The one value, if there is exactly one and it is text.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::One(value) => value.to_str().ok(),
            Self::Absent | Self::Many => None,
        }
    }

    /// Whether it is there at all.
    pub fn is_present(self) -> bool {
        !matches!(self, Self::Absent)
    }

    fn add(&mut self, value: &'a HeaderValue) {
        *self = if self.is_present() { Self::Many } else { Self::One(value) };
    }
}

/// The headers of one request that anything of ours reads.
#[derive(Debug, Clone, Default)]
pub struct Headers<'a> {
    /// `Host`.
    pub host: Field<'a>,
    /// `Origin`.
    pub origin: Field<'a>,
    /// `Content-Type`.
    pub content_type: Field<'a>,
    /// `Content-Encoding`.
    pub content_encoding: Field<'a>,
    /// `Content-Length`.
    pub content_length: Field<'a>,
    /// `Accept`, which may stand more than once: whether one of ours is in it; `None` if it is not there.
    pub accepts: Option<bool>,
    /// The same, if it stands once.
    pub accept: Field<'a>,
    /// `Authorization`.
    pub authorization: Field<'a>,
    /// `X-API-Key`.
    pub api_key: Field<'a>,
    /// `User-Agent`.
    pub user_agent: Field<'a>,
    /// `MCP-Protocol-Version`.
    pub version: Field<'a>,
    /// `Mcp-Method`.
    pub method: Field<'a>,
    /// `Mcp-Name`.
    pub name: Field<'a>,
    /// Bytes of all headers together, names, values and line ends.
    pub bytes: usize,
}

impl<'a> Headers<'a> {
    /// Finds them.
    pub fn of(all: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in all {
            found.bytes += name.as_str().len() + value.len() + 4;
            let field = match name.as_str() {
                "host" => &mut found.host,
                "origin" => &mut found.origin,
                "content-type" => &mut found.content_type,
                "content-encoding" => &mut found.content_encoding,
                "content-length" => &mut found.content_length,
                "authorization" => &mut found.authorization,
                "x-api-key" => &mut found.api_key,
                "user-agent" => &mut found.user_agent,
                "mcp-protocol-version" => &mut found.version,
                "mcp-method" => &mut found.method,
                "mcp-name" => &mut found.name,
                "accept" => {
                    found.accepts = Some(found.accepts == Some(true) || takes_ours(value));
                    &mut found.accept
                }
                _ => continue,
            };
            field.add(value);
        }
        found
    }

    /// Whether the client takes an event stream. One that says nothing, or says it in several headers, is not sent
    /// one that it has not asked for.
    pub fn takes_events(&self) -> bool {
        let Some(accept) = self.accept.text() else { return false };
        let taken = ["text/event-stream", "text/*", "*/*"];
        accept.split(',').any(|range| taken.iter().any(|taken| bare(range).eq_ignore_ascii_case(taken)))
    }

    /// The length that the client announces for its body, if it announces one that is a number.
    pub fn announced_length(&self) -> Option<usize> {
        self.content_length.text()?.parse().ok()
    }
}

/// What the protocol has every client send (specification, Streamable HTTP).
const USUAL_ACCEPT: &[u8] = b"application/json, text/event-stream";

/// Whether an `Accept` holds JSON or an event stream. Many send `*/*` or only one of the two.
fn takes_ours(accept: &HeaderValue) -> bool {
    const TAKEN: [&str; 5] = ["application/json", "text/event-stream", "*/*", "application/*", "text/*"];
    let mut ranges = accept.to_str().unwrap_or_default().split(',');
    accept.as_bytes() == USUAL_ACCEPT
        || ranges.any(|range| TAKEN.iter().any(|taken| bare(range).eq_ignore_ascii_case(taken)))
}

/// A media type or range without its parameters.
pub(super) fn bare(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    #[test]
    fn what_stands_twice_is_told_from_what_stands_once() {
        let mut all = HeaderMap::new();
        for (name, value) in [("mcp-name", "a"), ("Mcp-Name", "b"), ("host", "h"), ("x-other", "o")] {
            all.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let found = Headers::of(&all);
        assert!(matches!(found.name, Field::Many));
        assert_eq!(found.host.text(), Some("h"));
        assert!(!found.origin.is_present());
        assert_eq!(found.bytes, 2 * 13 + 9 + 12);
    }
}
