//! The file tools over HTTP: who may call which, what they answer, which folder they use.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use portcullis::{
    actors::audit::Filter,
    settings::{AlsoSettings, Confirm},
};
use serde_json::{Value, json};

use super::support::{app::TestApp, http::Connection, rpc::Rpc, until};

/// Roles as shipped, smallest first.
const ROLES: [&str; 4] = ["guest", "user", "premium", "admin"];
/// Tools, with what each needs, the first of [`ROLES`] that may, and arguments that are good.
const TOOLS: [(&str, &str, usize, &str); 6] = [
    ("get_weather", "weather:read", 0, r#"{"city":"Oslo"}"#),
    ("report_weather", "weather:write", 2, r#"{"city":"Oslo","temperature":-3.5,"condition":"Snow"}"#),
    ("list_files", "files:read", 1, "{}"),
    ("read_file", "files:read", 1, r#"{"path":"there.txt"}"#),
    ("write_file", "files:write", 2, r#"{"path":"new.txt","content":"x"}"#),
    ("delete_file", "files:delete", 3, r#"{"path":"there.txt"}"#),
];

/// The `structuredContent` of a call that succeeds.
#[track_caller]
fn done(app: &TestApp, role: &str, tool: &str, arguments: Value) -> Value {
    let result = Rpc::call(tool, arguments).bearer(&app.token("ada", role)).send(app).result();
    assert_ne!(result["isError"], true, "{tool}: {result}");
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"], "said twice, and the same");
    result["structuredContent"].clone()
}

/// The text of a call that fails.
#[track_caller]
fn failed(app: &TestApp, tool: &str, arguments: Value) -> String {
    let result = Rpc::call(tool, arguments).bearer(&app.token("root", "admin")).send(app).result();
    assert_eq!(result["isError"], true, "{tool}: {result}");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn every_tool_by_every_role_is_done_or_refused_by_the_permission_it_lacks() {
    let app = TestApp::start();
    for (tool, needs, least, arguments) in TOOLS {
        for (at, role) in ROLES.iter().enumerate() {
            fs::write(app.dir().join("files/there.txt"), "text").unwrap();
            let token = app.token("ada", role);
            let listed = Rpc::list().bearer(&token).send(&app).result();
            let is_listed = listed["tools"].as_array().unwrap().iter().any(|one| one["name"] == tool);
            assert_eq!(is_listed, at >= least, "{tool} in the list of {role}");
            let reply = Rpc::call(tool, serde_json::from_str(arguments).unwrap()).bearer(&token).send(&app);
            if at >= least {
                assert_ne!(reply.result()["isError"], true, "{tool} by {role}: {}", reply.text());
                assert_eq!(app.record_of(&reply).outcome, "ok");
            } else {
                reply.refused(403, -31403, "forbidden");
                assert_eq!(reply.json()["error"]["data"]["missing"], needs, "{tool} by {role}");
                assert_eq!(app.record_of(&reply).event, "tool.denied");
            }
        }
    }
}

#[test]
fn what_is_written_is_listed_read_and_deleted() {
    let app = TestApp::start();
    let path = "notes.txt";
    let written = done(&app, "premium", "write_file", json!({ "path": path, "content": "één\n" }));
    assert_eq!(written, json!({ "success": true, "path": path, "size": 6 }));
    let list = done(&app, "user", "list_files", json!({}));
    let modified = list["entries"][0]["modified"].as_str().unwrap();
    let age = chrono::Utc::now() - chrono::DateTime::parse_from_rfc3339(modified).unwrap().to_utc();
    assert!(age.num_seconds().abs() < 60, "{modified}");
    assert_eq!(list, json!({ "entries": [{ "path": path, "size": 6, "modified": modified }] }));
    let read = done(&app, "user", "read_file", json!({ "path": path }));
    assert_eq!(read, json!({ "path": path, "size": 6, "encoding": "text", "content": "één\n" }));
    assert_eq!(done(&app, "admin", "delete_file", json!({ "path": path })), json!({ "path": path }));
    assert_eq!(done(&app, "user", "list_files", json!({})), json!({ "entries": [] }));
    assert!(failed(&app, "read_file", json!({ "path": path })).starts_with("there is no such file"));
}

#[test]
fn what_is_no_text_comes_in_base64() {
    let app = TestApp::start();
    fs::write(app.dir().join("files/data.csv"), b"a\xff\x00b").unwrap();
    let read = done(&app, "user", "read_file", json!({ "path": "data.csv" }));
    assert_eq!(read, json!({ "path": "data.csv", "size": 4, "encoding": "base64", "content": "Yf8AYg==" }));
}

#[test]
fn the_default_folder_is_made_at_the_first_start_for_nobody_else() {
    let app = TestApp::start();
    let seen = fs::metadata(app.dir().join("files")).unwrap();
    assert!(seen.is_dir() && seen.mode() & 0o7777 == 0o700, "{:o}", seen.mode());
    done(&app, "premium", "write_file", json!({ "path": "a.txt", "content": "kept" }));
    let app = app.restart();
    let read = done(&app, "user", "read_file", json!({ "path": "a.txt" }));
    assert_eq!(read["content"], "kept");
}

#[test]
fn a_start_clears_away_what_a_crash_has_left() {
    let mut app = TestApp::start();
    app.stop();
    let left = app.dir().join(format!("files/.portcullis-{}.draft", "0123456789abcdef".repeat(2)));
    fs::write(&left, "half").unwrap();
    fs::write(app.dir().join("files/whole.txt"), "whole").unwrap();
    let app = app.restart();
    assert!(!left.exists());
    assert_eq!(done(&app, "user", "read_file", json!({ "path": "whole.txt" }))["content"], "whole");
}

#[test]
fn reads_take_the_first_folder_that_has_the_file_and_writes_go_to_the_first() {
    let (second, third) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let also = third.path().to_owned();
    let app = TestApp::start_with(|settings| {
        settings.tools.files.roots.push(second.path().to_owned());
        let patterns = vec!["*.md".to_owned(), "both.txt".to_owned()];
        settings.tools.files.also = vec![AlsoSettings { root: also, patterns }];
    });
    let first = app.dir().join("files");
    for (folder, name, text) in [
        (&*first, "both.txt", "first"),
        (second.path(), "both.txt", "second"),
        (third.path(), "both.txt", "third"),
        (second.path(), "only.txt", "second"),
        (third.path(), "third.txt", "not of its patterns"),
        (third.path(), "read.me.md", "third"),
        (second.path(), "second.md", "not of its patterns"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    let list = done(&app, "user", "list_files", json!({}));
    let paths: Vec<_> = list["entries"].as_array().unwrap().iter().map(|entry| &entry["path"]).collect();
    assert_eq!(paths, ["both.txt", "only.txt", "read.me.md"]);
    for (path, text) in [("both.txt", "first"), ("only.txt", "second"), ("read.me.md", "third")] {
        assert_eq!(done(&app, "user", "read_file", json!({ "path": path }))["content"], text, "{path}");
    }
    for path in ["third.txt", "second.md"] {
        assert!(failed(&app, "read_file", json!({ "path": path })).starts_with("there is no such file"));
    }
    // Of a later folder nothing is changed, though it can be read.
    assert!(failed(&app, "delete_file", json!({ "path": "only.txt" })).starts_with("there is no such file"));
    done(&app, "premium", "write_file", json!({ "path": "only.txt", "content": "now here" }));
    assert_eq!(fs::read_to_string(second.path().join("only.txt")).unwrap(), "second");
    assert_eq!(fs::read_to_string(first.join("only.txt")).unwrap(), "now here");
    assert_eq!(done(&app, "user", "read_file", json!({ "path": "only.txt" }))["content"], "now here");
}

#[test]
fn a_long_list_is_cut_and_says_how_to_see_the_rest() {
    let app = TestApp::start();
    let files = app.dir().join("files");
    fs::create_dir(files.join("sub")).unwrap();
    for n in 0..1_001 {
        fs::write(files.join(format!("{n:04}.txt")), "").unwrap();
    }
    fs::write(files.join("sub/last.txt"), "").unwrap();
    let list = done(&app, "user", "list_files", json!({}));
    let entries = list["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[999]["path"]), (1_000, &json!("0999.txt")));
    assert!(list["note"].as_str().unwrap().contains("at most 1000 are shown"), "{}", list["note"]);
    let list = done(&app, "user", "list_files", json!({ "path": "sub" }));
    assert_eq!((list["entries"].as_array().unwrap().len(), list.get("note")), (1, None));
}

#[test]
fn where_a_person_must_confirm_and_nobody_can_be_asked_nothing_is_changed() {
    let app = TestApp::start_with(|settings| settings.tools.files.confirm = Confirm::Required);
    fs::write(app.dir().join("files/a.txt"), "old").unwrap();
    for (tool, arguments) in [
        ("write_file", json!({ "path": "a.txt", "content": "new" })),
        ("delete_file", json!({ "path": "a.txt" })),
    ] {
        let text = failed(&app, tool, arguments);
        assert!(text.contains("only after a person has confirmed it"), "{text}");
    }
    assert_eq!(done(&app, "user", "read_file", json!({ "path": "a.txt" }))["content"], "old");
    for confirm in [Confirm::Off, Confirm::Ask] {
        let app = TestApp::start_with(|settings| settings.tools.files.confirm = confirm);
        done(&app, "premium", "write_file", json!({ "path": "a.txt", "content": "new" }));
    }
}

#[test]
fn without_a_folder_there_is_nothing_to_list_and_nothing_to_change() {
    let app = TestApp::start_with(|settings| settings.tools.files.roots.clear());
    assert!(!app.dir().join("files").exists());
    assert_eq!(done(&app, "user", "list_files", json!({})), json!({ "entries": [] }));
    assert!(failed(&app, "read_file", json!({ "path": "a.txt" })).starts_with("there is no such file"));
    let text = failed(&app, "write_file", json!({ "path": "a.txt", "content": "" }));
    assert!(text.contains("lets no files be changed"), "{text}");
}

#[test]
fn a_write_and_a_delete_are_on_record_before_they_are_done_and_reading_is_not() {
    let app = TestApp::start();
    let calls = [
        ("write_file", json!({ "path": "a.txt", "content": "secret text" })),
        ("read_file", json!({ "path": "a.txt" })),
        ("list_files", json!({})),
        ("delete_file", json!({ "path": "a.txt" })),
        ("report_weather", json!({ "city": "Oslo", "temperature": 1, "condition": "Rain" })),
    ];
    for (tool, arguments) in calls {
        done(&app, "admin", tool, arguments);
        let filter =
            |event: &str| Filter { tool: Some(tool.into()), event: Some(event.into()), ..Filter::default() };
        let (started, called) = (app.records(filter("tool.started")), app.records(filter("tool.called")));
        assert_eq!(
            (started.len(), called.len()),
            (usize::from(!tool.starts_with(['r', 'l']) || tool == "report_weather"), 1)
        );
        if let [started] = &*started {
            assert!(started.seq < called[0].seq && started.request_id == called[0].request_id);
        }
        assert!(!serde_json::to_string(&called).unwrap().contains("secret text"));
    }
}

#[test]
fn what_clients_are_told_of_the_tools_is_what_they_do() {
    let app = TestApp::start();
    let list = Rpc::list().bearer(&app.token("root", "admin")).send(&app).result();
    for (tool, hints) in [
        ("list_files", (true, false, true, false)),
        ("read_file", (true, false, true, false)),
        ("write_file", (false, true, true, false)),
        ("delete_file", (false, true, true, false)),
        ("report_weather", (false, false, false, false)),
    ] {
        let found = list["tools"].as_array().unwrap().iter().find(|one| one["name"] == tool).unwrap();
        let said = &found["annotations"];
        let hint = |name: &str| said[name].as_bool().unwrap();
        let all =
            (hint("readOnlyHint"), hint("destructiveHint"), hint("idempotentHint"), hint("openWorldHint"));
        assert_eq!(all, hints, "{tool}");
        assert_eq!(found["inputSchema"]["additionalProperties"], false, "{tool}");
        assert_eq!(found["outputSchema"]["type"], "object", "{tool}");
    }
}

#[test]
fn a_folder_that_cannot_be_opened_refuses_the_start_and_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut settings = super::support::app::settings(home.path());
    settings.tools.files.roots.push(home.path().join("nowhere"));
    let error = super::support::app::refusal(&settings, Vec::new());
    assert_eq!(error.problem().key, "tools.files.roots[1]");
    settings.tools.files.roots.pop();
    settings.tools.files.patterns = vec!["a{b".into()];
    let error = super::support::app::refusal(&settings, Vec::new());
    assert_eq!(error.problem().key, "tools.files.roots[0]");
}

#[test]
fn a_folder_that_may_not_be_written_to_says_so() {
    let app = TestApp::start();
    let files = app.dir().join("files");
    fs::write(files.join("a.txt"), "old").unwrap();
    fs::set_permissions(files.join("a.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&files, fs::Permissions::from_mode(0o500)).unwrap();
    // Nobody is refused by modes who is root; then the file is simply read.
    let is_root = fs::read(files.join("a.txt")).is_ok();
    let read =
        Rpc::call("read_file", json!({ "path": "a.txt" })).bearer(&app.token("ada", "user")).send(&app);
    let text = read.result()["content"][0]["text"].as_str().unwrap().to_owned();
    fs::set_permissions(&files, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(text.contains("the server itself may not"), !is_root, "{text}");
    assert!(!text.contains(files.to_str().unwrap()));
}

/// Reads, over and over, until all have been answered.
#[test]
fn files_are_worked_on_beside_the_workers() {
    let app = TestApp::start_roomy();
    let text = "x".repeat(1 << 20);
    done(&app, "premium", "write_file", json!({ "path": "large.txt", "content": text }));
    let token = app.token("ada", "user");
    let mut readers: Vec<Connection> = (0..24).map(|_| app.connect()).collect();
    for reader in &mut readers {
        reader.send(Rpc::call("read_file", json!({ "path": "large.txt" })).bearer(&token).bytes());
    }
    Rpc::weather().bearer(&token).send(&app).result();
    for mut reader in readers {
        assert_eq!(reader.reply().result()["structuredContent"]["size"], 1 << 20);
    }
}

#[test]
fn a_report_is_told_here_at_once_and_by_another_server_within_a_second() {
    let app = TestApp::start_roomy();
    let report = json!({ "city": "Bergen", "temperature": 7.25, "condition": "Light rain" });
    let seen = done(&app, "premium", "report_weather", report);
    assert_eq!((&seen["temperature"], &seen["source"]), (&json!(7.25), &json!("station")));
    assert_eq!(done(&app, "guest", "get_weather", json!({ "city": "BERGEN" })), seen);
    // Another process on the same store reports.
    let stores = app.stores();
    let now = portcullis::domain::Timestamp::now();
    let other = portcullis::store::Report {
        city: "Bergen".into(),
        hundredths: 800,
        condition: "Clear".into(),
        at: now,
    };
    let oldest = portcullis::domain::Timestamp::from_micros(0);
    assert_eq!(super::support::block_on(stores.reports.report(&other, oldest)).unwrap(), other);
    let took = until("the other's report", std::time::Duration::from_secs(1), || {
        done(&app, "guest", "get_weather", json!({ "city": "Bergen" }))["condition"] == "Clear"
    });
    assert!(took.as_millis() < 1_000, "{took:?}");
    let app = app.restart();
    let again = done(&app, "guest", "get_weather", json!({ "city": "bergen" }));
    assert_eq!((&again["temperature"], &again["timestamp"]), (&json!(8.0), &json!(now.to_string())));
    assert_eq!(done(&app, "guest", "get_weather", json!({ "city": "Oslo" }))["source"], "fixed");
}

/// The calls in README: tool, arguments, result.
fn calls_of_readme() -> Vec<(String, Value, Value)> {
    let readme = include_str!("../../README.md");
    let lines = readme.lines().filter(|line| line.contains("}  →  {"));
    let parts = |line: &str| {
        let (call, result) = line.split_once("  →  ").unwrap();
        let (tool, arguments) = call.split_once(char::is_whitespace).unwrap();
        (tool.to_owned(), super::support::app::json(arguments), super::support::app::json(result))
    };
    lines.map(parts).collect()
}

/// `value` without what differs with the time.
fn timeless(value: &Value) -> Value {
    let mut value = value.clone();
    for at in ["/timestamp", "/entries/0/modified"] {
        if let Some(time) = value.pointer_mut(at) {
            chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
            *time = json!("then");
        }
    }
    value
}

#[test]
fn the_calls_in_readme_answer_what_it_says() {
    let app = TestApp::start();
    let calls = calls_of_readme();
    assert_eq!(calls.len(), 6);
    for (tool, arguments, result) in calls {
        let answered = done(&app, "admin", &tool, arguments);
        assert_eq!(timeless(&answered), timeless(&result), "{tool}");
    }
}
