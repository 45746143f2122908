//! Resources over HTTP, in every revision: who sees and reads which, and that what is hidden is what is missing.

use std::{fs, os::unix::fs::symlink};

use portcullis::{
    app::Additions,
    policy::{Permit, ReadResource},
    resources::{Descriptor, Resource, ResourceBody, Source, SourceSpec, Template},
    tools::{Call, LocalFuture, ToolError},
};
use serde_json::{Value, json};

use super::support::{
    app::TestApp,
    http::Reply,
    legacy::{self, LEGACY},
    rpc::{Rpc, VERSION},
};

/// Roles as shipped, smallest first.
const ROLES: [&str; 4] = ["guest", "user", "premium", "admin"];

/// A request of any revision.
fn rpc(revision: &str, method: &str, params: Value) -> Rpc {
    match (revision, method) {
        (VERSION, "resources/read") => Rpc::read(params["uri"].as_str().unwrap()),
        (VERSION, _) => Rpc::new(method, params),
        _ => legacy::request(revision, method, params),
    }
}

fn revisions() -> impl Iterator<Item = &'static str> {
    LEGACY.into_iter().chain([VERSION])
}

fn uris(list: &Value, member: &str, name: &str) -> Vec<String> {
    list[member].as_array().unwrap().iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
}

/// A body without what differs from request to request.
fn timeless(reply: &Reply) -> String {
    reply.text().replace(reply.header("x-request-id").unwrap(), "ID")
}

#[test]
fn each_role_sees_and_reads_what_its_permissions_give_in_every_revision() {
    let app = TestApp::start_roomy();
    fs::write(app.dir().join("files/there.txt"), "héllo\n").unwrap();
    for revision in revisions() {
        for (at, role) in ROLES.iter().enumerate() {
            let token = app.token("ada", role);
            let ask = |method: &str, params: Value| rpc(revision, method, params).bearer(&token).send(&app);
            let (mut listed, mut named) = (Vec::new(), Vec::new());
            if at >= 1 {
                listed.push("file:///there.txt");
                named.push("file:///{+path}");
            }
            if at == 3 {
                listed.extend(["portcullis://audit/1h", "portcullis://audit/24h", "portcullis://audit/7d"]);
                named.push("portcullis://audit/{time_range}");
            }
            let list = ask("resources/list", json!({})).result();
            assert_eq!(uris(&list, "resources", "uri"), listed, "{role} {revision}");
            let templates = ask("resources/templates/list", json!({})).result();
            assert_eq!(uris(&templates, "resourceTemplates", "uriTemplate"), named, "{role} {revision}");
            let read = ask("resources/read", json!({ "uri": "file:///there.txt" }));
            if at >= 1 {
                let expected =
                    json!([{ "uri": "file:///there.txt", "mimeType": "text/plain", "text": "héllo\n" }]);
                assert_eq!(read.result()["contents"], expected);
            } else {
                assert_eq!(read.reason(), "unknown_resource");
                let record = app.record_of(&read);
                assert_eq!((&*record.event, record.missing.as_deref()), ("tool.denied", Some("files:read")));
            }
            let is_modern = revision == VERSION;
            for answer in [&list, &templates] {
                assert_eq!(
                    (answer.get("ttlMs").is_some(), answer.get("cacheScope").is_some()),
                    (is_modern, is_modern)
                );
                assert_eq!(answer.get("resultType").is_some(), is_modern);
            }
        }
    }
}

#[test]
fn what_a_caller_may_not_read_is_byte_for_byte_what_does_not_exist() {
    let app = TestApp::start_roomy();
    fs::write(app.dir().join("files/there.txt"), "x").unwrap();
    fs::write(app.dir().join("files/.hidden.txt"), "x").unwrap();
    fs::write(app.dir().join("files/other.exe"), "x").unwrap();
    let (guest, admin) = (app.token("ada", "guest"), app.token("root", "admin"));
    for revision in revisions() {
        let read = |token: &str, uri: &str| {
            rpc(revision, "resources/read", json!({ "uri": uri })).bearer(token).send(&app)
        };
        let code = if revision == VERSION { -32602 } else { -32002 };
        let missing = read(&admin, "file:///there.txu");
        missing.refused(200, code, "unknown_resource");
        assert_eq!(missing.json()["error"]["data"]["uri"], "file:///there.txu");
        let plain = |reply: &Reply, uri: &str| timeless(reply).replace(uri, "URI");
        let expected = plain(&missing, "file:///there.txu");
        for uri in ["file:///there.txt", "portcullis://audit/24h", "portcullis://audit/2h", "nothing:x", "x"]
        {
            assert_eq!(plain(&read(&guest, uri), uri), expected, "{uri}");
        }
        for uri in ["file:///.hidden.txt", "file:///other.exe", "portcullis://audit/2h", "nothing:x", ""] {
            let shown = plain(&read(&admin, uri), if uri.is_empty() { "\u{0}" } else { uri });
            assert_eq!(shown.replace("\"uri\":\"\"", "\"uri\":\"URI\""), expected, "{uri}");
        }
    }
}

