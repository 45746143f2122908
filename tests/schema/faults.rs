//! The judge itself: it takes what is right, and none of what is not.

use serde_json::{Value, json};

use super::{
    schemas,
    support::{http::Reply, judge::Judge, methods, rpc::Rpc, schemas::REVISIONS},
};

/// Messages that are right in `revision`, with the method that they answer.
fn right(revision: &str) -> Vec<(Option<&'static str>, Value)> {
    let is_modern = revision == REVISIONS[3];
    let result = |mut result: Value| {
        if is_modern {
            result["resultType"] = json!("complete");
        }
        json!({ "jsonrpc": "2.0", "id": 1, "result": result })
    };
    let cached = |mut members: Value| {
        if is_modern {
            members["ttlMs"] = json!(1);
            members["cacheScope"] = json!("private");
        }
        result(members)
    };
    let tool = json!({ "name": "t", "inputSchema": { "type": "object" } });
    vec![
        (Some("tools/list"), cached(json!({ "tools": [tool] }))),
        (Some("tools/call"), result(json!({ "content": [{ "type": "text", "text": "x" }] }))),
        (Some("resources/read"), cached(json!({ "contents": [{ "uri": "test://a", "text": "x" }] }))),
        (
            Some("prompts/get"),
            result(json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "x" } }] })),
        ),
        (Some("completion/complete"), result(json!({ "completion": { "values": ["a"] } }))),
        (None, json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -1, "message": "m" } })),
        (
            None,
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": 1, "progress": 1 } }),
        ),
    ]
}

/// Every message that comes of `value` by taking away one member, or by giving one a value of another kind.
fn mutants(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let mut without = members.clone();
                without.remove(name);
                all.push(Value::Object(without));
                let put = |other: Value| {
                    let mut with = members.clone();
                    with.insert(name.clone(), other);
                    Value::Object(with)
                };
                all.extend([json!(null), json!([[]])].map(put));
                all.extend(mutants(member).into_iter().map(put));
            }
        }
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                for other in mutants(element) {
                    let mut with = elements.clone();
                    with[at] = other;
                    all.push(Value::Array(with));
                }
            }
        }
        _ => {}
    }
    all
}

/// An error of nobody's request: it has no id, and is right all the same.
fn is_of_nobody(message: &Value) -> bool {
    let is_error = message["error"]["code"].is_i64() && message["error"]["message"].is_string();
    is_error && message.get("id").is_none() && message["jsonrpc"] == "2.0"
}

#[test]
fn what_is_right_passes_and_every_mutant_of_it_is_found() {
    for revision in REVISIONS {
        let mut found = 0;
        for (method, message) in right(revision) {
            schemas().message(revision, method, &message).unwrap_or_else(|wrong| panic!("{wrong}"));
            for mutant in mutants(&message).iter().filter(|mutant| !is_of_nobody(mutant)) {
                let judged = schemas().message(revision, method, mutant);
                assert!(judged.is_err(), "{revision} {method:?}: {mutant}");
                found += 1;
            }
        }
        assert!(found > 60, "{revision}: {found}");
    }
}

#[test]
fn nothing_of_one_revision_passes_for_another() {
    let judged =
        |revision: &str, method, message: &Value| schemas().message(revision, Some(method), message).is_ok();
    let message = |result: Value| json!({ "jsonrpc": "2.0", "id": 1, "result": result });
    let link = message(
        json!({ "content": [{ "type": "resource_link", "uri": "test://a", "name": "a" }], "resultType": "complete" }),
    );
    assert_eq!(REVISIONS.map(|revision| judged(revision, "tools/call", &link)), [false, true, true, true]);
    let plain = message(json!({ "content": [] }));
    assert_eq!(REVISIONS.map(|revision| judged(revision, "tools/call", &plain)), [true, true, true, false]);
    let cannot = json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32020, "message": "m" } });
    assert_eq!(
        REVISIONS.map(|revision| judged(revision, "tools/call", &cannot)),
        [false, false, false, true]
    );
    let asks = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(REVISIONS.map(|revision| judged(revision, "", &asks)), [true, true, true, false]);
}

#[test]
#[should_panic(expected = "no ListToolsResult of 2026-07-28")]
fn a_test_that_reads_a_wrong_answer_fails() {
    let mut judge = Judge::default();
    judge.sends(&Rpc::list().bytes());
    judge.is_answered();
    let body = br#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[]}}"#.to_vec();
    judge.hears(&Reply { status: 200, headers: Vec::new(), body });
}

#[test]
#[should_panic(expected = "nobody asked for this")]
fn a_test_that_reads_an_answer_to_another_request_fails() {
    let mut judge = Judge::default();
    judge.sends(&methods::request(REVISIONS[3], "tools/list", &json!({})).bytes());
    judge.is_answered();
    judge.hears_message(&json!({ "jsonrpc": "2.0", "id": 2, "result": {} }));
}
