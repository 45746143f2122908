//! Minting and verifying access tokens. Pure: the time comes in, nothing goes out.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Deserialize;
use uuid::Uuid;

use super::TokenError;
use crate::domain::{
    AccessClaims, Audience, SigningSecret, Subject, TOKEN_HEADER_TYPE, TOKEN_TYPE_ACCESS, Timestamp,
};

/// Longest token that is looked at, bytes; ours are about 500.
pub const MAX_TOKEN_BYTES: usize = 8_192;
/// Longest header segment, base64url characters.
const MAX_HEADER_CHARS: usize = 1_024;
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
    /// Longest life, `exp − iat`.
    pub max_ttl: Duration,
}

/// What a new token shall say.
#[derive(Debug, Clone)]
pub struct MintRequest {
    /// Whom it speaks for.
    pub subject: Subject,
    /// The client that gets it.
    pub client: String,
    /// Roles it carries.
    pub roles: Vec<String>,
    /// Single permissions it carries.
    pub permissions: Vec<String>,
    /// How long it lives; at most [`TokenRules::max_ttl`], at least one second.
    pub ttl: Duration,
}

/// A new token and what it says.
#[derive(Debug, Clone)]
pub struct Minted {
    /// The token. Whoever holds it is the subject.
    pub token: String,
    /// Its claims.
    pub claims: AccessClaims,
}

/// The signing key and the rules: published as a snapshot, read by every worker.
pub struct Keyring {
    sign: EncodingKey,
    check: DecodingKey,
    rules: TokenRules,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// The header members that decide anything. Whatever points to a key, or changes how the token is to be
/// read, refuses the token: `crit` (RFC 7515 §4.1.11), `jku`, `jwk`, `x5u`, `x5c`, and `kid`, since an
/// HS256 key has none.
#[derive(Deserialize)]
struct TokenHeader<'a> {
    alg: &'a str,
    typ: Option<&'a str>,
    crit: Option<serde::de::IgnoredAny>,
    b64: Option<serde::de::IgnoredAny>,
    kid: Option<serde::de::IgnoredAny>,
    jku: Option<serde::de::IgnoredAny>,
    jwk: Option<serde::de::IgnoredAny>,
    x5u: Option<serde::de::IgnoredAny>,
    x5c: Option<serde::de::IgnoredAny>,
}

impl TokenHeader<'_> {
    fn is_plain(&self) -> bool {
        let others = [&self.crit, &self.b64, &self.kid, &self.jku, &self.jwk, &self.x5u, &self.x5c];
        others.into_iter().all(Option::is_none)
    }
}

/// Only the type, for a token whose other claims are not those of an access token.
#[derive(Deserialize)]
struct TypeOnly {
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Keyring {
    /// An HS256 keyring.
    pub fn hs256(secret: &SigningSecret, rules: TokenRules) -> Self {
        let key = secret.expose();
        Self { sign: EncodingKey::from_secret(key), check: DecodingKey::from_secret(key), rules }
    }

    /// The rules.
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }

