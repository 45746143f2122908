//! Private keys of a server, and tokens that are signed with them whatever they say.

use std::path::Path;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, crypto};
use portcullis::{
    domain::{PrivateKey, Timestamp},
    settings::{Algorithm, KeySettings, Settings},
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};

use super::output;

/// Every algorithm with a public half.
pub(crate) const ASYMMETRIC: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

/// A private key that a test has made.
pub(crate) struct Key {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) pair: KeyPair,
}

impl Key {
    /// A new key, its text noted as a secret.
    pub(crate) fn new(kid: &str, algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::EdDsa => &PKCS_ED25519,
            Algorithm::Rs256 => &PKCS_RSA_SHA256,
            _ => &PKCS_ECDSA_P256_SHA256,
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        pair.serialize_pem().lines().filter(|line| !line.starts_with('-')).for_each(output::secret);
        Self { kid: kid.into(), algorithm, pair }
    }

    /// The key as settings name it.
    pub(crate) fn settings(&self, retire_at: Option<Timestamp>) -> KeySettings {
        let key = PrivateKey::from_pem(self.algorithm, self.pair.serialize_pem().as_bytes()).unwrap();
        KeySettings {
            kid: self.kid.clone(),
            algorithm: self.algorithm,
            private_key_file: Path::new("made-by-a-test.pem").into(),
            retire_at,
            key: Some(key),
        }
    }

    /// Has this key sign alone, without a secret beside it.
    pub(crate) fn signs(&self, settings: &mut Settings) {
        settings.jwt.algorithm = self.algorithm;
        settings.jwt.keys = vec![self.settings(None)];
        settings.jwt.secret = None;
    }

    /// The header of its tokens.
    pub(crate) fn header(&self) -> String {
        let (alg, kid) = (self.algorithm.name(), &self.kid);
        format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{kid}"}}"#)
    }

    /// A token of these texts, signed with this key.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let pem = self.pair.serialize_pem();
        let (key, alg) = match self.algorithm {
            Algorithm::EdDsa => {
                // The library reads version 1 of PKCS#8 only: the seed behind its fixed prefix.
                let der = self.pair.serialize_der();
                let at = der.windows(4).position(|window| window == [0x04, 0x22, 0x04, 0x20]).unwrap() + 4;
                let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
                let plain = [&prefix[..], &der[at..at + 32]].concat();
                (EncodingKey::from_ed_der(&plain), jsonwebtoken::Algorithm::EdDSA)
            }
            Algorithm::Rs256 => {
                (EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), jsonwebtoken::Algorithm::RS256)
            }
            _ => (EncodingKey::from_ec_pem(pem.as_bytes()).unwrap(), jsonwebtoken::Algorithm::ES256),
        };
        let token = format!("{message}.{}", crypto::sign(message.as_bytes(), &key, alg).unwrap());
        output::secret(&token);
        token
    }
}
