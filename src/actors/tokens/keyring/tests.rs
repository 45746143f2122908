//! What a token may say and what refuses it, at each limit and one past it.

mod keys;
mod refresh;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;

const SECRET: &str = "k2J8fPq0Zr5LwXc7Yv1NbT4mHs9GdU3eQ6oRiA";
const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;
/// The moment of every look, seconds.
const NOW: u64 = 1_800_000_000;

fn rules() -> TokenRules {
    TokenRules {
        issuer: "https://a.example".into(),
        audience: vec!["https://a.example/mcp".into(), "https://b.example/mcp".into()],
        leeway: Duration::from_secs(5),
        max_ttl: Duration::from_secs(3_600),
    }
}

fn keyring() -> Keyring {
    Keyring::hs256(&SECRET.parse().unwrap(), rules())
}

fn request() -> MintRequest {
    MintRequest {
        subject: "ada".parse().unwrap(),
        client: "cli".into(),
        roles: vec!["user".into()],
        permissions: Vec::new(),
        ttl: Duration::from_secs(60),
    }
}

/// A token of these texts, signed by us whatever they say.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Sound claims, one of them replaced; `null` takes it away.
fn claims(name: &str, value: Value) -> String {
    let sound = json!({
        "iss": "https://a.example", "sub": "ada", "aud": "https://a.example/mcp", "jti": "j", "iat": NOW,
        "nbf": NOW, "exp": NOW + 60, "client_id": "cli", "type": "access", "username": "ada",
        "roles": ["user"], "permissions": [],
    });
    but_for(sound, name, value)
}

/// `sound` with one member replaced; `null` takes it away.
fn but_for(mut sound: Value, name: &str, value: Value) -> String {
    let members = sound.as_object_mut().unwrap();
    if value.is_null() {
        drop(members.remove(name))
    } else {
        drop(members.insert(name.into(), value))
    }
    sound.to_string()
}

/// The name of the error at `at`, or `ok`.
fn verdict(token: &str, at: Timestamp) -> String {
    keyring().verify(token, at).map_or_else(|error| format!("{error:?}"), |_| "ok".into())
}

fn verdict_now(token: &str) -> String {
    verdict(token, Timestamp::from_secs(NOW))
}

