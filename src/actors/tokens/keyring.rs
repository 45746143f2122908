//! Minting and verifying tokens with a ring of keys. Pure: the time comes in, nothing goes out.

mod key;
mod rules;
mod text;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub use key::SigningKey;
pub(super) use rules::issued;
pub use rules::{MAX_REFRESH_TTL, MAX_TOKEN_BYTES, TokenRules, has_ended, is_id, issued_at};
use rules::{has_few_grants, misfit, new_id};
use text::{Segments, TokenHeader, TokenKind, decode};

use super::{Moment, TokenError};
use crate::domain::{
    AccessClaims, Algorithm, REFRESH_HEADER_TYPE, RefreshClaims, SigningSecret, Subject, TOKEN_HEADER_TYPE,
    TOKEN_TYPE_ACCESS, TOKEN_TYPE_REFRESH, Timestamp,
};

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

/// A new token and what it says. `Debug` shows the claims alone.
#[derive(Clone)]
pub struct Minted<C = AccessClaims> {
    /// The token. Whoever holds it is the subject.
    pub token: String,
    /// Its claims.
    pub claims: C,
}

impl<C: std::fmt::Debug> std::fmt::Debug for Minted<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted").field("claims", &self.claims).finish_non_exhaustive()
    }
}

/// An access token and the refresh token that goes with it.
#[derive(Debug, Clone)]
pub struct MintedPair {
    /// For `/mcp`.
    pub access: Minted,
    /// For the next pair.
    pub refresh: Minted<RefreshClaims>,
}

/// A token that verified, and for how long its key vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub claims: AccessClaims,
    /// When its key retires: from then on it proves nothing, whatever `exp` says.
    pub until: Option<Timestamp>,
}

/// The keys and the rules: published as a snapshot, read by every worker.
///
/// One key signs. A token is verified with the one key that its header names, or with the HS256 secret if it
/// names none; the key says by which algorithm, never the token.
#[derive(Debug)]
pub struct Keyring {
    active: Arc<SigningKey>,
    secret: Option<Arc<SigningKey>>,
    named: HashMap<Box<str>, Arc<SigningKey>>,
    order: Vec<Arc<SigningKey>>,
    rules: TokenRules,
}

/// A token whose signature holds, its claims not read yet.
struct Opened<'a> {
    key: &'a SigningKey,
    kind: TokenKind,
    payload: Vec<u8>,
}

impl Keyring {
    /// A ring in which `active` signs, and `others` only verify.
    ///
    /// # Errors
    /// [`TokenError::Keys`] if two of them could not be told apart.
    pub fn new(
        active: SigningKey,
        others: impl IntoIterator<Item = SigningKey>,
        rules: TokenRules,
    ) -> Result<Self, TokenError> {
        let order: Vec<_> = std::iter::once(active).chain(others).map(Arc::new).collect();
        let (mut secret, mut named) = (None, HashMap::new());
        for key in &order {
            let before = match key.kid() {
                Some(kid) => named.insert(kid.into(), Arc::clone(key)),
                None => secret.replace(Arc::clone(key)),
            };
            if before.is_some() {
                return Err(TokenError::Keys);
            }
        }
        let active = order.first().map(Arc::clone).ok_or(TokenError::Keys)?;
        Ok(Self { active, secret, named, order, rules })
    }

    /// A ring of one HS256 secret.
    pub fn hs256(secret: &SigningSecret, rules: TokenRules) -> Self {
        let key = Arc::new(SigningKey::hs256(secret));
        Self {
            active: Arc::clone(&key),
            secret: Some(Arc::clone(&key)),
            named: HashMap::new(),
            order: vec![key],
            rules,
        }
    }

