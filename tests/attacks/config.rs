//! Rows C, and J25: settings that must not be served with, and secrets that must not be shown.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use portcullis::{
    app,
    auth::Credential,
    settings::{self, InvalidSettings, Loaded, Source},
};
use serde_json::json;

use super::support::{app as servers, app::TestApp, output, rpc::Rpc};

/// A secret that passes every check.
const GOOD: &str = "k2J8fPq0Zr5LwXc7Yv1NbT4mHs9GdU3eQ6oRiA";

fn load(dir: &Path, profile: &str, variables: &[(&str, &str)]) -> Result<Loaded, InvalidSettings> {
    let environment: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    settings::load(&Source { dir: dir.into(), profile: profile.into(), environment, overrides: Vec::new() })
}

/// Holds that a start is refused, that `key` is named with a fix, and gives what is said.
fn refused(dir: &Path, profile: &str, variables: &[(&str, &str)], key: &str) -> String {
    let invalid = load(dir, profile, variables).expect_err(key);
    let named = invalid.problems.iter().find(|problem| problem.key.ends_with(key));
    assert!(named.is_some_and(|problem| !problem.fix.is_empty()), "{key} is not named: {invalid}");
    invalid.to_string()
}

#[test]
fn j25_a_short_secret_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for profile in ["development", "production", "loadtest"] {
        let said = refused(folder.path(), profile, &[("JWT_SECRET_KEY", &GOOD[..31])], "jwt.secret");
        assert!(said.contains("32 bytes") && !said.contains(&GOOD[..16]), "{said}");
        refused(folder.path(), profile, &[("JWT_SECRET_KEY", &GOOD[..16])], "jwt.secret");
    }
    load(folder.path(), "development", &[("JWT_SECRET_KEY", &GOOD[..32])]).unwrap();
}

#[test]
fn c1_a_secret_that_anybody_could_guess_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for weak in [
        "changeme",
        "12345678",
        "changeme-changeme-changeme-changeme",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "abcdefghijklmnopqrstuvwxyzabcdefghij",
        "abababababababababababababababababababab",
        "your-256-bit-secret-your-256-bit-secret",
        "secretsecretsecretsecretsecretsecretsecret1",
    ] {
        let said = refused(folder.path(), "development", &[("JWT_SECRET_KEY", weak)], "jwt.secret");
        assert!(!said.contains(weak), "{said}");
    }
    refused(folder.path(), "production", &[], "jwt.secret");
}

#[test]
fn c2_a_key_that_is_misspelt_or_of_another_type_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("local.toml");
    for (text, key) in [
        ("[jwt]\nsecert = \"x\"", "jwt.secert"),
        ("[admin]\nunsafe_faults = \"yes\"", "admin.unsafe_faults"),
        ("[admin]\nunsafe_faults = 1", "admin.unsafe_faults"),
        ("[server]\nport = \"8080\"", "server.port"),
        ("[server]\nport = 80.5", "server.port"),
        ("nonsense = 1", "nonsense"),
        ("[policy]\ndenied = \"Hide\"", "policy.denied"),
    ] {
        fs::write(&local, text).unwrap();
        refused(folder.path(), "development", &[], key);
    }
    for text in ["[jwt]\n[jwt]\n", "[server\n", "= 1"] {
        fs::write(&local, text).unwrap();
        refused(folder.path(), "development", &[], "local.toml");
    }
    fs::remove_file(&local).unwrap();
    let said = refused(folder.path(), "development", &[("PORTCULLIS__JWT__SECERT", "x")], "jwt.secert");
    assert!(said.contains("jwt.secret"), "the nearest key is named: {said}");
}

#[test]
fn c3_what_others_can_read_or_change_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("jwt.secret");
    fs::write(&secret, GOOD).unwrap();
    let variables = [("PORTCULLIS__JWT__SECRET_FILE", secret.to_str().unwrap())];
    for (mode, fits) in [(0o600, true), (0o640, true), (0o644, false), (0o620, false), (0o666, false)] {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        if fits {
            load(folder.path(), "production", &variables).unwrap();
        } else {
            refused(folder.path(), "production", &variables, "jwt.secret_file");
        }
    }
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let said = load(folder.path(), "production", &variables).unwrap_err().to_string();
    assert!(said.contains("every user of this machine can change it"), "{said}");
}

