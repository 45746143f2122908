//! Tokens: only what was minted verifies, and what is signed must still say the right things.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use portcullis::{
    actors::tokens::{Keyring, MintRequest, TokenError},
    app,
    domain::Timestamp,
    settings::{Algorithm, Settings},
};
use serde_json::Value;
use sha2::Sha256;

use super::{
    driver::{Target, fingerprint},
    support::{
        app::{secret, settings},
        signing::Key,
    },
};

const WORDS: &[&str] = &[
    "{\"alg\":\"none\"}",
    "eyJhbGciOiJub25lIn0",
    "\"alg\":\"HS256\"",
    "\"alg\":\"ES256\"",
    "\"kid\":",
    "\"jwk\":{}",
    "\"crit\":[]",
    "\"exp\":",
    "\"exp\":1e99",
    "\"aud\":[]",
    "\"type\":\"refresh\"",
    "\"sub\":\"root\"",
    "\"roles\":[\"admin\"]",
    "null",
    "-1",
    "18446744073709551615",
    ".",
    "..",
    "=",
    "\\u0000",
];

fn ring(change: impl FnOnce(&mut Settings)) -> (Settings, Keyring) {
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    settings.jwt.secret = Some(secret());
    change(&mut settings);
    let ring = app::keyring(&settings).unwrap();
    (settings, ring)
}

fn minted(ring: &Keyring) -> String {
    let request = MintRequest {
        subject: "ada".parse().unwrap(),
        client: "fuzz".into(),
        roles: vec!["user".into()],
        permissions: vec!["weather:read".into()],
        ttl: Duration::from_secs(3_600),
    };
    ring.mint(&request, Timestamp::now()).unwrap().token
}

/// A token of these texts; unlike those of the other tests it is not noted as a secret: there are millions.
fn signed(key: &[u8], header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A kind of failure, without what it says of the token.
fn kind(error: &TokenError) -> String {
    format!("{error:?}").split(['(', ' ', '{']).next().unwrap().to_owned()
}

#[test]
fn of_all_texts_only_what_was_minted_verifies() {
    let es256 = Key::new("fuzz", Algorithm::Es256);
    let rings = [ring(|_| {}).1, ring(|settings| es256.signs(settings)).1];
    let minted: Vec<String> = rings.iter().map(minted).collect();
    let seeds = minted.iter().map(|token| token.clone().into_bytes()).collect();
    Target { name: "token", seeds, words: WORDS }.fuzz(|token| {
        let Ok(token) = std::str::from_utf8(token) else { return 0 };
        let mut kinds = Vec::new();
        for (ring, own) in rings.iter().zip(&minted) {
            let verified = ring.verify(token, Timestamp::now());
            assert!(verified.is_err() || token == own, "a second text verifies: {token}");
            assert!(ring.verify_refresh(token, Timestamp::now()).is_err());
            kinds.push(verified.map_or_else(|error| kind(&error), |_| String::new()));
        }
        fingerprint((kinds, token.matches('.').count().min(4)))
    });
}

#[test]
fn claims_that_are_signed_are_still_judged() {
    let (settings, ring) = ring(|_| {});
    let now = Timestamp::now().secs();
    let claims = serde_json::json!({
        "iss": settings.jwt.issuer, "sub": "ada", "aud": settings.jwt.audience[0], "jti": "a-b-c",
        "iat": now, "nbf": now, "exp": now + 600, "client_id": "fuzz", "type": "access", "username": "ada",
        "roles": ["user"], "permissions": [],
    });
    let seeds = vec![format!("{{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}}\n{claims}").into_bytes()];
    let key = settings.jwt.secret.as_ref().unwrap().expose();
    Target { name: "claims", seeds, words: WORDS }.fuzz(|input| {
        let Ok(text) = std::str::from_utf8(input) else { return 0 };
        let (header, claims) = text.split_once('\n').unwrap_or((text, "{}"));
        match ring.verify(&signed(key, header, claims), Timestamp::now()) {
            Ok(read) => {
                let said: Value = serde_json::from_str(claims).unwrap();
                assert_eq!(said["type"], "access");
                assert_eq!(said["iss"], *settings.jwt.issuer);
                let now = Timestamp::now().secs();
                let lives = |exp: u64| exp + 10 > now && exp < now + 86_500;
                assert!(said["exp"].as_u64().is_some_and(lives), "{said}");
                fingerprint((read.roles.len().min(4), read.permissions.len().min(4)))
            }
            Err(error) => fingerprint((kind(&error), claims.len().min(8))),
        }
    });
}
