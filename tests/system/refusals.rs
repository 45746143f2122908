//! What the binary refuses to start with, by exit code and key path.

use super::{
    home::{Home, Said},
    server::Server,
};

/// Runs `serve`, which must refuse, and asserts exit code 1 and each of these texts on standard error.
async fn refuses(home: &Home, names: &[&str]) -> Said {
    let said = home.cli(&["serve"]).await;
    assert_eq!(said.code(), 1, "{}{}", said.out, said.err);
    for name in names {
        assert!(said.err.contains(name), "{name} is not named in: {}", said.err);
    }
    said
}

#[tokio::test]
async fn production_without_a_secret_names_the_key() {
    let home = Home::new("refuse_no_secret").in_profile("production").without("JWT__SECRET");
    refuses(&home, &["jwt.secret"]).await;
}

#[tokio::test]
async fn production_in_the_open_without_tls_names_the_key() {
    let home = Home::new("refuse_no_tls")
        .in_profile("production")
        .with("SERVER__HOST", "0.0.0.0")
        .with("SERVER__ALLOWED_HOSTS", "mcp.example.com");
    refuses(&home, &["server.host"]).await;
}

#[tokio::test]
async fn production_with_fault_injection_names_the_key() {
    let home = Home::new("refuse_faults").in_profile("production").with("ADMIN__UNSAFE_FAULTS", "true");
    refuses(&home, &["admin.unsafe_faults"]).await;
}

#[tokio::test]
async fn a_weak_secret_is_refused_in_every_profile_and_never_printed() {
    for (profile, weak) in
        [("development", "correct-horse"), ("loadtest", "abababababababababababababababababab")]
    {
        let home =
            Home::new("refuse_weak").in_profile(profile).without("JWT__SECRET").with("JWT__SECRET", weak);
        let said = refuses(&home, &["jwt.secret"]).await;
        assert!(!said.err.contains(weak) && !said.out.contains(weak), "the secret itself is printed");
    }
}

#[tokio::test]
async fn an_unknown_key_names_the_nearest_known_one() {
    let home = Home::new("refuse_unknown").with("SERVER__WORKRES", "2");
    refuses(&home, &["server.workres", "server.workers"]).await;
}

#[tokio::test]
async fn all_problems_come_at_once() {
    let home = Home::new("refuse_many")
        .with("SERVER__MAX_BODY", "plenty")
        .with("JWT__ACCESS_TTL", "0s")
        .with("AUDIT__DURABILITY", "mostly")
        .with("ROLES__GUEST__PERMISSIONS", "weather:reed");
    let said =
        refuses(&home, &["server.max_body", "jwt.access_ttl", "audit.durability", "weather:reed"]).await;
    assert!(!home.data_dir().join("run.json").exists(), "nothing was served: {}", said.err);
}

#[tokio::test]
async fn check_says_the_same_without_serving() {
    let home = Home::new("check").with("AUDIT__DURABILITY", "mostly");
    let said = home.cli(&["check", "--json"]).await;
    assert_eq!(said.code(), 1);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["problems"][0]["key"], "audit.durability");
    assert!(
        report["problems"][0]["problem"].as_str().is_some_and(|text| text.contains("durable")),
        "{report}"
    );
    assert!(report["problems"][0]["fix"].as_str().is_some_and(|text| !text.is_empty()), "{report}");

    let good = Home::new("check_good").cli(&["check", "--json"]).await;
    assert_eq!(good.code(), 0, "{}", good.err);
    let report: serde_json::Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!(report["ok"], true);
    assert!(report["access"].as_array().is_some_and(|roles| roles.len() == 4), "{report}");
}

#[tokio::test]
async fn wrong_usage_exits_2() {
    let home = Home::new("usage");
    for arguments in [&["raise-the-bridge"][..], &["token", "issue"], &["audit", "query", "--sinc", "1h"]] {
        let said = home.cli(arguments).await;
        assert_eq!(said.code(), 2, "{arguments:?}: {}", said.err);
        assert!(said.out.is_empty() && !said.err.is_empty(), "errors stand on standard error");
    }
}

#[tokio::test]
async fn a_refused_verb_exits_1() {
    let home = Home::new("refused_verb");
    for arguments in [&["token", "issue", "--user", "nobody"][..], &["token", "revoke", "not.a.token"]] {
        let said = home.cli(arguments).await;
        assert_eq!(said.code(), 1, "{arguments:?}: {}", said.err);
        assert!(said.out.is_empty() && !said.err.is_empty());
    }
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let home = Home::new("second_server");
    let server = Server::start(&home).await;
    let first = server.pid().to_string();

    let said = home.cli(&["serve"]).await;

    assert_eq!(said.code(), 1, "{}", said.err);
    let run = std::fs::read_to_string(home.data_dir().join("run.json")).unwrap();
    assert!(run.contains(&first), "the first server's run.json is left alone: {run}");
    let token = home.token("alice", "user").await;
    assert_eq!(server.caller(Some(&token)).weather("Oslo").await.unwrap().status, 200);
}
