//! Who listens is told of changes: of files by whichever way, and of prompts.

use std::{fs, time::Duration};

use portcullis::domain::Change;
use serde_json::json;

use super::support::{app::TestApp, rpc::Rpc, until};

/// Longest wait for a change that nobody tells us of.
const WITHIN: Duration = Duration::from_secs(3);

fn file(path: &str) -> Change {
    Change::Resource(format!("file:///{path}").into())
}

#[test]
fn a_file_that_anybody_changes_is_told_to_who_listens() {
    let app = TestApp::start_roomy();
    let files = app.dir().join("files");
    fs::write(files.join("old.txt"), "x").unwrap();
    let mut heard = app.changes.listen();
    let mut told = Vec::new();
    let mut awaited = |wanted: &[Change]| {
        told.clear();
        until(&format!("{wanted:?}"), WITHIN, || {
            told.extend(std::iter::from_fn(|| heard.try_recv().ok()));
            wanted.iter().all(|change| told.contains(change))
        });
    };
    fs::create_dir(files.join("a b")).unwrap();
    fs::write(files.join("a b/new.txt"), "x").unwrap();
    awaited(&[Change::Resources, file("a%20b/new.txt")]);
    fs::write(files.join("a b/new.txt"), "longer").unwrap();
    awaited(&[file("a%20b/new.txt")]);
    fs::remove_file(files.join("old.txt")).unwrap();
    awaited(&[Change::Resources, file("old.txt")]);
}

#[test]
fn what_a_file_tool_changes_is_told_before_its_caller_is_answered() {
    let app = TestApp::start_roomy();
    let token = app.token("root", "admin");
    let mut heard = app.changes.listen();
    for (tool, arguments) in [
        ("write_file", json!({ "path": "a.txt", "content": "x" })),
        ("delete_file", json!({ "path": "a.txt" })),
    ] {
        let done = Rpc::call(tool, arguments).bearer(&token).send(&app).result();
        assert_ne!(done["isError"], true, "{done}");
        let told: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
        assert!(told.contains(&Change::Resources) && told.contains(&file("a.txt")), "{tool}: {told:?}");
    }
    let failed = Rpc::call("delete_file", json!({ "path": "gone.txt" })).bearer(&token).send(&app).result();
    assert_eq!(failed["isError"], true);
    let told: Vec<_> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
    assert!(!told.contains(&file("gone.txt")), "{told:?}");
}

#[test]
fn other_prompts_are_told_to_who_listens() {
    let app = TestApp::start_with(|settings| {
        let folder = settings.data_dir.join("prompts");
        fs::create_dir(&folder).unwrap();
        settings.prompts_dir = Some(folder);
    });
    let mut heard = app.changes.listen();
    let text = "about = \"x\"\nneeds = \"weather:read\"\n[[messages]]\ntext = \"x\"\n";
    fs::write(app.dir().join("prompts/new.toml"), text).unwrap();
    until("the change", Duration::from_secs(1), || heard.try_recv() == Ok(Change::Prompts));
}
