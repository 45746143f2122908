//! Access tokens, and verifying those that nobody has seen.

use std::{hint::black_box, time::Duration};

use portcullis::{
    actors::tokens::{Keyring, MintRequest, SigningKey, TokenRules},
    domain::{Algorithm, PrivateKey, SigningSecret, Timestamp},
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};

use super::Core;

/// When everything here happens.
pub(super) fn now() -> Timestamp {
    Timestamp::from_rfc3339("2026-11-23T12:00:00Z").unwrap()
}

fn rules() -> TokenRules {
    TokenRules {
        issuer: "http://127.0.0.1:8080".into(),
        audience: vec!["http://127.0.0.1:8080/mcp".into()],
        leeway: Duration::from_secs(30),
        max_ttl: Duration::from_secs(3_600),
    }
}

/// A ring of one HS256 secret.
pub(super) fn of_secret() -> Keyring {
    // It signs nothing but what a bench reads.
    let secret: SigningSecret = "bench-6f1d0c9a47e35b82-f0a1c6d93e7b4258".parse().unwrap();
    Keyring::hs256(&secret, rules())
}

/// A ring of one key that was made for this run.
fn of_key(algorithm: Algorithm, kind: &'static SignatureAlgorithm) -> Keyring {
    let pem = KeyPair::generate_for(kind).unwrap().serialize_pem();
    let key = PrivateKey::from_pem(algorithm, pem.as_bytes()).unwrap();
    Keyring::new(SigningKey::named("bench", &key, None).unwrap(), [], rules()).unwrap()
}

/// A token of a user, as `ring` mints it.
pub(super) fn minted(ring: &Keyring) -> String {
    let request = MintRequest {
        subject: "ada".parse().unwrap(),
        client: "bench".into(),
        roles: vec!["user".into()],
        permissions: Vec::new(),
        ttl: Duration::from_secs(900),
    };
    ring.mint(&request, now()).unwrap().token
}

/// A token and the ring that it is held against.
pub(crate) struct Verify {
    ring: Keyring,
    token: String,
}

impl Verify {
    fn by(ring: Keyring) -> Self {
        let token = minted(&ring);
        Self { ring, token }
    }

    fn run(&mut self) {
        black_box(self.ring.verify_until(black_box(&self.token), now())).unwrap();
    }
}

/// A token signed by HS256 is verified: form, signature, claims.
pub(crate) struct VerifyHs256(Verify);
/// The same of ES256.
pub(crate) struct VerifyEs256(Verify);
/// The same of EdDSA.
pub(crate) struct VerifyEdDsa(Verify);

impl Core for VerifyHs256 {
    fn ready() -> Self {
        Self(Verify::by(of_secret()))
    }

    fn run(&mut self) {
        self.0.run();
    }
}

impl Core for VerifyEs256 {
    fn ready() -> Self {
        Self(Verify::by(of_key(Algorithm::Es256, &PKCS_ECDSA_P256_SHA256)))
    }

    fn run(&mut self) {
        self.0.run();
    }
}

impl Core for VerifyEdDsa {
    fn ready() -> Self {
        Self(Verify::by(of_key(Algorithm::EdDsa, &PKCS_ED25519)))
    }

    fn run(&mut self) {
        self.0.run();
    }
}
