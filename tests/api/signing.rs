//! Tokens that others can verify: signed by every algorithm, published keys, a change from one to the other.

use std::{sync::Barrier, thread};

use jsonwebtoken::{DecodingKey, Validation, decode, jwk::JwkSet};
use portcullis::settings::Algorithm;
use serde_json::{Value, json};

use super::support::{
    app::TestApp,
    rpc::Rpc,
    signing::{ASYMMETRIC, Key},
};

#[test]
fn every_algorithm_serves_and_its_published_key_verifies_the_token_elsewhere() {
    for algorithm in ASYMMETRIC {
        let key = Key::new("2026-11", algorithm);
        let app = TestApp::start_with(|settings| key.signs(settings));
        let token = app.token("ada", "user");
        Rpc::weather().bearer(&token).send(&app).result();

        let keys: JwkSet = serde_json::from_value(app.get("/oauth/jwks").json()).unwrap();
        let jwk = keys.find("2026-11").unwrap();
        let jose = jwk.common.key_algorithm.unwrap().to_string().parse().unwrap();
        let mut rules = Validation::new(jose);
        rules.set_audience(&["http://127.0.0.1:8080/mcp"]);
        rules.set_issuer(&["http://127.0.0.1:8080"]);
        let read = decode::<Value>(&token, &DecodingKey::from_jwk(jwk).unwrap(), &rules).unwrap();
        assert_eq!((read.header.kid.as_deref(), &read.claims["sub"]), (Some("2026-11"), &json!("ada")));
    }
}

#[test]
fn the_published_keys_are_public_plain_and_may_be_kept_for_a_while() {
    let keys = ASYMMETRIC.map(|algorithm| Key::new(algorithm.name(), algorithm));
    let app = TestApp::start_with(|settings| {
        settings.jwt.algorithm = Algorithm::Es256;
        settings.jwt.keys = keys.iter().map(|key| key.settings(None)).collect();
    });
    let reply = app.get("/oauth/jwks");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=300"));
    assert!(reply.header("x-request-id").is_some());
    let members = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let published = reply.json()["keys"].as_array().unwrap().clone();
    assert_eq!(members(&published[0]), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!(members(&published[1]), ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!(members(&published[2]), ["alg", "e", "kid", "kty", "n", "use"]);
    for (key, (kid, kty)) in published.iter().zip([("ES256", "EC"), ("EdDSA", "OKP"), ("RS256", "RSA")]) {
        assert_eq!((&key["kid"], &key["alg"], &key["kty"]), (&json!(kid), &json!(kid), &json!(kty)));
        assert_eq!(key["use"], "sig");
    }
}

#[test]
fn a_server_of_one_secret_publishes_no_key() {
    let app = TestApp::start();
    assert_eq!(app.get("/oauth/jwks").text(), r#"{"keys":[]}"#);
}

#[test]
fn tokens_of_the_secret_hold_during_a_change_and_end_with_the_secret() {
    let key = Key::new("k", Algorithm::Es256);
    let app = TestApp::start();
    let before = app.token("ada", "user");
    // First the key only verifies, so that everybody has it before it signs.
    let app = app.restart_with(|settings| settings.jwt.keys = vec![key.settings(None)]);
    let secret = app.token("ada", "user");
    assert_eq!(app.get("/oauth/jwks").json()["keys"][0]["kid"], "k");
    let app = app.restart_with(|settings| settings.jwt.algorithm = Algorithm::Es256);
    let after = app.token("ada", "user");
    for token in [&before, &secret, &after] {
        Rpc::weather().bearer(token).send(&app).result();
    }
    let app = app.restart_with(|settings| settings.jwt.secret = None);
    for token in [&before, &secret] {
        Rpc::weather().bearer(token).send(&app).refused(401, -31401, "invalid_token");
    }
    Rpc::weather().bearer(&after).send(&app).result();
}

#[test]
fn development_makes_the_key_that_it_lacks_and_keeps_it() {
    for algorithm in ASYMMETRIC {
        let app = TestApp::start_with(|settings| {
            settings.jwt.algorithm = algorithm;
            settings.jwt.secret = None;
        });
        let token = app.token("ada", "user");
        assert!(!app.dir().join("keys/jwt.secret").exists(), "nobody asked for a secret");
        let kid = app.get("/oauth/jwks").json()["keys"][0]["kid"].clone();
        let app = app.restart();
        Rpc::weather().bearer(&token).send(&app).result();
        assert_eq!(app.get("/oauth/jwks").json()["keys"][0]["kid"], kid);
    }
}

#[test]
fn a_token_that_all_workers_see_at_once_for_the_first_time_is_let_in_by_all() {
    let key = Key::new("k", Algorithm::Rs256);
    let app = TestApp::start_with(|settings| {
        key.signs(settings);
        settings.server.workers = 4;
    });
    let (token, gate) = (app.token("ada", "user"), Barrier::new(64));
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut connection = app.connect();
                gate.wait();
                Rpc::weather().bearer(&token).on(&mut connection).result();
            });
        }
    });
}
