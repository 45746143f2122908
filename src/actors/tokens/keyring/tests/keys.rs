//! A ring of several keys: one signs, each verifies only what it alone signed, none after it has retired.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{DecodingKey, jwk::Jwk};
use serde_json::json;

use super::*;
use crate::domain::{PrivateKey, UnfitKey};

const EACH: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// A new private key as PEM.
fn new_pem(algorithm: Algorithm) -> String {
    let random = SystemRandom::new();
    match algorithm {
        Algorithm::Es256 => {
            pem(EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap().as_ref())
        }
        Algorithm::EdDsa => pem(Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref()),
        _ => {
            let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
            pem(AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref())
        }
    }
}

fn new_key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::from_pem(algorithm, new_pem(algorithm).as_bytes()).unwrap()
}

fn named(kid: &str, key: &PrivateKey, retires: Option<u64>) -> SigningKey {
    SigningKey::named(kid, key, retires.map(Timestamp::from_secs)).unwrap()
}

fn secret() -> SigningKey {
    SigningKey::hs256(&SECRET.parse().unwrap())
}

fn ring(active: SigningKey, others: Vec<SigningKey>) -> Keyring {
    Keyring::new(active, others, rules()).unwrap()
}

fn says(ring: &Keyring, token: &str, at: u64) -> String {
    let verified = ring.verify(token, Timestamp::from_secs(at));
    verified.map_or_else(|error| format!("{error:?}"), |_| "ok".into())
}

fn header_of(token: &str) -> serde_json::Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

/// `token` with another header, its signature untouched.
fn beheaded(token: &str, header: serde_json::Value) -> String {
    let rest = token.split_once('.').unwrap().1;
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

#[test]
fn each_algorithm_signs_and_verifies_and_names_its_key() {
    for algorithm in EACH {
        let ring = ring(named("k", &new_key(algorithm), None), vec![]);
        let now = Timestamp::from_secs(NOW);
        let minted = ring.mint(&request(), now).unwrap();
        assert_eq!(ring.verify(&minted.token, now).unwrap(), minted.claims);
        let header = header_of(&minted.token);
        assert_eq!(header, json!({ "alg": algorithm.name(), "typ": "at+jwt", "kid": "k" }));
        let refresh = ring.mint_refresh(&"ada".parse().unwrap(), "f", Duration::from_secs(9), now).unwrap();
        assert!(ring.verify_refresh(&refresh.token, now).is_ok());
        assert_eq!(says(&ring, &refresh.token, NOW), "WrongType");
    }
}

#[test]
fn a_key_verifies_by_its_own_algorithm_and_under_its_own_name_only() {
    let keys = EACH.map(new_key);
    let all = || EACH.iter().zip(&keys).map(|(algorithm, key)| named(algorithm.name(), key, None)).collect();
    for (algorithm, key) in EACH.into_iter().zip(&keys) {
        let own = ring(named(algorithm.name(), key, None), vec![]);
        let token = own.mint(&request(), Timestamp::from_secs(NOW)).unwrap().token;
        let many = ring(secret(), all());
        assert_eq!(says(&many, &token, NOW), "ok");
        for other in ["HS256", "ES256", "EdDSA", "RS256", "none", "RS384", "PS256", "es256"] {
            for kid in ["ES256", "EdDSA", "RS256"] {
                if (other, kid) == (algorithm.name(), algorithm.name()) {
                    continue;
                }
                let bent = beheaded(&token, json!({ "alg": other, "typ": "at+jwt", "kid": kid }));
                let expected = if other == kid { "Signature" } else { "Malformed" };
                assert_eq!(says(&many, &bent, NOW), expected, "{other} {kid}");
            }
        }
        let nameless = beheaded(&token, json!({ "alg": algorithm.name(), "typ": "at+jwt" }));
        assert_eq!(says(&many, &nameless, NOW), "Malformed");
        assert_eq!(says(&own, &nameless, NOW), "UnknownKey", "there is no secret");
    }
}

#[test]
fn a_public_key_is_no_secret_whatever_it_is_written_as() {
    for algorithm in EACH {
        let key = new_key(algorithm);
        let many = ring(named("k", &key, None), vec![secret()]);
        let sound = claims("sub", json!("ada"));
        let jwk = key.public().jwk("k").to_string();
        for header in [r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#, HEADER] {
            let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&sound));
            let mut mac = Hmac::<Sha256>::new_from_slice(jwk.as_bytes()).unwrap();
            mac.update(message.as_bytes());
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
            let expected = if header == HEADER { "Signature" } else { "Malformed" };
            assert_eq!(says(&many, &token, NOW), expected, "{header}");
        }
    }
}

