//! Prompts over HTTP, in every revision: who gets which, what they say, and that the operator's changes are noticed.

use std::{fs, path::PathBuf, time::Duration};

use portcullis::{actors::audit::Filter, settings::Settings};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::{TestApp, refusal, settings, without_limits},
    http::Reply,
    legacy::{self, LEGACY},
    rpc::{Rpc, VERSION},
    until,
};

/// A prompt that everybody gets who may ask for the weather.
const GREETING: &str = r#"
about = "Greets."
needs = "weather:read"
[[arguments]]
name = "who"
about = "Whom."
required = true
max_length = 20
values = ["Ada", "Alan", "Grace"]
[[arguments]]
name = "how"
about = "How."
[[messages]]
text = "Hello {who}, {how}!"
[[messages]]
role = "assistant"
text = "{{{who}}}"
"#;

/// Puts prompts into a folder of the server's own.
fn with_prompts(settings: &mut Settings, prompts: &[(&str, &str)]) {
    let folder = settings.data_dir.join("prompts");
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in prompts {
        fs::write(folder.join(name), text).unwrap();
    }
    settings.prompts_dir = Some(folder);
    // Lists are asked for many times a second here.
    without_limits(settings);
}

fn folder(app: &TestApp) -> PathBuf {
    app.dir().join("prompts")
}