#[test]
fn no_uri_leads_outside_of_the_roots() {
    let app = TestApp::start_roomy();
    let files = app.dir().join("files");
    fs::write(app.dir().join("secret.txt"), "the secret of elsewhere").unwrap();
    symlink(app.dir().join("secret.txt"), files.join("link.txt")).unwrap();
    fs::create_dir(files.join("sub")).unwrap();
    fs::write(files.join("sub/in.txt"), "inside").unwrap();
    let token = app.token("root", "admin");
    let outside = app.dir().join("secret.txt").display().to_string();
    for uri in [
        "file:///../secret.txt",
        "file:///sub/../../secret.txt",
        "file:///%2e%2e/secret.txt",
        "file:///..%2fsecret.txt",
        "file:///sub%2Fin.txt",
        "file:///sub/%2e/in.txt",
        "file:////sub/in.txt",
        "file:///sub//in.txt",
        "file://localhost/sub/in.txt",
        "file:sub/in.txt",
        "FILE:///sub/in.txt",
        "file:///sub\\in.txt",
        "file:///sub/in.txt?x",
        "file:///sub/in.txt#x",
        "file:///sub/in.txt%00",
        "file:///sub/in.txt\u{0}",
        "file:///sub/in.txt\n",
        "file:///link.txt",
        "file:///sub",
        &format!("file://{outside}"),
        &format!("file:///{}", "a".repeat(10_000)),
    ] {
        let reply = Rpc::read(uri).bearer(&token).send(&app);
        assert_eq!((reply.status, reply.code()), (200, -32602), "{uri}: {}", reply.text());
        assert!(!reply.text().contains("the secret") && !reply.text().contains("inside"), "{uri}");
        assert!(reply.text().len() < 6_000 && !reply.text().contains("\"contents\""), "{uri}");
    }
    let read = Rpc::read("file:///sub/in.txt").bearer(&token).send(&app).result();
    assert_eq!(read["contents"][0]["text"], "inside");
}

#[test]
fn every_listed_uri_can_be_read_and_says_what_the_file_holds() {
    let app = TestApp::start_with(|settings| settings.tools.files.patterns = vec!["**".into()]);
    let files = app.dir().join("files");
    fs::create_dir(files.join("a b")).unwrap();
    let all: [(&str, &[u8], &str); 6] = [
        ("a b/100% sure?#é.txt", b"plain", "text/plain"),
        ("data.json", b"{\"a\":\"\\u202e\"}", "application/json"),
        ("no-extension", "control \u{1b}[2J and \u{202e}".as_bytes(), "text/plain"),
        ("picture.png", b"\x89PNG\xff", "image/png"),
        ("some.bin", b"\xff\x00", "application/octet-stream"),
        ("empty.txt", b"", "text/plain"),
    ];
    for (path, bytes, _) in all {
        fs::write(files.join(path), bytes).unwrap();
    }
    let token = app.token("ada", "user");
    let list = Rpc::new("resources/list", json!({})).bearer(&token).send(&app).result();
    let listed = list["resources"].as_array().unwrap();
    assert_eq!(listed.len(), all.len());
    for one in listed {
        let uri = one["uri"].as_str().unwrap();
        assert!(uri.is_ascii() && url_like(uri), "{uri}");
        let reply = Rpc::read(uri).bearer(&token).send(&app);
        let contents = &reply.result()["contents"][0];
        let path = one["title"].as_str().or(one["name"].as_str()).unwrap();
        let (_, bytes, kind) = all.iter().find(|(known, ..)| *known == path).unwrap();
        assert_eq!((&contents["uri"], &contents["mimeType"]), (&json!(uri), &json!(kind)));
        assert_eq!(one["size"], bytes.len());
        assert!(
            chrono::DateTime::parse_from_rfc3339(one["annotations"]["lastModified"].as_str().unwrap())
                .is_ok()
        );
        match str::from_utf8(bytes) {
            Ok(text) => assert_eq!(contents["text"], text, "{path}"),
            Err(_) => {
                use base64::{Engine, engine::general_purpose::STANDARD};
                assert_eq!(STANDARD.decode(contents["blob"].as_str().unwrap()).unwrap(), *bytes, "{path}");
            }
        }
        // What steers a terminal is there, but as an escape of JSON.
        assert!(!reply.text().contains(['\u{1b}', '\u{202e}']), "{path}");
    }
}

