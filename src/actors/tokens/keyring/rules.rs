//! What every token of ours must say, and the bounds of what it may.

use std::time::Duration;

use serde::Deserialize;
use uuid::{NoContext, Uuid};

use crate::{
    actors::tokens::{Moment, TokenError},
    domain::{
        AccessClaims, Audience, RefreshClaims, Subject, TOKEN_TYPE_ACCESS, TOKEN_TYPE_REFRESH, Timestamp,
    },
};

/// Longest token that is looked at, bytes; ours are about 500, with RS256 about 900.
pub const MAX_TOKEN_BYTES: usize = 8_192;
/// Longest life of a refresh token, whatever the settings say.
pub const MAX_REFRESH_TTL: Duration = Duration::from_secs(366 * 86_400);
/// Longest `jti` and `client_id`, bytes.
const MAX_ID_BYTES: usize = 128;
/// Most roles and most single permissions in one token.
const MAX_GRANTS: usize = 128;

/// What every token of ours must say, and what we say in every token that we mint.
#[derive(Debug, Clone)]
pub struct TokenRules {
    /// `iss`.
    pub issuer: String,
    /// `aud`: every resource that this server is.
    pub audience: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Longest life of an access token, `exp − iat`.
    pub max_ttl: Duration,
}

/// The times of a token: issued, not before, not from then on.
struct Span {
    iat: u64,
    nbf: u64,
    exp: u64,
}

impl TokenRules {
    /// The audience as it stands in our tokens.
    pub(super) fn own_audience(&self) -> Audience {
        match self.audience.as_slice() {
            [one] => Audience::One(one.clone()),
            many => Audience::Many(many.to_vec()),
        }
    }

    /// Holds the claims of an access token against the rules.
    pub(super) fn check_access(&self, claims: &AccessClaims, at: Moment) -> Result<(), TokenError> {
        if claims.kind != TOKEN_TYPE_ACCESS {
            return Err(TokenError::WrongType);
        }
        self.check_origin(&claims.iss, &claims.aud)?;
        let ids = is_id(&claims.jti) && is_id(&claims.client_id);
        if claims.sub.parse::<Subject>().is_err() || !ids || !has_few_grants(claims) {
            return Err(TokenError::Claims);
        }
        self.check_span(&Span { iat: claims.iat, nbf: claims.nbf, exp: claims.exp }, self.max_ttl, at)
    }

    /// Holds the claims of a refresh token against the rules.
    pub(super) fn check_refresh(&self, claims: &RefreshClaims, at: Moment) -> Result<(), TokenError> {
        if claims.kind != TOKEN_TYPE_REFRESH {
            return Err(TokenError::WrongType);
        }
        self.check_origin(&claims.iss, &claims.aud)?;
        if claims.sub.parse::<Subject>().is_err() || !is_id(&claims.jti) || !is_id(&claims.family) {
            return Err(TokenError::Claims);
        }
        self.check_span(&Span { iat: claims.iat, nbf: claims.iat, exp: claims.exp }, MAX_REFRESH_TTL, at)
    }

    fn check_origin(&self, issuer: &str, audience: &Audience) -> Result<(), TokenError> {
        if issuer != self.issuer {
            return Err(TokenError::UnknownIssuer);
        }
        let audience = audience.as_slice();
        let is_ours = !audience.is_empty() && audience.iter().all(|aud| self.audience.contains(aud));
        if is_ours { Ok(()) } else { Err(TokenError::WrongAudience) }
    }

    fn check_span(&self, span: &Span, longest: Duration, at: Moment) -> Result<(), TokenError> {
        let soon = at.reached.plus(self.leeway).secs();
        let life = span.exp.checked_sub(span.iat).ok_or(TokenError::Claims)?;
        if life > longest.as_secs() || span.nbf > soon || span.iat > soon {
            return Err(TokenError::Claims);
        }
        if has_ended(span.exp, self.leeway, at.now) { Err(TokenError::Expired) } else { Ok(()) }
    }
}

/// An id as it may stand in a token: 1 to 128 visible ASCII characters.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether the lists of grants are short enough.
pub(super) fn has_few_grants(claims: &AccessClaims) -> bool {
    claims.roles.len() <= MAX_GRANTS && claims.permissions.len() <= MAX_GRANTS
}

/// Whether a credential that ends at `exp` (whole seconds) is over, clocks being `leeway` apart at most.
pub fn has_ended(exp: u64, leeway: Duration, now: Timestamp) -> bool {
    now >= Timestamp::from_secs(exp).plus(leeway)
}

/// A new id for a token issued at `now`, to the millisecond.
pub(super) fn new_id(now: Timestamp) -> String {
    let nanos = u32::try_from(now.micros() % 1_000_000).unwrap_or(0) * 1_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, now.secs(), nanos)).to_string()
}

/// When an access token was issued, as exactly as it says: the milliseconds of a UUID version 7, else `iat`,
/// which cannot order tokens within one second.
pub fn issued_at(claims: &AccessClaims) -> Timestamp {
    issued(&claims.jti, claims.iat)
}

/// When a token with this id was issued.
pub(in crate::actors::tokens) fn issued(jti: &str, iat: u64) -> Timestamp {
    let by_id = Uuid::try_parse(jti).ok().filter(|id| id.get_version_num() == 7);
    match by_id.and_then(|id| id.get_timestamp()) {
        Some(stamp) => {
            let (secs, nanos) = stamp.to_unix();
            Timestamp::from_secs(secs).plus(Duration::from_nanos(u64::from(nanos)))
        }
        None => Timestamp::from_secs(iat),
    }
}

/// Only the type, for a token whose other claims are not those that were expected.
#[derive(Deserialize)]
struct TypeOnly {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Why signed claims are not those of a token of type `kind`.
pub(super) fn misfit(payload: &[u8], kind: &str) -> TokenError {
    match serde_json::from_slice::<TypeOnly>(payload) {
        Ok(TypeOnly { kind: Some(other) }) if other != kind => TokenError::WrongType,
        _ => TokenError::Claims,
    }
}
