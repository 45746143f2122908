//! The claims of our tokens.

use serde::{Deserialize, Serialize};

/// The `typ` header of our access tokens (RFC 9068 §2.1).
pub const TOKEN_HEADER_TYPE: &str = "at+jwt";
/// The `type` claim of our access tokens.
pub const TOKEN_TYPE_ACCESS: &str = "access";
/// The `typ` header of our refresh tokens: one of their own, so that no reader of `at+jwt` takes one.
pub const REFRESH_HEADER_TYPE: &str = "rt+jwt";
/// The `type` claim of our refresh tokens.
pub const TOKEN_TYPE_REFRESH: &str = "refresh";

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

/// What a refresh token says, and nothing else: what its successor may do is asked of the store when it is
/// used. Times are whole seconds since the epoch.
///
/// A claim that stands twice does not parse, nor one of another type, nor one that is not named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshClaims {
    /// Who issued it.
    pub iss: String,
    /// Whom it speaks for.
    pub sub: String,
    /// The resources that its access tokens are for.
    pub aud: Audience,
    /// Its id: a UUID version 7.
    pub jti: String,
    /// When it was issued.
    pub iat: u64,
    /// Not valid from then on.
    pub exp: u64,
    /// Always `refresh`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The login that it descends from: when one token of it is used twice, all of them end.
    pub family: String,
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
