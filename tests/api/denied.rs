//! What a caller without the permission learns, and what the record says whatever it learns.

use portcullis::settings::Denied;
use serde_json::json;

use super::support::{app::TestApp, http::Reply, rpc::Rpc};

/// The whole answer, the request's own id taken out of head and body.
fn without_its_id(reply: &Reply) -> String {
    let id = reply.header("x-request-id").unwrap();
    let mut headers: Vec<_> = reply.headers.iter().filter(|(name, _)| name != "date").collect();
    // Their order is another one in every answer.
    headers.sort();
    format!("{} {headers:?}\n{}", reply.status, reply.text()).replace(id, "ID")
}

#[test]
fn explain_names_the_permission_and_so_does_the_record() {
    let app = TestApp::start();
    let reply = Rpc::call("list_users", json!({})).bearer(&app.token("ada", "user")).send(&app);
    reply.refused(403, -31403, "forbidden");
    let error = reply.json()["error"].take();
    assert_eq!(error["data"]["missing"], "admin:users");
    assert!(error["message"].as_str().unwrap().contains("admin:users"), "{error}");
    assert!(reply.header("www-authenticate").is_none(), "authenticating again would not help");
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, &*record.outcome), ("tool.denied", "denied"));
    assert_eq!(
        (record.reason.as_deref(), record.missing.as_deref()),
        (Some("forbidden"), Some("admin:users"))
    );
    assert_eq!(app.metric("portcullis_denials_total{permission=\"admin:users\"}"), 1.0);
}

#[test]
fn hide_answers_byte_for_byte_as_for_a_tool_that_does_not_exist() {
    let app = TestApp::start_with(|settings| settings.policy.denied = Denied::Hide);
    let token = app.token("ada", "user");
    for arguments in
        [json!({}), json!({ "page": "x" }), json!([]), json!({ "page": 1, "more": { "a": [1] } })]
    {
        let hidden = Rpc::call("list_users", arguments.clone()).bearer(&token).send(&app);
        // Of the same length, so that the length of the answer is compared too.
        let unknown = Rpc::call("list_userz", arguments).bearer(&token).send(&app);
        assert_eq!(without_its_id(&hidden), without_its_id(&unknown).replace("list_userz", "list_users"));
    }
    let hidden = Rpc::call("list_users", json!({})).bearer(&token).send(&app);
    hidden.refused(200, -32602, "unknown_tool");
    let record = app.record_of(&hidden);
    assert_eq!((&*record.event, record.missing.as_deref()), ("tool.denied", Some("admin:users")));
}

#[test]
fn a_role_that_nobody_declared_gives_nothing_and_is_told_once() {
    let app = TestApp::start();
    let user = "unknown-role-tester";
    let (token, jti) = app.minted(user, &["root", "guest"], &["files:*", "weather:write"], "tests");
    let tools = Rpc::list().bearer(&token).send(&app).result()["tools"].clone();
    let names: Vec<_> = tools.as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    // By the role guest and by the one permission: a pattern is none in a token.
    assert_eq!(names, ["get_weather", "report_weather"]);
    let mut connections = [app.connect(), app.connect(), app.connect()];
    for _ in 0..3 {
        for connection in &mut connections {
            Rpc::call("list_users", json!({})).bearer(&token).on(connection).refused(
                403,
                -31403,
                "forbidden",
            );
        }
    }
    let record = app.awaited("auth.succeeded", "ok", super::support::SOON);
    assert_eq!(record.detail, Some(json!({ "unknown_grants": ["root", "files:*"] })));
    let principal = record.principal.unwrap();
    assert_eq!((&*principal.credential, principal.roles), (&*jti, vec!["guest".to_owned()]));
    let filter =
        portcullis::actors::audit::Filter { event: Some("auth.succeeded".into()), ..Default::default() };
    assert_eq!(
        app.records(filter).len(),
        1,
        "the first sight of a credential is one record, whatever the worker"
    );
    let lines = super::support::output::logged(&["WARN", user, "root"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_permission_in_the_token_counts_beside_its_roles() {
    let app = TestApp::start();
    let (token, _) = app.minted("svc", &[], &["admin:users"], "tests");
    Rpc::call("list_users", json!({})).bearer(&token).send(&app).result();
    Rpc::weather().bearer(&token).send(&app).refused(403, -31403, "forbidden");
}
