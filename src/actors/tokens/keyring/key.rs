//! One key of the ring, bound to the one algorithm that it is for.

use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use serde::Serialize;

use crate::{
    actors::tokens::TokenError,
    domain::{Algorithm, PrivateKey, PublicKey, SigningSecret, Timestamp, is_key_id},
};

/// A key that tokens are signed with, or were. `Debug` shows its name and algorithm.
pub struct SigningKey {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    sign: EncodingKey,
    check: DecodingKey,
    public: Option<PublicKey>,
    signature_chars: usize,
    retires: Option<Timestamp>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("retires", &self.retires)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The HS256 secret: its tokens name no key, and it is never published.
    pub fn hs256(secret: &SigningSecret) -> Self {
        let bytes = secret.expose();
        Self {
            kid: None,
            algorithm: Algorithm::Hs256,
            sign: EncodingKey::from_secret(bytes),
            check: DecodingKey::from_secret(bytes),
            public: None,
            signature_chars: chars_of(32),
            retires: None,
        }
    }

    /// A private key called `kid`, good for nothing from `retires` on.
    ///
    /// # Errors
    /// [`TokenError::Keys`] if `kid` [cannot be one](is_key_id).
    pub fn named(kid: &str, key: &PrivateKey, retires: Option<Timestamp>) -> Result<Self, TokenError> {
        let check = key.public().verifier().map_err(|_| TokenError::Signing)?;
        if !is_key_id(kid) {
            return Err(TokenError::Keys);
        }
        Ok(Self {
            kid: Some(kid.into()),
            algorithm: key.algorithm(),
            sign: key.signer().clone(),
            check,
            public: Some(key.public().clone()),
            signature_chars: chars_of(key.public().signature_bytes()),
            retires,
        })
    }

    /// Its name; the secret has none.
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The only `alg` of its tokens.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// From when on it signs and verifies nothing.
    pub(super) fn retires(&self) -> Option<Timestamp> {
        self.retires
    }

    /// Whether it is good for nothing any more.
    pub(super) fn is_retired(&self, now: Timestamp) -> bool {
        self.retires.is_some_and(|moment| moment <= now)
    }

    /// What everybody may know of it; nothing of a secret.
    pub(super) fn jwk(&self) -> Option<serde_json::Value> {
        Some(self.public.as_ref()?.jwk(self.kid()?))
    }

    /// Signs `claims` as a token of the type `typ`.
    pub(super) fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, TokenError> {
        let mut header = Header::new(self.algorithm.jose());
        header.typ = Some(typ.to_owned());
        header.kid = self.kid.as_deref().map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &self.sign).map_err(|_| TokenError::Signing)
    }

    /// Whether `signature`, base64url, is this key's on `message`. One of another length is not looked at.
    pub(super) fn holds(&self, message: &str, signature: &str) -> bool {
        let verify = || {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.check, self.algorithm.jose())
        };
        signature.len() == self.signature_chars && verify().is_ok_and(|holds| holds)
    }
}

/// How many base64url characters without padding `bytes` take.
const fn chars_of(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}
