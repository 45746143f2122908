//! Rows J: tokens that say what nobody should believe.

use std::{io::ErrorKind, net::TcpListener, time::Duration};

use portcullis::domain::Timestamp;
use serde_json::{Value, json};

use super::support::{
    app::TestApp,
    output,
    rpc::Rpc,
    tokens::{HEADER, sign},
    until,
};

/// Holds that `token` is refused for `reason`, in the answer and in the record, and stands in neither.
#[track_caller]
pub(crate) fn refused(app: &TestApp, token: &str, reason: &str) {
    let reply = Rpc::weather().bearer(token).send(app);
    reply.refused(401, -31401, reason);
    let challenge = reply.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\", resource_metadata="), "{challenge}");
    assert!(reply.json().get("id").is_none(), "the body was not to be read");
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.outcome), ("auth.failed", "denied"));
    assert_eq!((record.reason.as_deref(), &record.principal), (Some(reason), &None));
    let text = serde_json::to_string(&record).unwrap() + &reply.text();
    assert!(!token.split('.').any(|part| part.len() > 8 && text.contains(part)), "{text}");
}

#[track_caller]
pub(crate) fn accepted(app: &TestApp, token: &str) {
    Rpc::weather().bearer(token).send(app).result();
}

/// Good claims as text.
pub(crate) fn good(app: &TestApp) -> String {
    app.claims().to_string()
}

#[test]
fn j1_no_algorithm_is_no_signature() {
    let app = TestApp::start();
    accepted(&app, &app.signed(HEADER, &good(&app)));
    for alg in ["none", "nOnE", "NONE", ""] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
        let signed = app.signed(&header, &good(&app));
        refused(&app, &signed, "invalid_token");
        let unsigned = &signed[..=signed.rfind('.').unwrap()];
        refused(&app, unsigned, "invalid_token");
    }
}

#[test]
fn j2_a_public_key_of_ours_is_no_secret() {
    let app = TestApp::start();
    let public = std::fs::read(app.dir().join("keys/audit.pub")).unwrap();
    let secret = app.settings.jwt.secret.as_ref().unwrap().expose().to_vec();
    let trimmed = public.trim_ascii().to_vec();
    for key in
        [public, trimmed, b"".to_vec(), vec![0; 32], secret[..32].to_vec(), [&secret[..], b"\n"].concat()]
    {
        refused(&app, &sign(&key, HEADER, &good(&app)), "invalid_token");
    }
}

#[test]
fn j3_the_token_does_not_choose_the_algorithm() {
    let app = TestApp::start();
    for alg in ["HS384", "HS512", "RS256", "ES256", "EdDSA", "PS256", "hs256", "HS256 "] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
        refused(&app, &app.signed(&header, &good(&app)), "invalid_token");
    }
}