    /// The rules.
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }

    /// Whether the key that signs still may at `now`.
    pub fn can_sign(&self, now: Timestamp) -> bool {
        !self.active.is_retired(now)
    }

    /// Whether verifying may cost far more than a digest, as it does with every algorithm but HS256.
    pub fn is_costly(&self) -> bool {
        self.order.iter().any(|key| key.algorithm() != Algorithm::Hs256)
    }

    /// The public halves of the keys that count at `now`, the active one first, as JSON Web Keys (RFC 7517).
    pub fn public_keys(&self, now: Timestamp) -> Vec<serde_json::Value> {
        self.order.iter().filter(|key| !key.is_retired(now)).filter_map(|key| key.jwk()).collect()
    }

    /// Mints an access token at `now`.
    ///
    /// # Errors
    /// [`TokenError::Lifetime`] for a life of no second or one over the maximum, [`TokenError::Unfit`] for
    /// a client or a list of grants that [`verify`](Self::verify) would not take, [`TokenError::Retired`].
    pub fn mint(&self, request: &MintRequest, now: Timestamp) -> Result<Minted, TokenError> {
        if request.ttl < Duration::from_secs(1) || request.ttl > self.rules.max_ttl {
            return Err(TokenError::Lifetime);
        }
        let claims = AccessClaims {
            iss: self.rules.issuer.clone(),
            sub: request.subject.as_str().to_owned(),
            aud: self.rules.own_audience(),
            jti: new_id(now),
            iat: now.secs(),
            nbf: now.secs(),
            exp: now.secs() + request.ttl.as_secs(),
            client_id: request.client.clone(),
            kind: TOKEN_TYPE_ACCESS.to_owned(),
            username: request.subject.as_str().to_owned(),
            roles: request.roles.clone(),
            permissions: request.permissions.clone(),
        };
        if !is_id(&claims.client_id) || !has_few_grants(&claims) {
            return Err(TokenError::Unfit);
        }
        Ok(Minted { token: self.sign(TOKEN_HEADER_TYPE, &claims, now)?, claims })
    }

    /// Mints a refresh token of `family` at `now`.
    ///
    /// # Errors
    /// [`TokenError::Lifetime`] for a life of no second or over [`MAX_REFRESH_TTL`], [`TokenError::Unfit`]
    /// for a family that is no [id](is_id), [`TokenError::Retired`].
    pub fn mint_refresh(
        &self,
        subject: &Subject,
        family: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Minted<RefreshClaims>, TokenError> {
        if ttl < Duration::from_secs(1) || ttl > MAX_REFRESH_TTL {
            return Err(TokenError::Lifetime);
        }
        if !is_id(family) {
            return Err(TokenError::Unfit);
        }
        let claims = RefreshClaims {
            iss: self.rules.issuer.clone(),
            sub: subject.as_str().to_owned(),
            aud: self.rules.own_audience(),
            jti: new_id(now),
            iat: now.secs(),
            exp: now.secs() + ttl.as_secs(),
            kind: TOKEN_TYPE_REFRESH.to_owned(),
            family: family.to_owned(),
        };
        Ok(Minted { token: self.sign(REFRESH_HEADER_TYPE, &claims, now)?, claims })
    }

    fn sign(&self, typ: &str, claims: &impl serde::Serialize, now: Timestamp) -> Result<String, TokenError> {
        if !self.can_sign(now) {
            return Err(TokenError::Retired);
        }
        let token = self.active.sign(typ, claims)?;
        if token.len() > MAX_TOKEN_BYTES { Err(TokenError::Unfit) } else { Ok(token) }
    }

    /// Verifies an access token at `now`: size, shape, key and its algorithm, signature, then every claim.
    /// Revocation is somebody else's question, since it changes while the token does not.
    ///
    /// # Errors
    /// [`TokenError`], each saying what of the token does not hold.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        self.verify_until(token, now).map(|verified| verified.claims)
    }

    /// As [`verify`](Self::verify); says too when the key of the token retires.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify).
    pub fn verify_until(&self, token: &str, at: impl Into<Moment>) -> Result<Verified, TokenError> {
        let moment = at.into();
        let opened = self.open(token, moment.now)?;
        if opened.kind != TokenKind::Access {
            return Err(TokenError::WrongType);
        }
        let claims: AccessClaims = serde_json::from_slice(&opened.payload)
            .map_err(|_| misfit(&opened.payload, TOKEN_TYPE_ACCESS))?;
        self.rules.check_access(&claims, moment)?;
        Ok(Verified { claims, until: opened.key.retires() })
    }

    /// Verifies a refresh token at a moment, as strictly as an access token. Whether it was used before is
    /// somebody else's question.
    ///
    /// # Errors
    /// [`TokenError`], each saying what of the token does not hold; an access token is
    /// [`TokenError::WrongType`].
    pub fn verify_refresh(&self, token: &str, at: impl Into<Moment>) -> Result<RefreshClaims, TokenError> {
        let moment = at.into();
        let opened = self.open(token, moment.now)?;
        if opened.kind != TokenKind::Refresh {
            return Err(TokenError::WrongType);
        }
        let claims: RefreshClaims = serde_json::from_slice(&opened.payload)
            .map_err(|_| misfit(&opened.payload, TOKEN_TYPE_REFRESH))?;
        self.rules.check_refresh(&claims, moment)?;
        Ok(claims)
    }

    /// Everything about a token but its claims. Nothing is computed before the key is found and the
    /// algorithm is the key's own.
    fn open(&self, token: &str, now: Timestamp) -> Result<Opened<'_>, TokenError> {
        let segments = Segments::of(token)?;
        let header = segments.header()?;
        let header = TokenHeader::of(&header)?;
        let key = match header.kid {
            // A name is only ever a key into this map: what it looks like is nobody's concern.
            Some(kid) => self.named.get(kid),
            None => self.secret.as_ref(),
        };
        let key = key.filter(|key| !key.is_retired(now)).ok_or(TokenError::UnknownKey)?;
        if header.alg != key.algorithm().name() {
            return Err(TokenError::Malformed);
        }
        if !key.holds(segments.message, segments.signature) {
            return Err(TokenError::Signature);
        }
        Ok(Opened { key, kind: header.kind(), payload: decode(segments.payload)? })
    }
}

#[cfg(test)]
mod tests;
