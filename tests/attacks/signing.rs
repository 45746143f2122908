//! Rows J where tokens are signed with private keys, whose public halves everybody has.

use std::time::Duration;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use portcullis::{
    actors::{
        audit::Filter,
        tokens::{MintRequest, TokenError},
    },
    app::AppError,
    domain::Timestamp,
    settings::Algorithm,
    store::RevocationTarget,
};
use serde_json::{Value, json};

use super::{
    jwt::{accepted, good, refused},
    support::{
        SOON,
        app::{self, TestApp},
        block_on, output,
        rpc::Rpc,
        signing::{ASYMMETRIC, Key},
        tokens::{HEADER, sign},
        until,
    },
};

/// The ids of the keys that a server publishes.
fn published(app: &TestApp) -> Vec<String> {
    let reply = app.get("/oauth/jwks");
    assert_eq!(reply.status, 200);
    let keys = reply.json()["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn j2_no_form_of_a_public_key_is_a_secret() {
    for algorithm in ASYMMETRIC {
        let key = Key::new("k", algorithm);
        for with_secret in [true, false] {
            let app = TestApp::start_with(|settings| {
                let secret = settings.jwt.secret.clone().filter(|_| with_secret);
                key.signs(settings);
                settings.jwt.secret = secret;
            });
            accepted(&app, &key.sign(&key.header(), &good(&app)));
            let pem = key.pair.public_key_pem();
            let jwk = app.get("/oauth/jwks").json()["keys"][0].clone();
            let forms = [
                STANDARD
                    .decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>())
                    .unwrap(),
                key.pair.public_key_raw().to_vec(),
                pem.clone().into_bytes(),
                pem.trim_end().as_bytes().to_vec(),
                pem.replace('\n', "\r\n").into_bytes(),
                jwk.to_string().into_bytes(),
                Vec::new(),
            ];
            let named = r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#;
            for form in &forms {
                refused(&app, &sign(form, HEADER, &good(&app)), "invalid_token");
                refused(&app, &sign(form, named, &good(&app)), "invalid_token");
            }
            refused(&app, &sign(&forms[0], &key.header(), &good(&app)), "invalid_token");
        }
    }
}

#[test]
fn j3_a_key_does_its_own_algorithm_and_no_other() {
    let keys = ASYMMETRIC.map(|algorithm| Key::new(algorithm.name(), algorithm));
    let app = TestApp::start_with(|settings| {
        app::without_limits(settings);
        settings.jwt.keys = keys.iter().map(|key| key.settings(None)).collect();
    });
    for key in &keys {
        accepted(&app, &key.sign(&key.header(), &good(&app)));
        for alg in ["none", "HS256", "ES256", "EdDSA", "RS256", "RS512", "PS256", "ES384", "es256"] {
            for kid in
                ["ES256", "EdDSA", "RS256"].into_iter().filter(|kid| (alg, *kid) != (&key.kid, &key.kid))
            {
                let header = json!({ "alg": alg, "typ": "at+jwt", "kid": kid }).to_string();
                refused(&app, &key.sign(&header, &good(&app)), "invalid_token");
            }
        }
        let nameless = json!({ "alg": key.algorithm.name(), "typ": "at+jwt" }).to_string();
        refused(&app, &key.sign(&nameless, &good(&app)), "invalid_token");
        let sound = key.sign(&key.header(), &good(&app));
        let (message, _) = sound.rsplit_once('.').unwrap();
        for signature in [String::new(), "A".repeat(86), "A".repeat(342), URL_SAFE_NO_PAD.encode([0xff; 64])]
        {
            refused(&app, &format!("{message}.{signature}"), "invalid_token");
        }
    }
}

#[test]
fn j4_a_key_id_is_looked_up_and_nothing_else() {
    let key = Key::new("k", Algorithm::Es256);
    let app = TestApp::start_with(|settings| key.signs(settings));
    let long = "k".repeat(10_000);
    let path = app.dir().join("keys/audit.pub").display().to_string();
    for kid in ["../../../../dev/null", "' OR 1=1--", "a\u{0}\r\nX: y", "K", "k ", "", "kk", &path, &long] {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }).to_string();
        refused(&app, &key.sign(&header, &good(&app)), "invalid_token");
    }
    for kid in [json!(null), json!(1), json!(["k"]), json!({ "k": "k" })] {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }).to_string();
        refused(&app, &key.sign(&header, &good(&app)), "invalid_token");
    }
    let twice = r#"{"alg":"ES256","typ":"at+jwt","kid":"k","kid":"k"}"#;
    refused(&app, &key.sign(twice, &good(&app)), "invalid_token");
    for pointer in ["jku", "jwk", "x5u", "x5c", "crit"] {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k", pointer: [] }).to_string();
        refused(&app, &key.sign(&header, &good(&app)), "invalid_token");
    }
    assert!(output::logged(&["OR 1=1--"]).is_empty());
}