    /// Mints an access token at `now`.
    ///
    /// # Errors
    /// [`TokenError::Lifetime`] for a life of no second or one over the maximum, [`TokenError::Unfit`] for
    /// a client or a list of grants that [`verify`](Self::verify) would not take.
    pub fn mint(&self, request: &MintRequest, now: Timestamp) -> Result<Minted, TokenError> {
        if request.ttl < Duration::from_secs(1) || request.ttl > self.rules.max_ttl {
            return Err(TokenError::Lifetime);
        }
        let audience = match self.rules.audience.as_slice() {
            [one] => Audience::One(one.clone()),
            many => Audience::Many(many.to_vec()),
        };
        let claims = AccessClaims {
            iss: self.rules.issuer.clone(),
            sub: request.subject.as_str().to_owned(),
            aud: audience,
            jti: Uuid::now_v7().to_string(),
            iat: now.secs(),
            nbf: now.secs(),
            exp: now.secs() + request.ttl.as_secs(),
            client_id: request.client.clone(),
            kind: TOKEN_TYPE_ACCESS.to_owned(),
            username: request.subject.as_str().to_owned(),
            roles: request.roles.clone(),
            permissions: request.permissions.clone(),
        };
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TOKEN_HEADER_TYPE.to_owned());
        if !is_id(&claims.client_id) || !has_few_grants(&claims) {
            return Err(TokenError::Unfit);
        }
        let token = jsonwebtoken::encode(&header, &claims, &self.sign).map_err(|_| TokenError::Signing)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Unfit);
        }
        Ok(Minted { token, claims })
    }

    /// Verifies `token` at `now`: size, shape, algorithm, signature, then every claim. Revocation is
    /// somebody else's question, since it changes while the token does not.
    ///
    /// # Errors
    /// [`TokenError`], each saying what of the token does not hold.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') || header.len() > MAX_HEADER_CHARS {
            return Err(TokenError::Malformed);
        }
        let header = decode(header)?;
        let header: TokenHeader<'_> = serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
        // The algorithm is ours to say, never the token's: this one key does HS256 and nothing else.
        if header.alg != "HS256" || !header.is_plain() {
            return Err(TokenError::Malformed);
        }
        let holds =
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.check, Algorithm::HS256);
        if !holds.is_ok_and(|holds| holds) {
            return Err(TokenError::Signature);
        }
        if !header.typ.is_some_and(is_access_type) {
            return Err(TokenError::WrongType);
        }
        let payload = decode(payload)?;
        let claims: AccessClaims = serde_json::from_slice(&payload).map_err(|_| not_access(&payload))?;
        self.check_claims(&claims, now)?;
        Ok(claims)
    }

    fn check_claims(&self, claims: &AccessClaims, now: Timestamp) -> Result<(), TokenError> {
        let rules = &self.rules;
        if claims.kind != TOKEN_TYPE_ACCESS {
            return Err(TokenError::WrongType);
        }
        if claims.iss != rules.issuer {
            return Err(TokenError::UnknownIssuer);
        }
        let audience = claims.aud.as_slice();
        if audience.is_empty() || !audience.iter().all(|aud| rules.audience.contains(aud)) {
            return Err(TokenError::WrongAudience);
        }
        let ids = is_id(&claims.jti) && is_id(&claims.client_id);
        if claims.sub.parse::<Subject>().is_err() || !ids || !has_few_grants(claims) {
            return Err(TokenError::Claims);
        }
        let soon = now.plus(rules.leeway).secs();
        let life = claims.exp.checked_sub(claims.iat).ok_or(TokenError::Claims)?;
        if life > rules.max_ttl.as_secs() || claims.nbf > soon || claims.iat > soon {
            return Err(TokenError::Claims);
        }
        if has_ended(claims.exp, rules.leeway, now) { Err(TokenError::Expired) } else { Ok(()) }
    }
}

/// An id as it may stand in a token: 1 to 128 visible ASCII characters.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn has_few_grants(claims: &AccessClaims) -> bool {
    claims.roles.len() <= MAX_GRANTS && claims.permissions.len() <= MAX_GRANTS
}

/// Whether a credential that ends at `exp` (whole seconds) is over, clocks being `leeway` apart at most.
pub fn has_ended(exp: u64, leeway: Duration, now: Timestamp) -> bool {
    now >= Timestamp::from_secs(exp).plus(leeway)
}

/// When a token was issued, as exactly as it says: the milliseconds of a UUID version 7, else `iat`,
/// which cannot order tokens within one second.
pub fn issued_at(claims: &AccessClaims) -> Timestamp {
    let by_id = Uuid::try_parse(&claims.jti).ok().filter(|id| id.get_version_num() == 7);
    match by_id.and_then(|id| id.get_timestamp()) {
        Some(stamp) => {
            let (secs, nanos) = stamp.to_unix();
            Timestamp::from_secs(secs).plus(Duration::from_nanos(u64::from(nanos)))
        }
        None => Timestamp::from_secs(claims.iat),
    }
}

fn decode(segment: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| TokenError::Malformed)
}

/// `at+jwt`, with or without the `application/` that RFC 7515 §4.1.9 lets one leave out.
fn is_access_type(typ: &str) -> bool {
    let lower = typ.to_ascii_lowercase();
    lower.strip_prefix("application/").unwrap_or(&lower) == TOKEN_HEADER_TYPE
}

/// Why signed claims are not those of an access token.
fn not_access(payload: &[u8]) -> TokenError {
    match serde_json::from_slice::<TypeOnly>(payload) {
        Ok(TypeOnly { kind: Some(kind) }) if kind != TOKEN_TYPE_ACCESS => TokenError::WrongType,
        _ => TokenError::Claims,
    }
}

#[cfg(test)]
mod tests;
