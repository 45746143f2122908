//! New private keys, as the text of a PEM file.

use std::io;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    error::Unspecified,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::domain::Algorithm;

/// Characters on a line (RFC 7468 §2).
const LINE: usize = 64;

/// A new private key for `algorithm` in PKCS#8.
///
/// # Errors
/// If there is no randomness, and for HS256, which has no private key.
pub(super) fn generate(algorithm: Algorithm) -> io::Result<Zeroizing<String>> {
    let random = SystemRandom::new();
    let failed = |_: Unspecified| io::Error::other("no key could be generated");
    let der: Zeroizing<Vec<u8>> = match algorithm {
        Algorithm::Hs256 => return Err(io::Error::other("HS256 has no private key")),
        Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map(|document| document.as_ref().to_vec().into()),
        // Version 1, the form that others read too; version 2 repeats the public half.
        Algorithm::EdDsa => {
            Ed25519KeyPair::generate_pkcs8v1(&random).map(|document| document.as_ref().to_vec().into())
        }
        Algorithm::Rs256 => KeyPair::generate(KeySize::Rsa3072)
            .and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair))
            .map(|der| der.as_ref().to_vec().into()),
    }
    .map_err(failed)?;
    Ok(framed(&der))
}

/// `der` between the lines that say what it is.
fn framed(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    // Of one piece from the start: a text that grows leaves parts of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(body.len() * 2 + 64));
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    for (at, character) in body.chars().enumerate() {
        if at > 0 && at.is_multiple_of(LINE) {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END PRIVATE KEY-----\n");
    text
}
