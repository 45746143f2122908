//! Completion over HTTP: what is offered, and to whom nothing is.

use std::fs;

use serde_json::{Value, json};

use super::support::{
    app::TestApp,
    http::Reply,
    legacy::{self, LEGACY},
    rpc::{Rpc, VERSION},
};

fn ask(app: &TestApp, token: &str, reference: Value, argument: (&str, &str)) -> Reply {
    let argument = json!({ "name": argument.0, "value": argument.1 });
    let params = json!({ "ref": reference, "argument": argument });
    Rpc::new("completion/complete", params).bearer(token).send(app)
}

fn prompt(name: &str) -> Value {
    json!({ "type": "ref/prompt", "name": name })
}

fn template(uri: &str) -> Value {
    json!({ "type": "ref/resource", "uri": uri })
}

#[test]
fn values_of_prompts_and_templates_are_offered_by_their_beginning_in_every_revision() {
    let app = TestApp::start_roomy();
    for name in ["notes.txt", "news.json", "other.txt", ".hidden.txt", "n.exe"] {
        fs::write(app.dir().join("files").join(name), "x").unwrap();
    }
    let token = app.token("root", "admin");
    for (reference, argument, values) in [
        (prompt("explain_file"), ("readers", "AN"), json!(["an engineer"])),
        (prompt("explain_file"), ("path", "n"), json!(["news.json", "notes.txt"])),
        (prompt("security_briefing"), ("time_range", ""), json!(["1h", "24h", "7d"])),
        (template("file:///{+path}"), ("path", "not"), json!(["notes.txt"])),
        (template("file:///{+path}"), ("path", "."), json!([])),
        (template("file:///{+path}"), ("path", "../"), json!([])),
        (template("portcullis://audit/{time_range}"), ("time_range", "2"), json!(["24h"])),
    ] {
        let total = values.as_array().unwrap().len();
        let expected = json!({ "values": values, "total": total, "hasMore": false });
        assert_eq!(ask(&app, &token, reference.clone(), argument).result()["completion"], expected);
        for revision in LEGACY {
            let argument = json!({ "name": argument.0, "value": argument.1 });
            let params = json!({ "ref": reference, "argument": argument });
            let old = legacy::request(revision, "completion/complete", params).bearer(&token).send(&app);
            assert_eq!(old.result(), json!({ "completion": expected }), "{revision}");
        }
    }
}

#[test]
fn nobody_is_offered_what_it_may_not_read() {
    let app = TestApp::start_roomy();
    fs::write(app.dir().join("files/notes.txt"), "x").unwrap();
    let guest = app.token("ada", "guest");
    for (reference, name) in [
        (template("file:///{+path}"), "path"),
        (template("portcullis://audit/{time_range}"), "time_range"),
        (template("file:///{+nothing}"), "path"),
    ] {
        let reply = ask(&app, &guest, reference, (name, ""));
        reply.refused(200, -32602, "unknown_resource");
        assert!(!reply.text().contains("notes"));
    }
    for name in ["explain_file", "nothing"] {
        ask(&app, &guest, prompt(name), ("path", "")).refused(200, -32602, "unknown_prompt");
    }
    let (key, _) = app.key("bob", &["metrics:view"]);
    let params = json!({ "ref": template("file:///{+path}"), "argument": { "name": "path", "value": "" } });
    let reply = Rpc::new("completion/complete", params).key(&key).send(&app);
    reply.refused(200, -32602, "unknown_resource");
}

#[test]
fn a_hundred_values_are_told_and_that_there_are_more() {
    let app = TestApp::start();
    for n in 0..101 {
        fs::write(app.dir().join(format!("files/{n:03}.txt")), "").unwrap();
    }
    let token = app.token("ada", "user");
    let all = ask(&app, &token, template("file:///{+path}"), ("path", "")).result()["completion"].take();
    assert_eq!((all["values"].as_array().unwrap().len(), &all["hasMore"]), (100, &json!(true)));
    fs::remove_file(app.dir().join("files/000.txt")).unwrap();
    let all = ask(&app, &token, template("file:///{+path}"), ("path", "")).result()["completion"].take();
    assert_eq!(all["values"].as_array().unwrap().len(), 100);
    assert_eq!((&all["hasMore"], &all["total"]), (&json!(false), &json!(100)));
}

#[test]
fn what_is_no_question_is_refused() {
    let app = TestApp::start();
    let token = app.token("root", "admin");
    for (reference, argument) in [
        (json!(null), json!({ "name": "path", "value": "" })),
        (json!({ "type": "ref/tool", "name": "x" }), json!({ "name": "path", "value": "" })),
        (json!({ "type": "ref/prompt" }), json!({ "name": "path", "value": "" })),
        (json!("ref/prompt"), json!({ "name": "path", "value": "" })),
        (prompt("explain_file"), json!(null)),
        (prompt("explain_file"), json!({ "name": "path" })),
        (prompt("explain_file"), json!({ "name": "path", "value": 7 })),
        (prompt("explain_file"), json!({ "name": "nothing", "value": "" })),
        (prompt("explain_file"), json!({ "name": "path", "value": "x".repeat(4_097) })),
        (template("file:///{+path}"), json!({ "name": "+path", "value": "" })),
        (template("file:///{+path}"), json!({ "name": "", "value": "" })),
    ] {
        let params = json!({ "ref": reference, "argument": argument });
        let reply = Rpc::new("completion/complete", params).bearer(&token).send(&app);
        reply.refused(200, -32602, "invalid_params");
    }
    let doubled = r#"{"type":"ref/prompt","name":"explain_file","name":"x"}"#;
    let good =
        Rpc::new("completion/complete", json!({ "ref": "REF", "argument": { "name": "path", "value": "" } }));
    let text = good.text().replace("\"REF\"", doubled);
    assert_eq!(good.raw(text).bearer(&token).send(&app).code(), -32602);
}

#[test]
fn what_the_server_says_it_can_do_is_what_it_answers() {
    let app = TestApp::start_roomy();
    let token = app.token("ada", "guest");
    let expected = json!({
        "completions": {},
        "extensions": { "io.modelcontextprotocol/tasks": {} },
        "prompts": { "listChanged": true },
        "resources": { "listChanged": true, "subscribe": true },
        "tools": { "listChanged": true },
    });
    assert_eq!(Rpc::discover().bearer(&token).send(&app).result()["capabilities"], expected);
    // Without a session there is nowhere to tell older clients of changes.
    let older = json!({ "completions": {}, "prompts": {}, "resources": {}, "tools": {} });
    for revision in LEGACY {
        let introduced = legacy::handshake(revision).bearer(&token).send(&app).result();
        assert_eq!(introduced["capabilities"], older);
    }
    for method in ["resources/list", "resources/templates/list", "prompts/list", "tools/list"] {
        Rpc::new(method, json!({})).bearer(&token).send(&app).result();
    }
    let malformed = Rpc::new("subscriptions/listen", json!({})).bearer(&token).send(&app);
    malformed.refused(200, -32602, "invalid_params");
    let of_older_eras = ["resources/subscribe", "resources/unsubscribe", "logging/setLevel"];
    for method in of_older_eras {
        Rpc::new(method, json!({})).bearer(&token).send(&app).refused(404, -32601, "unknown_method");
    }
    for method in of_older_eras.into_iter().chain(["subscriptions/listen"]) {
        let old = legacy::request("2025-11-25", method, json!({})).bearer(&token).send(&app);
        old.refused(200, -32601, "unknown_method");
    }
    assert_eq!(VERSION, "2026-07-28");
}
