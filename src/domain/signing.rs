//! Private keys that sign tokens, checked before we rely on them.

use std::fmt;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse, ThumbprintHash},
};
use serde::Deserialize;

/// Fewest bits of an RSA modulus (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2_048;
/// Longest id of a key.
const MAX_KEY_ID: usize = 64;

/// How tokens are signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256: who can verify can also sign.
    #[serde(rename = "HS256")]
    Hs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// The word for it in a token's header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// The keys that it takes.
    const fn family(self) -> &'static str {
        match self {
            Self::Hs256 => "it has a secret instead",
            Self::Es256 => "EC on P-256",
            Self::EdDsa => "Ed25519",
            Self::Rs256 => "RSA of 2048 to 8192 bits",
        }
    }

    /// The same for the library that signs.
    pub(crate) const fn jose(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// Whether `text` can be the id of a key: 1 to 64 of `A-Z a-z 0-9 . _ -`. An id is only ever looked up.
pub fn is_key_id(text: &str) -> bool {
    (1..=MAX_KEY_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// A private key that fits its algorithm. `Debug` shows nothing of it; zeroed on drop.
#[derive(Clone)]
pub struct PrivateKey {
    algorithm: Algorithm,
    sign: EncodingKey,
    public: PublicKey,
}

/// The half of a [`PrivateKey`] that everybody may know.
#[derive(Debug, Clone)]
pub struct PublicKey(Jwk);

/// Why a private key is not used: the text is no PEM with one private key that fits. Says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holds no private key for {} ({})", .0.name(), .0.family())]
pub struct UnfitKey(pub Algorithm);

impl PrivateKey {
    /// The key in a PEM text: PKCS#8, for RSA also PKCS#1.
    ///
    /// # Errors
    /// [`UnfitKey`]; always for [`Algorithm::Hs256`], which has a secret instead.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, UnfitKey> {
        let no_key = UnfitKey(algorithm);
        let sign = match algorithm {
            Algorithm::Hs256 => return Err(no_key),
            Algorithm::Es256 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDsa => EncodingKey::from_ed_pem(pem).map(|key| plain_ed(&key).unwrap_or(key)),
            Algorithm::Rs256 => EncodingKey::from_rsa_pem(pem),
        };
        let sign = sign.map_err(|_| no_key)?;
        // Reads the private key as what it claims to be: another curve, half a key or a short one ends here.
        let mut jwk = Jwk::from_encoding_key(&sign, algorithm.jose()).map_err(|_| no_key)?;
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let public = PublicKey(jwk);
        if public.modulus_bits().is_some_and(|bits| bits < MIN_RSA_BITS) {
            return Err(no_key);
        }
        Ok(Self { algorithm, sign, public })
    }

    /// The one algorithm that it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key as the library that signs takes it.
    pub(crate) fn signer(&self) -> &EncodingKey {
        &self.sign
    }
}

/// An Ed25519 key in version 1 of PKCS#8: version 2, which repeats the public half, is not read further on.
fn plain_ed(key: &EncodingKey) -> Option<EncodingKey> {
    let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).ok()?;
    Some(EncodingKey::from_ed_der(pair.to_pkcs8v1().ok()?.as_ref()))
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl PublicKey {
    /// As a JSON Web Key with the id `kid` (RFC 7517 §4): `kid`, `alg`, `use` and the public numbers.
    pub fn jwk(&self, kid: &str) -> serde_json::Value {
        let mut jwk = self.0.clone();
        jwk.common.key_id = Some(kid.to_owned());
        serde_json::to_value(jwk).unwrap_or_default()
    }

    /// Its thumbprint (RFC 7638), 43 characters that can stand as the id of the key.
    pub fn thumbprint(&self) -> String {
        self.0.thumbprint(ThumbprintHash::SHA256).unwrap_or_default()
    }

    /// The key as the library that verifies takes it.
    ///
    /// # Errors
    /// Never in fact: the numbers were encoded by the same library.
    pub(crate) fn verifier(&self) -> Result<DecodingKey, jsonwebtoken::errors::Error> {
        DecodingKey::from_jwk(&self.0)
    }

    /// How many bytes a signature has.
    pub(crate) fn signature_bytes(&self) -> usize {
        self.modulus_bits().map_or(64, |bits| bits.div_ceil(8))
    }

    /// How many bits the modulus of an RSA key has.
    fn modulus_bits(&self) -> Option<usize> {
        let AlgorithmParameters::RSA(rsa) = &self.0.algorithm else { return None };
        let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).unwrap_or_default();
        let mut bytes = modulus.iter().skip_while(|byte| **byte == 0);
        let top = bytes.next().map_or(0, |byte| 8 - byte.leading_zeros() as usize);
        Some(bytes.count() * 8 + top)
    }
}
