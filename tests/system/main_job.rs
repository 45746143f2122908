//! The main job: a token from the command line, a tool call over HTTP, refusals that say why, and their records.

use serde_json::{Value, json};

use super::{
    caller::{Answer, forged},
    home::Home,
    records,
    server::Server,
};

/// What every challenge names: the metadata of the resource, at the configured public URL.
const METADATA: &str = "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp";

#[tokio::test]
async fn a_token_from_the_command_line_calls_a_tool() {
    let home = Home::new("main_job").with("TELEMETRY__LOG", "trace");
    let server = Server::start(&home).await;
    let alice = server.caller(Some(&home.token("alice", "user").await));

    let answer = alice.weather("Oslo").await.unwrap();

    assert_eq!(answer.status, 200, "{}", answer.text);
    let result = &answer.json()["result"];
    assert_eq!(answer.json()["id"], 7);
    assert_eq!(result["structuredContent"]["city"], "Oslo");
    assert_eq!(result["structuredContent"]["temperature"], 22.0);
    assert_eq!(result["structuredContent"]["condition"], "Sunny");
    assert_eq!(result["structuredContent"]["source"], "fixed");
    assert_eq!(result["resultType"], "complete");
    let record = records::of_request(&home, &answer.request_id()).await;
    assert_eq!((record.event.as_str(), record.outcome.as_str()), ("tool.called", "ok"));
    assert_eq!(record.tool.as_deref(), Some("get_weather"));
    assert_eq!(record.principal.unwrap()["id"], "alice");
    assert!(record.seq >= 1 && !record.chain.is_empty());
    server.stopped().await;
    home.audit_verifies().await;
}

#[tokio::test]
async fn without_a_token_the_challenge_says_where_to_get_one() {
    let home = Home::new("no_token").with("TELEMETRY__LOG", "trace");
    let server = Server::start(&home).await;

    let answer = server.caller(None).weather("Oslo").await.unwrap();

    assert_eq!((answer.status, answer.reason().as_str()), (401, "missing_credential"));
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(challenge.contains(&format!("resource_metadata=\"{METADATA}\"")), "{challenge}");
    assert!(challenge.contains("scope=\""), "{challenge}");
    assert!(!challenge.contains("error="), "RFC 6750 §3.1: no error for nobody: {challenge}");
    let record = records::of_request(&home, &answer.request_id()).await;
    assert_eq!(
        (record.event.as_str(), record.reason.as_deref()),
        ("auth.failed", Some("missing_credential"))
    );
    assert!(record.principal.is_none());
}

#[tokio::test]
async fn the_metadata_that_the_challenge_names_is_served_at_both_paths() {
    let home = Home::new("metadata");
    let server = Server::start(&home).await;
    for path in ["", "/mcp"] {
        let url = format!("{}/.well-known/oauth-protected-resource{path}", server.origin());
        let text = super::caller::http().get(url).send().await.unwrap().text().await.unwrap();
        let metadata: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(metadata["resource"], "http://127.0.0.1:8080/mcp");
        assert_eq!(metadata["authorization_servers"], json!(["http://127.0.0.1:8080"]));
    }
}

#[tokio::test]
async fn a_forged_token_is_refused_and_recorded_without_its_text() {
    let home = Home::new("forged").with("TELEMETRY__LOG", "trace");
    let server = Server::start(&home).await;
    let token = home.token("alice", "user").await;

    let answer = server.caller(Some(&forged(&token))).weather("Oslo").await.unwrap();

    assert_eq!((answer.status, answer.reason().as_str()), (401, "invalid_token"));
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    let record = records::of_request(&home, &answer.request_id()).await;
    assert_eq!((record.event.as_str(), record.reason.as_deref()), ("auth.failed", Some("invalid_token")));
}

#[tokio::test]
async fn a_guest_is_told_which_permission_is_missing_and_so_is_the_auditor() {
    let home = Home::new("denied").with("TELEMETRY__LOG", "trace");
    let server = Server::start(&home).await;
    let guest = server.caller(Some(&home.token("gert", "guest").await));

    let answer = guest.call("list_users", json!({})).await.unwrap();

    assert_eq!((answer.status, answer.reason().as_str()), (403, "forbidden"));
    let error = &answer.json()["error"];
    assert_eq!(error["code"], -31403);
    assert!(error["message"].as_str().unwrap().contains("admin:users"), "{error}");
    assert!(error["data"]["missing"].to_string().contains("admin:users"), "{error}");
    assert_eq!(error["data"]["requestId"], answer.request_id());
    assert!(!answer.headers.contains_key("www-authenticate"), "a login cannot cure this");
    let record = records::of_request(&home, &answer.request_id()).await;
    assert_eq!((record.event.as_str(), record.outcome.as_str()), ("tool.denied", "denied"));
    assert_eq!(record.missing.as_deref(), Some("admin:users"));
}

#[tokio::test]
async fn a_hidden_tool_answers_byte_for_byte_like_one_that_does_not_exist() {
    let home = Home::new("hidden").with("POLICY__DENIED", "hide");
    let server = Server::start(&home).await;
    let guest = server.caller(Some(&home.token("gert", "guest").await));

    let hidden = guest.call("list_users", json!({})).await.unwrap();
    let unknown = guest.call("list_userz", json!({})).await.unwrap();

    assert_eq!((hidden.status, hidden.reason().as_str()), (200, "unknown_tool"));
    assert_eq!(hidden.json()["error"]["code"], -32602);
    assert_eq!(without_identity(&hidden), without_identity(&unknown));
    let record = records::of_request(&home, &hidden.request_id()).await;
    assert_eq!(record.missing.as_deref(), Some("admin:users"), "the auditor is told all the same");
    assert_eq!(record.event, "tool.denied");
}

#[tokio::test]
async fn lists_show_exactly_what_may_be_called() {
    let home = Home::new("lists");
    let server = Server::start(&home).await;
    let all = [
        "delete_file",
        "get_security_audit",
        "get_weather",
        "list_files",
        "list_users",
        "read_file",
        "report_weather",
        "write_file",
    ];
    for (role, listed) in [("guest", &all[2..3]), ("admin", &all[..])] {
        let caller = server.caller(Some(&home.token(role, role).await));

        let answer = caller.ask("tools/list", None, json!({})).await.unwrap();

        let tools = answer.json()["result"]["tools"].as_array().unwrap().clone();
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, listed, "{role}");
        for name in names {
            let arguments = if name == "get_weather" { json!({ "city": "Oslo" }) } else { json!({}) };
            assert_eq!(caller.call(&name, arguments).await.unwrap().status, 200, "{role} {name}");
        }
    }
}

/// Status, headers and body without what differs by nature: the request's id, the date and the asked name.
fn without_identity(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let differs = ["x-request-id", "date"];
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !differs.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let body = answer.text.replace(&answer.request_id(), "ID").replace("list_userz", "list_users");
    (answer.status, headers, body)
}
