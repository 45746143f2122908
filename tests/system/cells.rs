//! Every built-in tool in every role, each called at the limits that are shipped.

use serde_json::{Value, json};

use super::{home::Home, records, server::Server};

/// The tools, what each needs, and arguments that it takes. A tool that is not here fails the test.
fn tools() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("get_weather", "weather:read", json!({ "city": "Oslo" })),
        (
            "report_weather",
            "weather:write",
            json!({ "city": "Oslo", "temperature": 3.5, "condition": "Rain" }),
        ),
        ("list_files", "files:read", json!({})),
        // After the one that writes it, in the role that may: the others are asked about in this order too.
        ("write_file", "files:write", json!({ "path": "cells.txt", "content": "a cell" })),
        ("read_file", "files:read", json!({ "path": "cells.txt" })),
        ("delete_file", "files:delete", json!({ "path": "cells.txt" })),
        ("list_users", "admin:users", json!({})),
        ("get_security_audit", "metrics:view", json!({})),
    ]
}

/// The roles as shipped, mightiest first, so that what one reads another has written.
const ROLES: [(&str, &[&str]); 4] = [
    (
        "admin",
        &[
            "weather:read",
            "weather:write",
            "files:read",
            "files:write",
            "files:delete",
            "admin:users",
            "metrics:view",
        ],
    ),
    ("premium", &["weather:read", "files:read", "weather:write", "files:write"]),
    ("user", &["weather:read", "files:read"]),
    ("guest", &["weather:read"]),
];

#[tokio::test]
async fn every_tool_answers_every_role_as_its_permission_says() {
    let home = Home::new("cells");
    let server = Server::start(&home).await;
    let admin = server.caller(Some(&home.token("admin-of-cells", "admin").await));
    let listed = admin.ask("tools/list", None, json!({})).await.unwrap().json();
    let listed: Vec<String> = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    let known = tools();
    for name in &listed {
        assert!(known.iter().any(|(known, ..)| known == name), "{name} has no row in this test");
    }
    let mut cells = 0;
    for (role, permissions) in ROLES {
        let caller = server.caller(Some(&home.token(role, role).await));
        let own = caller.ask("tools/list", None, json!({})).await.unwrap().json();
        for (tool, needs, arguments) in known.iter().filter(|(name, ..)| listed.iter().any(|it| it == name)) {
            let may = permissions.contains(needs);
            let answer = caller.call(tool, arguments.clone()).await.unwrap();
            // A tool that changes something has a second record: that it was begun.
            let mut found = records::query(&home, &["--request-id", &answer.request_id()]).await;
            found.retain(|record| matches!(&*record.event, "tool.called" | "tool.denied"));
            assert_eq!(found.len(), 1, "{role} {tool}: {found:?}");
            let record = found.remove(0);
            assert_eq!(record.tool.as_deref(), Some(*tool));
            let is_listed = own["result"]["tools"].as_array().unwrap().iter().any(|it| it["name"] == **tool);
            assert_eq!(is_listed, may, "{role} {tool}");
            if may {
                let result = &answer.json()["result"];
                // What another role has deleted is gone: an answer of the tool all the same.
                let gone = *tool == "read_file" && result["isError"] == true;
                assert!(
                    answer.status == 200 && (result["structuredContent"].is_object() || gone),
                    "{role} {tool}: {}",
                    answer.text
                );
                assert_eq!(record.event, "tool.called", "{role} {tool}");
            } else {
                assert_eq!((answer.status, &*answer.reason()), (403, "forbidden"), "{role} {tool}");
                assert_eq!(answer.json()["error"]["data"]["missing"], *needs, "{role} {tool}");
                assert_eq!((&*record.event, record.missing.as_deref()), ("tool.denied", Some(*needs)));
            }
            cells += 1;
        }
    }
    assert_eq!(cells, 4 * listed.len());
    super::output::figure(&format!("cells of tool and role: {cells}"));
    server.stopped().await;
}