fn names(list: &Value) -> Vec<&str> {
    list["prompts"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

fn listed(app: &TestApp, token: &str) -> Vec<String> {
    let list = Rpc::new("prompts/list", json!({})).bearer(token).send(app).result();
    names(&list).into_iter().map(str::to_owned).collect()
}

fn timeless(reply: &Reply) -> String {
    reply.text().replace(reply.header("x-request-id").unwrap(), "ID")
}

#[test]
fn each_role_gets_the_shipped_prompts_that_it_may_in_every_revision() {
    let app = TestApp::start_roomy();
    fs::write(app.dir().join("files/a b.txt"), "what it says").unwrap();
    let arguments = json!({ "path": "a b.txt" });
    for revision in LEGACY.into_iter().chain([VERSION]) {
        for (role, shown) in [
            ("guest", &[][..]),
            ("user", &["explain_file"]),
            ("premium", &["explain_file"]),
            ("admin", &["explain_file", "security_briefing"]),
        ] {
            let token = app.token("ada", role);
            let ask = |method: &str, params: Value| match (revision, method) {
                (VERSION, "prompts/get") => Rpc::prompt("explain_file", arguments.clone()),
                (VERSION, _) => Rpc::new(method, params),
                _ => legacy::request(revision, method, params),
            };
            let list = ask("prompts/list", json!({})).bearer(&token).send(&app).result();
            assert_eq!(names(&list), shown, "{role} {revision}");
            assert_eq!(list.get("ttlMs").is_some(), revision == VERSION);
            let params = json!({ "name": "explain_file", "arguments": arguments });
            let got = ask("prompts/get", params).bearer(&token).send(&app);
            if shown.is_empty() {
                got.refused(200, -32602, "unknown_prompt");
                assert_eq!(app.record_of(&got).missing.as_deref(), Some("files:read"));
                continue;
            }
            let got = got.result();
            let text = got["messages"][0]["content"]["text"].as_str().unwrap();
            assert!(text.contains("the file a b.txt below"), "{text}");
            let embedded = json!({ "type": "resource", "resource":
                { "uri": "file:///a%20b.txt", "mimeType": "text/plain", "text": "what it says" } });
            assert_eq!(got["messages"][1], json!({ "role": "user", "content": embedded }));
            assert_eq!(got.get("resultType").is_some(), revision == VERSION);
        }
    }
}

#[test]
fn a_prompt_that_a_caller_may_not_get_is_byte_for_byte_one_that_is_not_there() {
    let app = TestApp::start_roomy();
    let guest = app.token("ada", "guest");
    for revision in ["2025-03-26", "2025-11-25", VERSION] {
        let get = |name: &str| match revision {
            VERSION => Rpc::prompt(name, json!({ "?": 7 })),
            _ => legacy::request(revision, "prompts/get", json!({ "name": name, "arguments": 7 })),
        };
        let [hidden, missing] = ["security_briefing", "securitY_briefing"]
            .map(|name| timeless(&get(name).bearer(&guest).send(&app)).replace(name, "NAME"));
        assert_eq!(hidden, missing);
        assert!(hidden.contains("-32602") && hidden.contains("Unknown prompt: NAME"), "{hidden}");
    }
}

#[test]
fn values_are_data_and_must_be_what_the_prompt_takes() {
    let app = TestApp::start_with(|settings| with_prompts(settings, &[("greeting.toml", GREETING)]));
    let token = app.token("ada", "guest");
    let get = |arguments: Value| Rpc::prompt("greeting", arguments).bearer(&token).send(&app);
    let texts = |reply: &Reply| {
        let result = reply.result();
        let texts = result["messages"].as_array().unwrap().iter().map(|one| one["content"]["text"].clone());
        texts.collect::<Vec<_>>()
    };
    let got = get(json!({ "who": "{how} \"x\"\n\u{1b}", "how": "{who}" }));
    assert_eq!(texts(&got), ["Hello {how} \"x\"\\u{a}\\u{1b}, {who}!", "{{how} \"x\"\\u{a}\\u{1b}}"]);
    assert_eq!(texts(&get(json!({ "who": "Ada" }))), ["Hello Ada, !", "{Ada}"]);
    assert_eq!(texts(&get(json!({ "who": "é".repeat(20) })))[1], format!("{{{}}}", "é".repeat(20)));
    for (arguments, says) in [
        (json!({}), "the argument who is missing"),
        (json!({ "how": "x" }), "the argument who is missing"),
        (json!({ "who": "é".repeat(21) }), "who is longer than 20 characters"),
        (json!({ "who": "x", "whom": "y" }), "there is no argument whom"),
        (json!({ "who": 7 }), "must be an object of strings"),
        (json!({ "who": ["x"] }), "must be an object of strings"),
        (json!([]), "must be an object of strings"),
        (json!("who"), "must be an object of strings"),
    ] {
        let refused = get(arguments.clone());
        refused.refused(200, -32602, "invalid_params");
        assert!(refused.text().contains(says), "{arguments}: {}", refused.text());
    }
    let doubled = Rpc::prompt("greeting", json!({ "who": "a" })).bearer(&token);
    let text = doubled.text().replace(r#""who":"a""#, r#""who":"a","who":"b""#);
    assert_eq!(doubled.raw(text).send(&app).json()["error"]["code"], -32600);
    Rpc::prompt("greeting", json!({ "who": "a" })).without("mcp-name").bearer(&token).send(&app).refused(
        400,
        -32020,
        "header_mismatch",
    );
    // It is no tool's name either: it costs what any request costs, and the record says which prompt it was.
    let record = app.record_of(&got);
    assert_eq!((&*record.event, record.tool.as_deref()), ("request.served", None));
    assert_eq!(record.detail.unwrap()["prompt"], "greeting");
}

#[test]
fn what_is_embedded_is_read_with_the_rights_of_the_caller() {
    let prompt = "about = \"x\"\nneeds = \"weather:read\"\n[[arguments]]\nname = \"path\"\nabout = \"x\"\nrequired = true\n\
                  [[messages]]\nresource = \"file:///{path}\"\n";
    let app = TestApp::start_with(|settings| with_prompts(settings, &[("show.toml", prompt)]));
    fs::write(app.dir().join("files/a.txt"), "inside").unwrap();
    fs::write(app.dir().join("secret.txt"), "the secret of elsewhere").unwrap();
    let get = |role: &str, path: &str| {
        Rpc::prompt("show", json!({ "path": path })).bearer(&app.token("ada", role)).send(&app)
    };
    assert_eq!(get("user", "a.txt").result()["messages"][0]["content"]["resource"]["text"], "inside");
    let (hidden, missing) = (get("guest", "a.txt"), get("guest", "b.txt"));
    assert_eq!(timeless(&hidden).replace("a.txt", "b.txt"), timeless(&missing));
    for path in ["../secret.txt", "%2e%2e/secret.txt", "/etc/passwd", "", "a.txt?x", "\n"] {
        let refused = get("user", path);
        refused.refused(200, -32602, "unknown_resource");
        assert!(!refused.text().contains("the secret"));
    }
}

#[test]
fn a_change_of_the_folder_is_in_force_within_a_second_and_recorded() {
    let app = TestApp::start_with(|settings| with_prompts(settings, &[("greeting.toml", GREETING)]));
    let token = app.token("ada", "guest");
    assert_eq!(listed(&app, &token), ["greeting"]);
    let within = Duration::from_secs(1);
    fs::write(folder(&app).join("more.toml"), GREETING).unwrap();
    until("a new prompt", within, || listed(&app, &token) == ["greeting", "more"]);
    app.awaited("settings.reloaded", "ok", SOON);
    fs::remove_file(folder(&app).join("greeting.toml")).unwrap();
    until("a prompt taken away", within, || listed(&app, &token) == ["more"]);
    Rpc::prompt("greeting", json!({ "who": "x" })).bearer(&token).send(&app).refused(
        200,
        -32602,
        "unknown_prompt",
    );
    fs::write(folder(&app).join("more.toml"), GREETING.replace("weather:read", "admin:users")).unwrap();
    until("a prompt for others", within, || listed(&app, &token).is_empty());
}

#[test]
fn a_bad_file_leaves_the_last_good_prompts_in_force() {
    let app = TestApp::start_with(|settings| with_prompts(settings, &[("greeting.toml", GREETING)]));
    let token = app.token("ada", "guest");
    fs::write(folder(&app).join("bad.toml"), "about = 7").unwrap();
    fs::write(folder(&app).join("good.toml"), GREETING).unwrap();
    // Looked at twice at least by then.
    super::support::pause(Duration::from_millis(1_000));
    assert_eq!(listed(&app, &token), ["greeting"]);
    let reloaded = Filter { event: Some("settings.reloaded".into()), ..Filter::default() };
    assert!(app.records(reloaded).is_empty());
    fs::remove_file(folder(&app).join("bad.toml")).unwrap();
    until("the good one", Duration::from_secs(1), || listed(&app, &token) == ["good", "greeting"]);
}

#[test]
fn a_start_with_bad_prompts_is_refused_with_everything_that_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings(home.path());
    let unknown = GREETING.replace("weather:read", "weather:raed");
    with_prompts(&mut settings, &[("a.toml", "about = 7"), ("b.toml", &unknown), ("c d.toml", GREETING)]);
    let keys: Vec<_> = refusal(&settings, Vec::new()).problems().into_iter().map(|one| one.key).collect();
    assert_eq!(
        keys,
        ["prompts/a.toml about", "prompts/a.toml needs", "prompts/a.toml messages", "prompts/c d.toml name"]
    );
    fs::remove_file(home.path().join("prompts/a.toml")).unwrap();
    fs::remove_file(home.path().join("prompts/c d.toml")).unwrap();
    let problem = refusal(&settings, Vec::new()).problem();
    assert_eq!(problem.key, "prompts/b.toml needs");
    assert!(problem.fix.contains("weather:read"), "{problem}");
}

#[test]
fn a_folder_that_is_there_decides_alone_and_hidden_or_other_files_are_none() {
    let app = TestApp::start_with(|settings| {
        with_prompts(settings, &[(".hidden.toml", "x"), ("notes.md", "x"), ("greeting.toml", GREETING)]);
    });
    assert_eq!(listed(&app, &app.token("root", "admin")), ["greeting"]);
}
