//! Refresh tokens: as strict as access tokens, and never taken for one.

use serde_json::{Value, json};

use super::*;

const REFRESH_HEADER: &str = r#"{"alg":"HS256","typ":"rt+jwt"}"#;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Sound claims of a refresh token, one of them replaced; `null` takes it away.
fn refresh_claims(name: &str, value: Value) -> String {
    let sound = json!({
        "iss": "https://a.example", "sub": "ada", "aud": "https://a.example/mcp", "jti": "j", "iat": NOW,
        "exp": NOW + 60, "type": "refresh", "family": "f",
    });
    but_for(sound, name, value)
}

fn refreshes(token: &str, at: Timestamp) -> String {
    keyring().verify_refresh(token, at).map_or_else(|error| format!("{error:?}"), |_| "ok".into())
}

fn refreshes_now(token: &str) -> String {
    refreshes(token, Timestamp::from_secs(NOW))
}

#[test]
fn a_pair_is_two_kinds_of_token_and_neither_is_the_other() {
    let now = Timestamp::from_secs(NOW);
    let access = keyring().mint(&request(), now).unwrap();
    let refresh = keyring().mint_refresh(&"ada".parse().unwrap(), "family", WEEK, now).unwrap();
    assert_eq!(keyring().verify_refresh(&refresh.token, now).unwrap(), refresh.claims);
    assert_eq!(refresh.claims.exp, NOW + 7 * 86_400);
    assert_eq!(verdict_now(&refresh.token), "WrongType");
    assert_eq!(refreshes_now(&access.token), "WrongType");
}

#[test]
fn a_refresh_token_says_who_and_which_family_and_nothing_else() {
    let now = Timestamp::from_secs(NOW);
    let refresh = keyring().mint_refresh(&"ada".parse().unwrap(), "family", WEEK, now).unwrap();
    let mut segments = refresh.token.split('.').map(|segment| {
        serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap_or_default()
    });
    assert_eq!(segments.next().unwrap(), json!({ "alg": "HS256", "typ": "rt+jwt" }));
    let claims = segments.next().unwrap();
    let mut names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "exp", "family", "iat", "iss", "jti", "sub", "type"]);
    assert_eq!(refreshes_now(&signed(REFRESH_HEADER, &refresh_claims("roles", json!(["admin"])))), "Claims");
}

#[test]
fn every_claim_of_a_refresh_token_has_its_type_and_range() {
    for (name, value, expected) in [
        ("sub", json!("ada"), "ok"),
        ("iss", json!("https://b.example"), "UnknownIssuer"),
        ("aud", json!("https://c.example/mcp"), "WrongAudience"),
        ("aud", json!([]), "WrongAudience"),
        ("type", json!("access"), "WrongType"),
        ("sub", json!(""), "Claims"),
        ("jti", json!("a b"), "Claims"),
        ("family", json!(""), "Claims"),
        ("family", json!("f".repeat(128)), "ok"),
        ("family", json!("f".repeat(129)), "Claims"),
        ("iat", json!(NOW + 5), "ok"),
        ("iat", json!(NOW + 6), "Claims"),
        ("exp", json!("2030"), "Claims"),
        ("exp", json!(u64::MAX), "Claims"),
        ("exp", json!(NOW + 366 * 86_400), "ok"),
        ("exp", json!(NOW + 366 * 86_400 + 1), "Claims"),
    ] {
        let token = signed(REFRESH_HEADER, &refresh_claims(name, value.clone()));
        assert_eq!(refreshes_now(&token), expected, "{name} {value}");
    }
    let sound: Value = serde_json::from_str(&refresh_claims("sub", json!("ada"))).unwrap();
    for name in sound.as_object().unwrap().keys() {
        let token = signed(REFRESH_HEADER, &refresh_claims(name, Value::Null));
        assert_eq!(refreshes_now(&token), "Claims", "without {name}");
    }
    for header in [HEADER, r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"alg":"HS256"}"#] {
        let token = signed(header, &refresh_claims("sub", json!("ada")));
        assert_eq!(refreshes_now(&token), "WrongType", "{header}");
    }
}

#[test]
fn a_refresh_token_ends_to_the_second_with_the_leeway() {
    let token = signed(REFRESH_HEADER, &refresh_claims("exp", json!(NOW + 60)));
    let end = Timestamp::from_secs(NOW + 60 + 5);
    assert_eq!(refreshes(&token, end.minus(Duration::from_micros(1))), "ok");
    assert_eq!(refreshes(&token, end), "Expired");
}

#[test]
fn what_would_not_verify_is_not_minted() {
    let mint = |family: &str, ttl| {
        let minted = keyring().mint_refresh(&"ada".parse().unwrap(), family, ttl, Timestamp::from_secs(NOW));
        minted.map_or_else(|error| format!("{error:?}"), |_| "ok".into())
    };
    assert_eq!(mint("f", MAX_REFRESH_TTL), "ok");
    assert_eq!(mint("f", MAX_REFRESH_TTL + Duration::from_secs(1)), "Lifetime");
    assert_eq!(mint("f", Duration::from_millis(999)), "Lifetime");
    assert_eq!(mint("", WEEK), "Unfit");
    assert_eq!(mint("a b", WEEK), "Unfit");
}