#[test]
fn c4_production_in_the_open_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let open = [
        ("JWT_SECRET_KEY", GOOD),
        ("PORTCULLIS__SERVER__HOST", "0.0.0.0"),
        ("PORTCULLIS__SERVER__ALLOWED_HOSTS", "mcp.example.org"),
    ];
    refused(folder.path(), "production", &open, "server.host");
    let behind = [&open[..], &[("PORTCULLIS__SERVER__TRUSTED_PROXIES", "10.0.0.1")]].concat();
    load(folder.path(), "production", &behind).unwrap();
    let everybody = [&open[..], &[("PORTCULLIS__SERVER__TRUSTED_PROXIES", "0.0.0.0/0")]].concat();
    refused(folder.path(), "production", &everybody, "server.trusted_proxies");
    refused(
        folder.path(),
        "production",
        &[("JWT_SECRET_KEY", GOOD), ("PORTCULLIS__ADMIN__UNSAFE_FAULTS", "true")],
        "admin.unsafe_faults",
    );
    let named = load(folder.path(), "development", &[("PORTCULLIS__ADMIN__UNSAFE_FAULTS", "true")]).unwrap();
    assert_eq!(named.settings.weakenings(), ["admin.unsafe_faults"]);
    let banner = app::banner(&named.settings, "http://x/mcp", "http://y");
    assert!(banner.contains("admin.unsafe_faults"), "{banner}");
}

#[test]
fn c8_nothing_that_is_shown_for_debugging_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = load(folder.path(), "development", &[("JWT_SECRET_KEY", GOOD)]).unwrap();
    let token = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl";
    let mut settings = servers::settings(folder.path());
    settings.jwt.secret = loaded.settings.jwt.secret.clone();
    let keyring = app::keyring(&settings).unwrap();
    let request = portcullis::actors::tokens::MintRequest {
        subject: "ada".parse().unwrap(),
        client: "tests".into(),
        roles: Vec::new(),
        permissions: Vec::new(),
        ttl: std::time::Duration::from_secs(60),
    };
    let minted = keyring.mint(&request, portcullis::domain::Timestamp::now()).unwrap();
    output::secret(&minted.token);
    let source = Source {
        dir: folder.path().into(),
        profile: "development".into(),
        environment: [("PORTCULLIS__JWT__SECRET".to_owned(), GOOD.to_owned())].into(),
        overrides: vec![("jwt.secret".into(), GOOD.into())],
    };
    let shown = [
        format!("{loaded:?}"),
        format!("{:#?}", loaded.settings),
        format!("{keyring:?}"),
        format!("{:?}", portcullis::settings::generated::jwt_secret(&settings.data_dir).unwrap()),
        format!("{minted:?} {:?}", minted.claims),
        format!("{source:?}"),
        format!("{:?} {:?}", Credential::Bearer(token), Credential::ApiKey(token)),
        app::banner(&settings, "http://x/mcp", "http://y"),
    ];
    for text in shown {
        assert!(!text.contains(GOOD), "{text}");
        assert!(!text.contains(&minted.token) && !text.contains(token), "{text}");
    }
}

#[test]
fn c12_the_log_at_its_loudest_holds_no_secret() {
    let app = TestApp::start();
    let secret = String::from_utf8(app.settings.jwt.secret.as_ref().unwrap().expose().to_vec()).unwrap();
    let (good, _) = app.minted("quiet-as-a-mouse", &["user", "nobody"], &[], "tests");
    let mut bent: Vec<String> = vec![
        app.bent(|claims| claims["exp"] = json!(1)),
        app.bent(|claims| claims["aud"] = json!("https://other.example")),
        app.bent(|claims| claims["type"] = json!("refresh")),
    ];
    bent.push(format!("{}x", &good[..good.len() - 1]));
    bent.push("mcp_0123456789abcdefghijklmnopqrstuvwxyzABCDEF".to_owned());
    output::secret("mcp_0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
    Rpc::weather().bearer(&good).send(&app).result();
    for token in &bent {
        Rpc::weather().bearer(token).send(&app).refused(
            401,
            -31401,
            &Rpc::weather().bearer(token).send(&app).reason(),
        );
        Rpc::weather().header("x-api-key", token.as_bytes()).send(&app);
        Rpc::weather().target(&format!("/mcp?access_token={token}")).send(&app);
        Rpc::weather().header("authorization", format!("Basic {token}")).send(&app);
        app.connect()
            .try_send(format!("GET /{token} HTTP/1.1\r\nauthorization: Bearer {token}\r\nhost: [\r\n\r\n"));
    }
    let metrics = app.admin("GET", "/metrics").text();
    let dir = app.dir().to_path_buf();
    let mut seen = vec![metrics.into_bytes(), fs::read(output::log()).unwrap()];
    let mut folders = vec![dir];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                seen.push(fs::read(entry.path()).unwrap());
            }
        }
    }
    assert!(output::logged(&["quiet-as-a-mouse"]).len() == 1, "the log is the one of this server");
    bent.extend([good, secret]);
    for token in bent {
        let signature = token.rsplit('.').next().unwrap().to_owned();
        for bytes in &seen {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains(&token) && !text.contains(&signature), "a secret is shown");
        }
    }
}