#[test]
fn j4_a_key_id_leads_nowhere() {
    let app = TestApp::start();
    let long = "k".repeat(10_000);
    for kid in ["../../../../dev/null", "' OR 1=1--", "a\u{0}\r\nX: y", "1", &long] {
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid }).to_string();
        refused(&app, &app.signed(&header, &good(&app)), "invalid_token");
    }
    let lines = output::logged(&["OR 1=1--"]);
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn j6_a_token_makes_us_fetch_nothing() {
    let app = TestApp::start();
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", trap.local_addr().unwrap());
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", json!({ "kty": "oct", "k": "AAAA" })),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = json!({ "alg": "HS256", "typ": "at+jwt", name: value }).to_string();
        refused(&app, &app.signed(&header, &good(&app)), "invalid_token");
    }
    let issuer = app.bent(|claims| claims["iss"] = json!(url));
    refused(&app, &issuer, "unknown_issuer");
    assert_eq!(trap.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn j7_what_must_be_understood_is_refused() {
    let app = TestApp::start();
    for extra in [
        json!({ "crit": ["exp2"], "exp2": 1 }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": [] }),
    ] {
        let mut header = json!({ "alg": "HS256", "typ": "at+jwt" });
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        refused(&app, &app.signed(&header.to_string(), &good(&app)), "invalid_token");
    }
}

#[test]
fn j8_an_end_must_be_there_and_be_a_time() {
    let app = TestApp::start();
    let text = good(&app);
    let (before, rest) = text.split_once("\"exp\":").unwrap();
    let after = &rest[rest.find(',').unwrap()..];
    for exp in ["null", "\"4102444800\"", "-1", "1e308", "1e400", "4102444800.5", "[4102444800]", "true"] {
        refused(&app, &app.signed(HEADER, &format!("{before}\"exp\":{exp}{after}")), "invalid_token");
    }
    refused(&app, &app.signed(HEADER, &format!("{before}{}", &after[1..])), "invalid_token");
}

#[test]
fn j9_an_end_of_the_world_is_too_far() {
    let app = TestApp::start();
    for exp in [u64::MAX, u64::MAX - 1, i64::MAX as u64, 253_402_300_800] {
        refused(&app, &app.bent(|claims| claims["exp"] = json!(exp)), "invalid_token");
        let both = app.bent(|claims| {
            claims["exp"] = json!(exp);
            claims["iat"] = json!(exp - 10);
        });
        refused(&app, &both, "invalid_token");
    }
}

#[test]
fn j10_a_second_late_is_borne_and_six_are_not() {
    let app = TestApp::start();
    let ended = |ago: u64| {
        app.bent(|claims| {
            let now = claims["iat"].as_u64().unwrap();
            claims["iat"] = json!(now - 60);
            claims["nbf"] = json!(now - 60);
            claims["exp"] = json!(now - ago);
        })
    };
    accepted(&app, &ended(1));
    refused(&app, &ended(6), "expired_token");
    // One that was good when a worker first saw it ends there too.
    let token = ended(3);
    accepted(&app, &token);
    let mut connection = app.connect();
    until("it ends", Duration::from_secs(4), || {
        let reply = Rpc::weather().bearer(&token).on(&mut connection);
        reply.status == 401 && reply.reason() == "expired_token"
    });
}

#[test]
fn j11_a_token_of_the_future_is_refused() {
    let app = TestApp::start();
    let now = Timestamp::now().secs();
    for (name, value) in [
        ("nbf", json!(now + 3_600)),
        ("nbf", json!(now.to_string())),
        ("nbf", Value::Null),
        ("iat", json!(now + 31_536_000)),
        ("iat", json!("now")),
    ] {
        refused(&app, &app.bent(|claims| claims[name] = value), "invalid_token");
    }
    // A clock that is a little ahead of ours is borne.
    accepted(&app, &app.bent(|claims| claims["iat"] = json!(now + 3)));
}

#[test]
fn j12_a_token_for_somebody_else_is_refused() {
    let app = TestApp::start();
    for aud in [
        json!([]),
        json!("https://other.example/mcp"),
        json!("http://127.0.0.1:8080/mcp/"),
        json!("http://127.0.0.1:8080"),
        json!("HTTP://127.0.0.1:8080/MCP"),
        json!("http://127.0.0.1:80800/mcp"),
        json!(""),
    ] {
        refused(&app, &app.bent(|claims| claims["aud"] = aud), "wrong_audience");
    }
    for aud in [json!(7), Value::Null, json!({ "a": 1 }), json!([["http://127.0.0.1:8080/mcp"]])] {
        refused(&app, &app.bent(|claims| claims["aud"] = aud), "invalid_token");
    }
    let without = app.bent(|claims| drop(claims.as_object_mut().unwrap().remove("aud")));
    refused(&app, &without, "invalid_token");
    accepted(&app, &app.bent(|claims| claims["aud"] = json!(["http://127.0.0.1:8080/mcp"])));
}

#[test]
fn j13_a_token_for_us_and_somebody_else_is_refused() {
    let app = TestApp::start();
    let both = json!(["http://127.0.0.1:8080/mcp", "https://other.example/mcp"]);
    refused(&app, &app.bent(|claims| claims["aud"] = both), "wrong_audience");
}

#[test]
fn j14_an_issuer_is_one_text() {
    let app = TestApp::start();
    for iss in [
        json!(["https://evil.example", "http://127.0.0.1:8080"]),
        json!(["http://127.0.0.1:8080"]),
        Value::Null,
    ] {
        refused(&app, &app.bent(|claims| claims["iss"] = iss), "invalid_token");
    }
    for iss in ["https://evil.example", "http://127.0.0.1:8080/", "", "HTTP://127.0.0.1:8080"] {
        refused(&app, &app.bent(|claims| claims["iss"] = json!(iss)), "unknown_issuer");
    }
}

#[test]
fn j15_a_token_of_another_type_is_no_access_token() {
    let app = TestApp::start();
    for header in
        [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"alg":"HS256","typ":"rt+jwt"}"#]
    {
        refused(&app, &app.signed(header, &good(&app)), "wrong_token_type");
    }
    refused(&app, &app.bent(|claims| claims["type"] = json!("refresh")), "wrong_token_type");
    let now = Timestamp::now().secs();
    let refresh = json!({ "iss": "http://127.0.0.1:8080", "sub": "eve", "aud": "http://127.0.0.1:8080/mcp",
        "jti": "x", "iat": now, "exp": now + 600, "type": "refresh", "family": "f" });
    refused(&app, &app.signed(HEADER, &refresh.to_string()), "wrong_token_type");
    let without = app.bent(|claims| drop(claims.as_object_mut().unwrap().remove("type")));
    refused(&app, &without, "invalid_token");
    accepted(&app, &app.signed(r#"{"alg":"HS256","typ":"application/at+jwt"}"#, &good(&app)));
}

#[test]
fn j17_a_claim_that_stands_twice_is_refused() {
    let app = TestApp::start();
    for (once, twice) in [
        (r#""roles":["admin"]"#, r#""roles":["user"],"roles":["admin"]"#),
        (r#""sub":"eve""#, r#""sub":"eve","sub":"root""#),
        (r#""sub":"eve""#, r#""sub":"eve","s\u0075b":"root""#),
        (r#""type":"access""#, r#""type":"refresh","type":"access""#),
    ] {
        let text = good(&app);
        assert!(text.contains(once), "{text}");
        refused(&app, &app.signed(HEADER, &text.replace(once, twice)), "invalid_token");
    }
}
