//! The one header credential of a request.

use std::fmt;

use crate::{
    domain::ApiKeySecret,
    edge::{Field, Headers},
    error::{Code, Coded},
};

/// What a request shows, not verified yet. `Debug` shows its kind alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// `Authorization: Bearer …`; whatever stands there is a token, unless it begins as our keys do.
    Bearer(&'a str),
    /// `X-API-Key: …`, or a key as bearer.
    ApiKey(&'a str),
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(..)",
            Self::ApiKey(_) => "ApiKey(..)",
        })
    }
}

/// Why a request shows no credential that could be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// None at all.
    #[error("a credential is needed: Authorization: Bearer <token>")]
    Missing,
    /// Two of them, or one in the query string, or a scheme that we do not speak.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Coded for CredentialError {
    fn code(&self) -> Code {
        match self {
            Self::Missing => Code::MissingCredential,
            Self::Malformed(_) => Code::MalformedCredential,
        }
    }
}

impl<'a> Credential<'a> {
    /// The word for its kind in metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Bearer(_) => "jwt",
            Self::ApiKey(_) => "api_key",
        }
    }

    /// The credential of a request. The query is looked at only to refuse a token in it (RFC 6750 §2.3 is
    /// forbidden by MCP: URLs end up in logs).
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn of(headers: &Headers<'a>, query: &str) -> Result<Self, CredentialError> {
        if query.split('&').any(|pair| pair.split('=').next() == Some("access_token")) {
            return Err(CredentialError::Malformed("a token in the query string is never read"));
        }
        match (headers.authorization, headers.api_key) {
            (Field::Absent, Field::Absent) => Err(CredentialError::Missing),
            (Field::One(bearer), Field::Absent) => bearer_of(bearer.as_bytes()),
            // Bytes that are no text are no key of ours either: not found, not malformed.
            (Field::Absent, Field::One(key)) => Ok(Self::ApiKey(key.to_str().unwrap_or_default())),
            _ => Err(CredentialError::Malformed("send exactly one credential")),
        }
    }
}

/// The token behind the scheme, whose name is case-insensitive (RFC 9110 §11.1).
fn bearer_of(value: &[u8]) -> Result<Credential<'_>, CredentialError> {
    let end = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
    let (scheme, token) = value.split_at_checked(end).unwrap_or((value, b""));
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(CredentialError::Malformed("the only Authorization scheme here is Bearer"));
    }
    let token = token.get(1..).unwrap_or_default();
    let token = std::str::from_utf8(token).unwrap_or_default();
    let is_key = token.starts_with(ApiKeySecret::PREFIX);
    Ok(if is_key { Credential::ApiKey(token) } else { Credential::Bearer(token) })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn of(pairs: &[(&str, &str)], query: &str) -> Result<String, CredentialError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Credential::of(&Headers::of(&headers), query).map(|credential| match credential {
            Credential::Bearer(token) => format!("Bearer({token:?})"),
            Credential::ApiKey(key) => format!("ApiKey({key:?})"),
        })
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_the_rest_is_the_token() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(
                of(&[("authorization", &format!("{scheme} a.b.c"))], "").unwrap(),
                "Bearer(\"a.b.c\")"
            );
        }
        assert_eq!(of(&[("authorization", "Bearer")], "").unwrap(), "Bearer(\"\")");
        assert_eq!(of(&[("authorization", "bearer mcp_x")], "").unwrap(), "ApiKey(\"mcp_x\")");
        assert_eq!(of(&[("x-api-key", "mcp_x")], "x=1").unwrap(), "ApiKey(\"mcp_x\")");
    }

    #[test]
    fn what_is_shown_for_debugging_is_no_credential() {
        let shown = format!("{:?} {:?}", Credential::Bearer("a.b.c"), Credential::ApiKey("mcp_x"));
        assert_eq!(shown, "Bearer(..) ApiKey(..)");
    }

    #[test]
    fn more_than_one_credential_or_another_place_is_malformed() {
        let malformed = |pairs: &[(&str, &str)], query: &str| {
            assert!(matches!(of(pairs, query), Err(CredentialError::Malformed(_))), "{pairs:?} {query}");
        };
        malformed(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], "");
        malformed(&[("authorization", "Bearer a"), ("x-api-key", "b")], "");
        malformed(&[("authorization", "Basic a")], "");
        malformed(&[("authorization", "")], "");
        malformed(&[("authorization", "Bearer a")], "x=1&access_token=b");
        assert_eq!(of(&[], "api_key=x"), Err(CredentialError::Missing));
    }
}
