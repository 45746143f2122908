//! The claims of an access token.

use serde::{Deserialize, Serialize};

/// The `typ` header of our access tokens (RFC 9068 §2.1).
pub const TOKEN_HEADER_TYPE: &str = "at+jwt";
/// The `type` claim of our access tokens.
pub const TOKEN_TYPE_ACCESS: &str = "access";

/// What an access token says. Times are whole seconds since the epoch (RFC 7519 §2).
///
/// A claim that stands twice does not parse; one of another type does not parse either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who issued it; always one text, never a list.
    pub iss: String,
    /// Whom it speaks for.
    pub sub: String,
    /// Which resources it is for.
    pub aud: Audience,
    /// Its id: a UUID version 7 where we issued it, so that it also orders tokens by the millisecond.
    pub jti: String,
    /// When it was issued.
    pub iat: u64,
    /// Not valid before.
    pub nbf: u64,
    /// Not valid from then on.
    pub exp: u64,
    /// Which client it was given to.
    pub client_id: String,
    /// Always `access`; a refresh token says otherwise.
    #[serde(rename = "type")]
    pub kind: String,
    /// The subject as people write it.
    pub username: String,
    /// The roles that it carries; what they give is looked up at each use.
    pub roles: Vec<String>,
    /// Single permissions that it carries beside its roles.
    pub permissions: Vec<String>,
}

/// One resource or several (RFC 7519 §4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Audience {
    /// The resources as a slice.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}