#[test]
fn j15_a_real_refresh_token_is_no_access_token() {
    let key = Key::new("k", Algorithm::EdDsa);
    for app in [TestApp::start(), TestApp::start_with(|settings| key.signs(settings))] {
        let subject = "ada".parse().unwrap();
        let week = Duration::from_secs(7 * 86_400);
        let refresh = app.keyring.mint_refresh(&subject, "family", week, Timestamp::now()).unwrap();
        output::secret(&refresh.token);
        refused(&app, &refresh.token, "wrong_token_type");
        let access = app.token("ada", "user");
        accepted(&app, &access);
        let taken = app.keyring.verify_refresh(&access, Timestamp::now());
        assert!(matches!(taken, Err(TokenError::WrongType)));
    }
}

#[test]
fn j18_a_second_spelling_of_a_signature_outlives_no_revocation() {
    let key = Key::new("k", Algorithm::Es256);
    let app = TestApp::start_with(|settings| key.signs(settings));
    let (token, jti) = app.minted("ada", &["user"], &[], "tests");
    let (message, signature) = token.rsplit_once('.').unwrap();
    // With (r, s) an ECDSA signature has a twin (r, n - s), which anybody can work out.
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let mut borrow = 0_i16;
    for at in (0..32).rev() {
        let n = i16::from(u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap());
        let difference = n - i16::from(bytes[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        bytes[32 + at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let twin = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&bytes));
    output::secret(&twin);
    assert_ne!(twin, token);
    accepted(&app, &twin);
    block_on(app.tokens.revoke(RevocationTarget::Jti(jti), Duration::from_secs(600))).unwrap();
    refused(&app, &token, "revoked_token");
    refused(&app, &twin, "revoked_token");
}

#[test]
fn j24_a_rotated_key_is_good_until_it_retires_and_not_after() {
    let (old, new) = (Key::new("2025", Algorithm::Rs256), Key::new("2026", Algorithm::Es256));
    let app = TestApp::start_with(|settings| old.signs(settings));
    let token = app.token("ada", "user");
    accepted(&app, &token);
    assert_eq!(published(&app), ["2025"]);

    let retires = Timestamp::now().plus(Duration::from_secs(4));
    let app = app.restart_with(|settings| {
        settings.jwt.algorithm = new.algorithm;
        settings.jwt.keys = vec![new.settings(None), old.settings(Some(retires))];
    });
    let mut connections: Vec<_> = (0..8).map(|_| app.connect()).collect();
    for connection in &mut connections {
        Rpc::weather().bearer(&token).on(connection).result();
    }
    assert_eq!(published(&app), ["2026", "2025"]);
    let starts = app.records(Filter { event: Some("server.started".into()), ..Filter::default() });
    let signing: Vec<_> =
        starts.iter().map(|start| start.detail.as_ref().unwrap()["signing"].clone()).collect();
    assert_eq!(signing[0], json!({ "algorithm": "RS256", "kids": ["2025"] }));
    assert_eq!(signing[1], json!({ "algorithm": "ES256", "kids": ["2026", "2025"] }));
    let fresh = app.token("ada", "user");
    let header = URL_SAFE_NO_PAD.decode(fresh.split('.').next().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["kid"], "2026");
    accepted(&app, &fresh);

    // Nothing is told of the moment: every worker that knows the token finds it over by itself.
    until("the old key has retired", SOON, || Timestamp::now() >= retires);
    for connection in &mut connections {
        Rpc::weather().bearer(&token).on(connection).refused(401, -31401, "invalid_token");
    }
    refused(&app, &token, "invalid_token");
    accepted(&app, &fresh);
    assert_eq!(published(&app), ["2026"]);
}

#[test]
fn j24_a_key_that_has_retired_signs_nothing() {
    let key = Key::new("k", Algorithm::EdDsa);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = app::settings(folder.path());
    key.signs(&mut settings);
    settings.jwt.keys = vec![key.settings(Some(Timestamp::now()))];
    let refusal = app::refusal(&settings, Vec::new());
    assert!(matches!(refusal, AppError::Tokens(TokenError::Retired)), "{refusal}");
    assert_eq!(refusal.problem().key, "jwt.keys");

    let retires = Timestamp::now().plus(Duration::from_millis(1_500));
    let app = TestApp::start_with(|settings| {
        key.signs(settings);
        settings.jwt.keys = vec![key.settings(Some(retires))];
    });
    let request = || MintRequest {
        subject: "ada".parse().unwrap(),
        client: "tests".into(),
        roles: Vec::new(),
        permissions: Vec::new(),
        ttl: Duration::from_secs(60),
    };
    until("the key retires", SOON, || {
        block_on(app.tokens.mint(request())).is_err_and(|error| matches!(error, TokenError::Retired))
    });
    assert!(Timestamp::now() >= retires && published(&app).is_empty());
}