#[test]
fn only_a_plain_header_of_ours_is_read() {
    let sound = claims("sub", json!("ada"));
    for (header, expected) in [
        (HEADER, "ok"),
        (r#"{"typ":"AT+JWT","alg":"HS256"}"#, "ok"),
        (r#"{"alg":"HS256","typ":"application/at+jwt"}"#, "ok"),
        (r#"{"alg":"HS256","typ":"JWT"}"#, "WrongType"),
        (r#"{"alg":"HS256"}"#, "WrongType"),
        (r#"{"typ":"at+jwt"}"#, "Malformed"),
        (r#"{"alg":"none","typ":"at+jwt"}"#, "Malformed"),
        (r#"{"alg":"hs256","typ":"at+jwt"}"#, "Malformed"),
        (r#"{"alg":"HS384","typ":"at+jwt"}"#, "Malformed"),
        (r#"{"alg":"RS256","typ":"at+jwt"}"#, "Malformed"),
        (r#"{"alg":["HS256"],"typ":"at+jwt"}"#, "Malformed"),
        (r#"{"alg":"HS256","alg":"HS256","typ":"at+jwt"}"#, "Malformed"),
        (r#"["HS256"]"#, "Malformed"),
        ("", "Malformed"),
    ] {
        assert_eq!(verdict_now(&signed(header, &sound)), expected, "{header}");
    }
    for name in ["crit", "b64", "kid", "jku", "jwk", "x5u", "x5c"] {
        for value in [r#""x""#, "[]", "false", r#"{"kty":"oct"}"#] {
            let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","{name}":{value}}}"#);
            let expected = if (name, value) == ("kid", r#""x""#) { "UnknownKey" } else { "Malformed" };
            assert_eq!(verdict_now(&signed(&header, &sound)), expected, "{header}");
        }
    }
    let header = r#"{"alg":"HS256","typ":"at+jwt","kid":null}"#;
    assert_eq!(verdict_now(&signed(header, &sound)), "Malformed", "a name that is none");
}

#[test]
fn every_claim_has_its_type_and_range() {
    let of = |length: usize| json!("j".repeat(length));
    let grants = |count: usize| json!(vec!["r"; count]);
    for (name, value, expected) in [
        ("iss", json!("https://b.example"), "UnknownIssuer"),
        ("iss", json!(["https://a.example"]), "Claims"),
        ("aud", json!("https://b.example/mcp"), "ok"),
        ("aud", json!(["https://a.example/mcp", "https://b.example/mcp"]), "ok"),
        ("aud", json!(["https://a.example/mcp", "https://c.example/mcp"]), "WrongAudience"),
        ("aud", json!("https://c.example/mcp"), "WrongAudience"),
        ("aud", json!([]), "WrongAudience"),
        ("aud", json!(1), "Claims"),
        ("type", json!("refresh"), "WrongType"),
        ("sub", json!(""), "Claims"),
        ("sub", json!(7), "Claims"),
        ("jti", of(128), "ok"),
        ("jti", of(129), "Claims"),
        ("jti", of(0), "Claims"),
        ("jti", json!("a b"), "Claims"),
        ("client_id", of(129), "Claims"),
        ("roles", grants(128), "ok"),
        ("roles", grants(129), "Claims"),
        ("roles", json!("user"), "Claims"),
        ("permissions", grants(129), "Claims"),
        ("exp", json!("2030"), "Claims"),
        ("exp", json!(-1), "Claims"),
        ("exp", json!(1.5), "Claims"),
    ] {
        let shown = value.to_string().chars().take(40).collect::<String>();
        assert_eq!(verdict_now(&signed(HEADER, &claims(name, value))), expected, "{name} {shown}");
    }
    let sound: Value = serde_json::from_str(&claims("sub", json!("ada"))).unwrap();
    for (name, value) in sound.as_object().unwrap() {
        assert_eq!(verdict_now(&signed(HEADER, &claims(name, Value::Null))), "Claims", "without {name}");
        let twice = sound.to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
        assert_eq!(verdict_now(&signed(HEADER, &twice)), "Claims", "{name} twice");
    }
}

#[test]
fn times_hold_to_the_second_with_the_leeway() {
    let token = signed(HEADER, &claims("exp", json!(NOW + 60)));
    let end = Timestamp::from_secs(NOW + 60 + 5);
    assert_eq!(verdict(&token, end.minus(Duration::from_secs(1))), "ok");
    assert_eq!(verdict(&token, end.minus(Duration::from_micros(1))), "ok");
    assert_eq!(verdict(&token, end), "Expired");
    for (name, value, expected) in [
        ("nbf", NOW + 5, "ok"),
        ("nbf", NOW + 6, "Claims"),
        ("iat", NOW + 5, "ok"),
        ("iat", NOW + 6, "Claims"),
        ("exp", NOW + 3_600, "ok"),
        ("exp", NOW + 3_601, "Claims"),
        ("exp", NOW - 1, "Claims"),
        ("exp", u64::MAX, "Claims"),
    ] {
        assert_eq!(verdict_now(&signed(HEADER, &claims(name, json!(value)))), expected, "{name} {value}");
    }
}

#[test]
fn sizes_and_segments_have_bounds() {
    let padded = |length: usize| {
        let bare = claims("pad", json!("")).len();
        signed(HEADER, &claims("pad", json!("x".repeat(length - bare))))
    };
    let (most, more) = (padded(6_080), padded(6_081));
    assert_eq!((most.len(), more.len()), (MAX_TOKEN_BYTES, MAX_TOKEN_BYTES + 1));
    assert_eq!((&*verdict_now(&most), &*verdict_now(&more)), ("ok", "Malformed"));
    let sound = claims("sub", json!("ada"));
    for (length, expected) in [(768, "ok"), (769, "Malformed")] {
        let header = format!("{HEADER:length$}");
        assert_eq!(verdict_now(&signed(&header, &sound)), expected, "a header of {length} bytes");
    }
    let token = signed(HEADER, &sound);
    let (message, signature) = token.rsplit_once('.').unwrap();
    for wrong in
        [String::new(), message.into(), format!("{token}."), format!("a.{token}"), format!(" {token}")]
    {
        assert_eq!(verdict_now(&wrong), "Malformed", "{wrong}");
    }
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    for wrong in ["", &signature[1..], &format!("{flipped}{}", &signature[1..])] {
        assert_eq!(verdict_now(&format!("{message}.{wrong}")), "Signature", "{wrong}");
    }
}

#[test]
fn what_is_minted_verifies_and_what_would_not_is_not_minted() {
    let request = |ttl: u64, client: &str, roles: usize| MintRequest {
        client: client.into(),
        roles: vec!["user".into(); roles],
        ttl: Duration::from_secs(ttl),
        ..request()
    };
    let now = Timestamp::from_secs(NOW);
    for ttl in [1, 3_600] {
        let minted = keyring().mint(&request(ttl, "cli", 128), now).unwrap();
        assert_eq!(keyring().verify(&minted.token, now).unwrap(), minted.claims);
        assert_eq!(minted.claims.exp, NOW + ttl);
    }
    for (ttl, client, roles, expected) in [
        (0, "cli", 1, "Lifetime"),
        (3_601, "cli", 1, "Lifetime"),
        (60, "", 1, "Unfit"),
        (60, "a b", 1, "Unfit"),
        (60, "cli", 129, "Unfit"),
    ] {
        let refused = keyring().mint(&request(ttl, client, roles), now).unwrap_err();
        assert_eq!(format!("{refused:?}"), expected, "{ttl} {client:?} {roles}");
    }
}