fn url_like(uri: &str) -> bool {
    uri.starts_with("file:///") && !uri.contains([' ', '#', '?', '"', '\\'])
}

#[test]
fn a_file_that_is_too_large_is_said_to_be() {
    let app = TestApp::start_with(|settings| settings.tools.files.max_size = 10);
    fs::write(app.dir().join("files/at.txt"), "0123456789").unwrap();
    fs::write(app.dir().join("files/past.txt"), "0123456789a").unwrap();
    let token = app.token("ada", "user");
    let read = |uri: &str| Rpc::read(uri).bearer(&token).send(&app);
    assert_eq!(read("file:///at.txt").result()["contents"][0]["text"], "0123456789");
    let refused = read("file:///past.txt");
    refused.refused(200, -32602, "invalid_params");
    assert!(refused.text().contains("larger than the 10 bytes"), "{}", refused.text());
}

#[test]
fn a_view_of_the_audit_is_what_the_tool_answers() {
    let app = TestApp::start_roomy();
    app.get("/mcp");
    let token = app.token("root", "admin");
    for range in ["1h", "24h", "7d"] {
        let read = Rpc::read(&format!("portcullis://audit/{range}")).bearer(&token).send(&app).result();
        let contents = &read["contents"][0];
        assert_eq!(contents["mimeType"], "application/json");
        let view = super::support::app::json(contents["text"].as_str().unwrap());
        let call = Rpc::call("get_security_audit", json!({ "time_range": range })).bearer(&token).send(&app);
        let told = call.result()["structuredContent"].clone();
        assert_eq!(view["time_range"], range);
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&view), names(&told));
    }
}

#[test]
fn the_header_names_the_resource_as_the_body_does() {
    let app = TestApp::start();
    fs::write(app.dir().join("files/é.txt"), "x").unwrap();
    let token = app.token("ada", "user");
    let good = || Rpc::read("file:///%C3%A9.txt").bearer(&token);
    good().send(&app).result();
    good().without("mcp-name").send(&app).refused(400, -32020, "header_mismatch");
    good().replace("mcp-name", "file:///e.txt").send(&app).refused(400, -32020, "header_mismatch");
    good().header("mcp-name", "file:///%C3%A9.txt").send(&app).refused(400, -32020, "header_mismatch");
    let encoded = "=?base64?ZmlsZTovLy8lQzMlQTkudHh0?=";
    good().replace("mcp-name", encoded).send(&app).result();
    for wrong in [json!(7), json!(null), json!(["file:///a.txt"])] {
        let reply = good().edit(|body| body["params"]["uri"] = wrong.clone()).send(&app);
        reply.refused(200, -32602, "invalid_params");
        let old = legacy::request("2025-06-18", "resources/read", json!({ "uri": wrong })).bearer(&token);
        old.send(&app).refused(200, -32602, "invalid_params");
    }
    let two = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:b","URI":"c:d"}}"#;
    legacy::request("2025-06-18", "resources/read", json!({})).bearer(&token).raw(two).send(&app).refused(
        400,
        -32600,
        "invalid_request",
    );
}

