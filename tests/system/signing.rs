//! The verbs with private keys instead of a secret: issue, inspect, revoke, check, and a rotation.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;

use super::{home::Home, output, server::Server};

/// Makes a key file as an operator would, of mode 0600; gives the section that names it, on one line.
fn key(folder: &Path, kid: &str, more: &str) -> String {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (text, file) = (pair.serialize_pem(), folder.join(format!("{kid}.pem")));
    text.lines().filter(|line| !line.starts_with('-')).for_each(output::secret);
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    format!("{{ kid = {kid:?}, algorithm = \"ES256\", private_key_file = {file:?}{more} }}")
}

async fn inspected(home: &Home, token: &str) -> Value {
    serde_json::from_str(&home.ok(&["token", "inspect", token, "--json"]).await).unwrap()
}

#[tokio::test]
async fn each_algorithm_issues_inspects_and_revokes() {
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let home = Home::new("signing").without("JWT__SECRET").with("JWT__ALGORITHM", algorithm);
        let server = Server::start(&home).await;
        let token = home.token("alice", "user").await;
        assert_eq!(server.caller(Some(&token)).weather("Oslo").await.unwrap().status, 200);
        let shown = inspected(&home, &token).await;
        assert_eq!((&shown["valid"], &shown["header"]["alg"]), (&true.into(), &algorithm.into()), "{shown}");
        assert_eq!(shown["header"]["kid"].as_str().map(str::len), Some(43), "the thumbprint of the key");
        home.ok(&["token", "revoke", &token]).await;
        assert_eq!(inspected(&home, &token).await["reason"], "revoked_token");
        server.stopped().await;
    }
}

#[tokio::test]
async fn production_rotates_from_one_key_file_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (key(folder.path(), "2025", ""), key(folder.path(), "2026", ""));
    let ended = old.replace(" }", ", retire_at = \"2020-01-01T00:00:00Z\" }");
    let home = |keys: &str, data: &Path| {
        Home::new("rotation")
            .in_profile("production")
            .without("JWT__SECRET")
            .with("JWT__ALGORITHM", "ES256")
            .with("JWT__KEYS", keys)
            .with_data_in(data)
    };
    let data = folder.path().join("data");
    let before = home(&format!("[{old}]"), &data);
    let token = before.token("alice", "user").await;
    let during = home(&format!("[{new}, {old}]"), &data);
    let server = Server::start(&during).await;
    assert_eq!(server.caller(Some(&token)).weather("Oslo").await.unwrap().status, 200);
    server.stopped().await;
    let after = home(&format!("[{new}, {ended}]"), &data);
    let server = Server::start(&after).await;
    let answer = server.caller(Some(&token)).weather("Oslo").await.unwrap();
    assert_eq!((answer.status, answer.reason().as_str()), (401, "invalid_token"));
    assert_eq!(inspected(&after, &token).await["reason"], "invalid_token");
    server.stopped().await;

    let said = home(&format!("[{ended}]"), &data).cli(&["check", "--json"]).await;
    assert_eq!(said.code(), 1);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["problems"][0]["key"], "jwt.keys[0].retire_at", "{report}");
    let said = home("[]", &data).cli(&["serve"]).await;
    assert!(said.code() == 1 && said.err.contains("jwt.keys"), "{}", said.err);
}