#[test]
fn the_former_key_verifies_until_it_retires_and_then_is_as_unknown_as_any() {
    let (old, new) = (new_key(Algorithm::Es256), new_key(Algorithm::Es256));
    let before = ring(named("old", &old, None), vec![]);
    let token = before.mint(&request(), Timestamp::from_secs(NOW)).unwrap().token;
    let after = ring(named("new", &new, None), vec![named("old", &old, Some(NOW + 30))]);
    let verified = after.verify_until(&token, Timestamp::from_secs(NOW + 29)).unwrap();
    assert_eq!(verified.until, Some(Timestamp::from_secs(NOW + 30)));
    assert_eq!(says(&after, &token, NOW + 29), "ok");
    assert_eq!(says(&after, &token, NOW + 30), "UnknownKey");
    let minted = after.mint(&request(), Timestamp::from_secs(NOW)).unwrap().token;
    assert_eq!(header_of(&minted)["kid"], "new");
    let kids = |at| {
        let keys = after.public_keys(Timestamp::from_secs(at));
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((kids(NOW + 29), kids(NOW + 30)), (vec!["new".into(), "old".into()], vec!["new".into()]));
}

#[test]
fn a_retired_key_signs_nothing() {
    let ring = ring(named("k", &new_key(Algorithm::EdDsa), Some(NOW)), vec![]);
    let mint = |at| ring.mint(&request(), Timestamp::from_secs(at)).map(|minted| minted.claims.iat);
    assert_eq!(mint(NOW - 1).unwrap(), NOW - 1);
    let refused = mint(NOW).unwrap_err();
    assert!(matches!(refused, TokenError::Retired) && refused.to_string().contains("jwt.keys"), "{refused}");
    let subject = "ada".parse().unwrap();
    let refresh = ring.mint_refresh(&subject, "f", Duration::from_secs(9), Timestamp::from_secs(NOW));
    assert!(matches!(refresh, Err(TokenError::Retired)));
}

#[test]
fn tokens_of_the_secret_hold_beside_named_keys() {
    let token = keyring().mint(&request(), Timestamp::from_secs(NOW)).unwrap().token;
    let key = new_key(Algorithm::Es256);
    assert_eq!(says(&ring(named("k", &key, None), vec![secret()]), &token, NOW), "ok");
    assert_eq!(says(&ring(named("k", &key, None), vec![]), &token, NOW), "UnknownKey");
    assert!(!keyring().is_costly() && ring(secret(), vec![named("k", &key, None)]).is_costly());
}

#[test]
fn two_keys_of_one_name_are_no_ring_and_a_name_is_short_and_plain() {
    let key = new_key(Algorithm::Es256);
    for others in [vec![named("k", &key, None)], vec![secret(), secret()]] {
        assert!(matches!(Keyring::new(named("k", &key, None), others, rules()), Err(TokenError::Keys)));
    }
    assert!(SigningKey::named(&"k".repeat(64), &key, None).is_ok());
    for kid in ["", &"k".repeat(65), "a/b", "../k", "a b", "é"] {
        assert!(matches!(SigningKey::named(kid, &key, None), Err(TokenError::Keys)), "{kid}");
    }
}

#[test]
fn what_is_published_verifies_and_holds_nothing_private() {
    for algorithm in EACH {
        let ring = ring(named("k", &new_key(algorithm), None), vec![secret()]);
        let published = ring.public_keys(Timestamp::from_secs(NOW));
        assert_eq!(published.len(), 1, "the secret is not published");
        let key = &published[0];
        assert_eq!(
            (&key["kid"], &key["alg"], &key["use"]),
            (&json!("k"), &json!(algorithm.name()), &json!("sig"))
        );
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        assert!(private.iter().all(|name| key.get(name).is_none()), "{key}");
        let jwk: Jwk = serde_json::from_value(key.clone()).unwrap();
        let token = ring.mint(&request(), Timestamp::from_secs(NOW)).unwrap().token;
        let (message, signature) = token.rsplit_once('.').unwrap();
        let outside = DecodingKey::from_jwk(&jwk).unwrap();
        let holds =
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &outside, algorithm.jose()).unwrap();
        assert!(holds, "{key}");
    }
}

#[test]
fn a_signature_of_another_length_is_not_looked_at() {
    for algorithm in EACH {
        let ring = ring(named("k", &new_key(algorithm), None), vec![]);
        let token = ring.mint(&request(), Timestamp::from_secs(NOW)).unwrap().token;
        let (message, signature) = token.rsplit_once('.').unwrap();
        for wrong in [String::new(), signature[4..].into(), format!("{signature}AAAA"), "A".repeat(4_000)] {
            assert_eq!(says(&ring, &format!("{message}.{wrong}"), NOW), "Signature", "{}", wrong.len());
        }
        let zeros = "A".repeat(signature.len());
        assert_eq!(says(&ring, &format!("{message}.{zeros}"), NOW), "Signature", "zeros");
    }
}

#[test]
fn a_text_that_is_no_fit_key_is_refused_and_never_shown() {
    for algorithm in EACH {
        for other in EACH.into_iter().filter(|other| *other != algorithm) {
            let refused = PrivateKey::from_pem(algorithm, new_pem(other).as_bytes()).unwrap_err();
            assert_eq!(refused, UnfitKey(algorithm));
        }
        let text = new_pem(algorithm);
        let cut = text.replace('\n', "").replace("KEY-----", "KEY-----\n");
        for wrong in ["", "secret", &text[..80], &cut[..cut.len() - 60]] {
            assert!(PrivateKey::from_pem(algorithm, wrong.as_bytes()).is_err());
        }
        let key = PrivateKey::from_pem(algorithm, text.as_bytes()).unwrap();
        let shown = format!("{key:?} {:?}", named("k", &key, None));
        assert!(
            text.lines().filter(|line| line.len() > 20).all(|line| !shown.contains(&line[..20])),
            "{shown}"
        );
    }
    assert!(PrivateKey::from_pem(Algorithm::Hs256, new_pem(Algorithm::Es256).as_bytes()).is_err());
}