#[test]
fn a_reading_is_recorded_counted_and_limited_like_a_call() {
    let app = TestApp::start_with(|settings| {
        let user = settings.roles.get_mut("user").unwrap();
        (user.capacity, user.refill_per_second) = (Some(2), Some(0.001));
    });
    fs::write(app.dir().join("files/a.txt"), "x").unwrap();
    let token = app.token("ada", "user");
    let read = || Rpc::read("file:///a.txt").bearer(&token).send(&app);
    let first = read();
    let record = app.record_of(&first);
    assert_eq!((&*record.event, &*record.outcome), ("request.served", "ok"));
    assert_eq!(record.method.as_deref(), Some("resources/read"));
    assert!(record.arguments_digest.is_some());
    assert_eq!(app.metric("portcullis_requests_total{method=\"resources/read\",outcome=\"ok\"}"), 1.0);
    read().result();
    read().refused(429, -31429, "rate_limited");
    Rpc::read("file:///a.txt").send(&app).refused(401, -31401, "missing_credential");
}

#[test]
fn resources_stand_in_batches_of_the_revision_that_has_them() {
    let app = TestApp::start();
    fs::write(app.dir().join("files/a.txt"), "x").unwrap();
    let ask = |method: &str, params: Value| legacy::request("2025-03-26", method, params);
    let batch = legacy::batch(&[
        ask("resources/list", json!({})),
        ask("resources/read", json!({ "uri": "file:///a.txt" })),
        ask("resources/read", json!({ "uri": "file:///b.txt" })),
        ask("prompts/list", json!({})),
    ]);
    let answers = batch.bearer(&app.token("ada", "user")).send(&app).json();
    assert_eq!(answers[0]["result"]["resources"][0]["uri"], "file:///a.txt");
    assert_eq!(answers[1]["result"]["contents"][0]["text"], "x");
    assert_eq!(answers[2]["error"]["code"], -32002);
    assert_eq!(answers[3]["result"]["prompts"][0]["name"], "explain_file");
}

/// Resources that misbehave.
struct Strange;

impl Source for Strange {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            prefix: "strange://",
            needs: "weather:read",
            verbatim: false,
            deadline: std::time::Duration::from_millis(50),
            templates: &[Template {
                uri: "strange://{what}",
                name: "strange",
                title: "Strange",
                about: "For tests.",
                mime_type: None,
            }],
        }
    }

    fn list<'a>(
        &'a self,
        _: Option<&'a str>,
        _: usize,
        _: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<(Vec<Descriptor>, bool), ToolError>> {
        Box::pin(async { Ok((vec![Descriptor::new("strange://key", "k\u{202e}ey")], false)) })
    }

    fn read<'a>(
        &'a self,
        uri: &'a str,
        _: &'a Call<'a, ReadResource>,
    ) -> LocalFuture<'a, Result<Resource, ToolError>> {
        Box::pin(async move {
            let text = match uri {
                "strange://panics" => panic!("a source panics on purpose"),
                "strange://waits" => std::future::pending().await,
                "strange://large" => "x".repeat(4 * 1024 * 1024),
                "strange://refuses" => return Err(ToolError::Refused("not now\u{1b}".into())),
                "strange://key" => format!("mcp_{} \u{202e}", "A".repeat(43)),
                _ => return Err(ToolError::NotFound("nothing".into())),
            };
            Ok(Resource { uri: uri.into(), mime_type: None, body: ResourceBody::Text(text) })
        })
    }
}

#[test]
fn what_a_source_of_ones_own_does_wrong_stays_in_it() {
    let more = Additions { resources: vec![Box::new(Strange)], ..Additions::default() };
    let app = TestApp::with_additions(|_| {}, more);
    let token = app.token("ada", "guest");
    let read = |uri: &str| Rpc::read(uri).bearer(&token).send(&app);
    read("strange://panics").refused(200, -32603, "internal");
    read("strange://waits").refused(503, -31503, "overloaded");
    read("strange://large").refused(200, -32602, "invalid_params");
    let refused = read("strange://refuses");
    refused.refused(200, -32602, "invalid_params");
    assert!(refused.text().contains("not now\\\\u{1b}"), "{}", refused.text());
    read("strange://none").refused(200, -32602, "unknown_resource");
    let key = read("strange://key");
    assert_eq!(key.result()["contents"][0]["text"], "[redacted: api key] \u{202e}");
    assert!(!key.text().contains('\u{202e}'), "only as an escape");
    assert!(app.record_of(&key).detail.is_some_and(|detail| detail.to_string().contains("redacted")));
    let list = Rpc::new("resources/list", json!({})).bearer(&token).send(&app);
    assert_eq!(uris(&list.result(), "resources", "uri"), ["strange://key"]);
    assert!(!list.text().contains('\u{202e}'));
}
