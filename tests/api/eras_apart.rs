//! What clients of one era are told holds nothing of the other, whatever they ask.

use std::cell::RefCell;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{
    app::{self, TestApp},
    http::Reply,
    legacy::{LEGACY, batch, request},
    rpc::Rpc,
    tools,
};

const OSLO: &str = "Oslo";

/// Whatever a client may send, well-formed or not, as (method, params).
fn asked() -> impl Strategy<Value = (String, Value)> {
    let methods =
        ["tools/list", "tools/call", "ping", "initialize", "server/discover", "x", "resources/list"];
    let arguments = prop_oneof![
        Just(json!({ "city": OSLO })),
        Just(json!({ "city": 7 })),
        Just(json!({})),
        Just(json!([])),
        Just(Value::Null)
    ];
    let names = prop::sample::select(vec![
        json!("get_weather"),
        json!("list_users"),
        json!("lies"),
        json!("panics"),
        json!("nope"),
        json!(7),
    ]);
    (prop::sample::select(methods.to_vec()), names, arguments, prop::option::of(Just(json!("c")))).prop_map(
        |(method, name, arguments, cursor)| {
            let mut params = json!({ "name": name, "arguments": arguments, "protocolVersion": "2025-06-18" });
            if let Some(cursor) = cursor {
                params["cursor"] = cursor;
            }
            (method.to_owned(), params)
        },
    )
}

/// Every JSON-RPC answer of a reply, also of a batch.
fn answers(reply: &Reply) -> Vec<Value> {
    match reply.json() {
        Value::Array(all) => all,
        one => vec![one],
    }
}

#[test]
fn no_member_and_no_code_of_one_era_is_ever_told_to_the_other() {
    let app = TestApp::with(app::without_limits, tools::all().1);
    let token = app.token("ada", "user");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(96)
    });
    let cases = (prop::sample::select(LEGACY.to_vec()), any::<bool>(), asked());
    let over = RefCell::new(app.connect());
    runner
        .run(&cases, |(revision, batched, (method, params))| {
            let connection = &mut *over.borrow_mut();
            let old = request(revision, &method, params.clone());
            let old = if batched { batch(&[old.clone(), old]) } else { old };
            let reply = old.bearer(&token).on(connection);
            for answer in answers(&reply) {
                let result = &answer["result"];
                for member in ["resultType", "ttlMs", "cacheScope", "_meta"] {
                    prop_assert!(result.get(member).is_none(), "{member}: {answer}");
                }
                let code = answer["error"]["code"].as_i64().unwrap_or_default();
                prop_assert!(!(-32_099..=-32_020).contains(&code), "{answer}");
                let plain = batched || revision == "2025-03-26";
                for member in ["structuredContent", "outputSchema"] {
                    prop_assert!(!plain || !reply.text().contains(&format!("\"{member}\"")), "{answer}");
                }
            }
            if answers(&reply).iter().all(|answer| answer["error"]["code"] != -31_403) {
                prop_assert_eq!(reply.status, 200);
            }
            let new = Rpc::new(&method, params.clone());
            let new = match (&*method, params["name"].as_str()) {
                ("tools/call", Some(name)) => new.header("mcp-name", name),
                _ => new,
            };
            let answer = new.bearer(&token).on(connection).json();
            if let Some(result) = answer.get("result") {
                prop_assert_eq!(&result["resultType"], "complete");
                prop_assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"].is_object());
                prop_assert!(result.get("protocolVersion").is_none());
            }
            Ok(())
        })
        .unwrap();
}
