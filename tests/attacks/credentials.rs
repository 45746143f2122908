//! Rows J: tokens of another spelling, size or place, tokens that were taken back, and clocks that step.

use std::time::Duration;

use portcullis::{
    actors::tokens::{MintRequest, TokenError},
    domain::Timestamp,
    store::RevocationTarget,
};
use serde_json::json;

use super::{
    jwt::{accepted, good, refused},
    support::{app::TestApp, block_on, output, rpc::Rpc, tokens::HEADER},
};

#[test]
fn j18_a_token_has_one_spelling() {
    let app = TestApp::start();
    refused(
        &app,
        &app.signed(r#"{"alg":"none","alg":"HS256","typ":"at+jwt"}"#, &good(&app)),
        "invalid_token",
    );
    refused(
        &app,
        &app.signed(r#"{"alg":"HS256","alg":"HS256","typ":"at+jwt"}"#, &good(&app)),
        "invalid_token",
    );
    let token = app.token("eve", "user");
    accepted(&app, &token);
    // The last of 43 characters has two bits that stand for nothing: a sloppy decoder ignores them.
    let last = token.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let sloppy = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let head = &token[..token.len() - 1];
    for other in [
        format!("{head}{sloppy}"),
        format!("{token}="),
        format!("{token}.x"),
        format!("{token}."),
        format!(".{token}"),
        format!(" {token}"),
        token.replacen('.', ". ", 1),
        token.replacen('.', "..", 1),
        token.to_uppercase(),
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ] {
        refused(&app, &other, "invalid_token");
    }
}

#[test]
fn j19_a_huge_token_is_refused_before_it_is_read() {
    let app = TestApp::start();
    refused(&app, &"x".repeat(8_193), "invalid_token");
    refused(&app, &".".repeat(8_193), "invalid_token");
    for token in [".".repeat(100_000), "x".repeat(17_000)] {
        Rpc::weather().bearer(&token).send(&app).refused(431, -32600, "headers_too_large");
    }
    let mut connection = app.connect();
    connection.try_send(Rpc::weather().bearer(&"x".repeat(1 << 20)).bytes());
    let status = connection.try_reply().map(|reply| reply.status);
    assert!(matches!(status, Some(431 | 400) | None), "{status:?}");
    assert!(app.is_ready());
}

#[test]
fn j20_claims_nested_without_end_are_refused() {
    let app = TestApp::start();
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let with =
        |levels| app.signed(HEADER, &good(&app).replacen('{', &format!("{{\"x\":{},", nested(levels)), 1));
    Rpc::weather().bearer(&with(20_000)).send(&app).refused(431, -32600, "headers_too_large");
    assert_eq!(Rpc::weather().bearer(&with(100_000)).send(&app).status, 431);
    refused(&app, &with(4_000), "invalid_token");
    // Within the size nobody recurses into what nobody reads; what is read is not nested.
    accepted(&app, &with(2_500));
    let roles = good(&app).replace(r#"["admin"]"#, &nested(2_500));
    refused(&app, &app.signed(HEADER, &roles), "invalid_token");
    let header = format!(r#"{{"typ":{},"alg":"HS256"}}"#, nested(300));
    refused(&app, &app.signed(&header, &good(&app)), "invalid_token");
}

#[test]
fn j21_a_subject_is_a_name_and_names_are_compared_byte_by_byte() {
    let app = TestApp::start();
    let long = "a".repeat(300);
    for sub in ["", " ", "a b", "a\u{0}", "\u{202e}nimda", "ada\n", "n\u{e9}e", "ne\u{301}e", &long] {
        refused(&app, &app.bent(|claims| claims["sub"] = json!(sub)), "invalid_token");
    }
    let (small, large) = (app.token("admin", "user"), app.token("ADMIN", "user"));
    block_on(app.tokens.revoke(RevocationTarget::Subject("admin".into()), Duration::from_secs(600))).unwrap();
    refused(&app, &small, "revoked_token");
    accepted(&app, &large);
}

#[test]
fn j22_one_credential_in_one_place() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let bad = |rpc: Rpc| {
        let reply = rpc.send(&app);
        reply.refused(400, -32600, "malformed_credential");
        assert!(reply.header("www-authenticate").is_none());
        assert_eq!(app.record_of(&reply).event, "auth.failed");
    };
    bad(Rpc::weather().bearer(&token).bearer(&token));
    bad(Rpc::weather().bearer(&token).header("x-api-key", "mcp_x"));
    bad(Rpc::weather().header("x-api-key", "mcp_x").header("x-api-key", "mcp_x"));
    bad(Rpc::weather().bearer(&token).target(&format!("/mcp?access_token={token}")));
    bad(Rpc::weather().target(&format!("/mcp?x=1&access_token={token}")));
    bad(Rpc::weather().header("authorization", format!("Basic {token}")));
    bad(Rpc::weather().header("authorization", token.as_bytes()));
    bad(Rpc::weather().header("authorization", ""));
    for scheme in ["bearer", "BEARER", "BeArEr"] {
        Rpc::weather().header("authorization", format!("{scheme} {token}")).send(&app).result();
    }
    // Elsewhere a token is not looked for.
    for rpc in [
        Rpc::weather().header("cookie", format!("access_token={token}")),
        Rpc::weather().header("x-access-token", token.as_bytes()),
        Rpc::weather().edit(|body| body["params"]["access_token"] = json!(token)),
        Rpc::weather().header("proxy-authorization", format!("Bearer {token}")),
    ] {
        rpc.send(&app).refused(401, -31401, "missing_credential");
    }
    for reply in [
        Rpc::weather().header("x-api-key", "mcp_0123456789").send(&app),
        Rpc::weather().bearer("mcp_0123456789").send(&app),
    ] {
        reply.refused(401, -31401, "invalid_api_key");
    }
}

#[test]
fn j23_a_revoked_token_stays_revoked() {
    let app = TestApp::start();
    let (token, jti) = app.minted("ada", &["user"], &[], "tests");
    let mut connections: Vec<_> = (0..8).map(|_| app.connect()).collect();
    for connection in &mut connections {
        Rpc::weather().bearer(&token).on(connection).result();
    }
    block_on(app.tokens.revoke(RevocationTarget::Jti(jti), Duration::from_secs(600))).unwrap();
    for connection in &mut connections {
        Rpc::weather().bearer(&token).on(connection).refused(401, -31401, "revoked_token");
    }
    drop(connections);
    refused(&app.restart(), &token, "revoked_token");
}

#[test]
fn j28_a_clock_that_steps_makes_no_panic_and_no_wrong_token() {
    let app = TestApp::start();
    let request = MintRequest {
        subject: "ada".parse().unwrap(),
        client: "tests".into(),
        roles: vec!["user".into()],
        permissions: Vec::new(),
        ttl: Duration::from_secs(600),
    };
    let hour = Duration::from_secs(3_600);
    let now = Timestamp::now();
    for at in [now, now.minus(hour), now.plus(hour), Timestamp::from_secs(0), now.minus(hour), now] {
        let minted = app.keyring.mint(&request, at).unwrap();
        output::secret(&minted.token);
        assert_eq!((minted.claims.iat, minted.claims.exp), (at.secs(), at.secs() + 600));
        assert!(app.keyring.verify(&minted.token, at).is_ok());
        assert!(matches!(app.keyring.verify(&minted.token, at.plus(hour)), Err(TokenError::Expired)));
        let earlier = app.keyring.verify(&minted.token, at.minus(hour));
        assert!(earlier.is_err() || at == Timestamp::from_secs(0), "a token of the future");
    }
    let last = app.keyring.verify(&app.token("ada", "user"), Timestamp::from_micros(u64::MAX));
    assert!(matches!(last, Err(TokenError::Expired)));
}
