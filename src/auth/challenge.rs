//! `WWW-Authenticate`: what a client needs to know to come back with a credential that holds.

use actix_web::http::header::HeaderValue;

use crate::error::Code;

/// The challenges of this server, put together once (RFC 6750 §3, RFC 9728 §5.1).
#[derive(Debug, Clone)]
pub struct Challenges {
    missing: HeaderValue,
    invalid: HeaderValue,
    metadata: String,
}

impl Challenges {
    /// Challenges that point to `metadata_url` and ask for `scopes` to begin with.
    ///
    /// `None` if one of them cannot stand in a header; the settings have checked both.
    pub fn new(metadata_url: &str, scopes: &[&str]) -> Option<Self> {
        let scope =
            if scopes.is_empty() { String::new() } else { format!(", scope=\"{}\"", scopes.join(" ")) };
        let rest = format!("resource_metadata=\"{metadata_url}\"{scope}");
        Some(Self {
            missing: HeaderValue::from_str(&format!("Bearer {rest}")).ok()?,
            invalid: HeaderValue::from_str(&format!("Bearer error=\"invalid_token\", {rest}")).ok()?,
            metadata: format!("resource_metadata=\"{metadata_url}\""),
        })
    }

    /// The challenge of a token that is narrower than its account: it names every scope that the call needs.
    pub fn for_scope(&self, scope: &str) -> Option<HeaderValue> {
        let text = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\", {}", self.metadata);
        HeaderValue::from_str(&text).ok()
    }

    /// The challenge that goes with a refusal; `None` where authenticating again would not help.
    ///
    /// Without a credential there is no `error` in it: nothing was wrong yet.
    pub fn for_code(&self, code: Code) -> Option<&HeaderValue> {
        match code {
            // A password is nothing that could stand in a header.
            Code::MissingCredential | Code::InvalidLogin => Some(&self.missing),
            _ => code.is_failed_proof().then_some(&self.invalid),
        }
    }
}
