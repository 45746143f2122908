//! Files are changed after a person's word, where the settings ask for it; what that word is worth.

use std::fs;

use portcullis::settings::Confirm;
use serde_json::json;

use super::{
    asking::{accept, answered, capable, invalid, state_of, yes},
    support::{SOON, app::TestApp, legacy, rpc::Rpc, until},
};

#[test]
fn a_word_that_counts_once_is_worth_nothing_after_a_restart() {
    let app = TestApp::start();
    fs::write(app.dir().join("files/a.txt"), "old").unwrap();
    let rpc = delete(&app);
    let asked = rpc.send(&app);
    let app = app.restart();
    invalid(&answered(&rpc, &asked, json!({ "confirm": yes() })).send(&app));
    assert!(app.dir().join("files/a.txt").exists());
}

#[test]
fn every_round_is_decided_anew() {
    let app = TestApp::start();
    app.account("root", &["admin"], true);
    until("it is known", SOON, || app.users.find("root").is_some());
    fs::write(app.dir().join("files/a.txt"), "old").unwrap();
    let rpc = delete(&app);
    let asked = rpc.send(&app);
    state_of(&asked);
    app.account("root", &["user"], true);
    until("the role is lost", SOON, || rpc.send(&app).status == 403);
    answered(&rpc, &asked, json!({ "confirm": yes() })).send(&app).refused(403, -31403, "forbidden");
    assert!(app.dir().join("files/a.txt").exists());
}

fn delete(app: &TestApp) -> Rpc {
    capable(Rpc::call("delete_file", json!({ "path": "a.txt" }))).bearer(&app.token("root", "admin"))
}

fn write(app: &TestApp, content: &str) -> Rpc {
    let rpc = capable(Rpc::call("write_file", json!({ "path": "a.txt", "content": content })));
    rpc.bearer(&app.token("ada", "premium"))
}

#[test]
fn a_file_is_deleted_or_replaced_only_after_a_yes_of_whoever_can_be_asked() {
    let app = TestApp::start();
    let file = app.dir().join("files/a.txt");
    write(&app, "new").send(&app).result();
    assert_eq!(fs::read_to_string(&file).unwrap(), "new", "nothing was replaced, so nobody was asked");
    let rpc = write(&app, "newer");
    let asked = rpc.send(&app);
    let question =
        asked.result()["inputRequests"]["confirm"]["params"]["message"].as_str().unwrap().to_owned();
    assert!(question.contains("\"a.txt\""), "{question}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    for no in
        [json!({ "action": "decline" }), json!({ "action": "cancel" }), accept(json!({ "confirmed": false }))]
    {
        let refused = answered(&rpc, &rpc.send(&app), json!({ "confirm": no })).send(&app).result();
        assert_eq!(refused["isError"], true);
        assert!(
            refused["content"][0]["text"].as_str().unwrap().contains("has not confirmed it"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }
    let done = answered(&rpc, &asked, json!({ "confirm": yes() })).send(&app).result();
    assert_eq!(
        (&done["structuredContent"]["success"], &*fs::read_to_string(&file).unwrap()),
        (&json!(true), "newer")
    );
    let rpc = delete(&app);
    let sure = answered(&rpc, &rpc.send(&app), json!({ "confirm": yes() }));
    sure.send(&app).result();
    assert!(!file.exists());
    fs::write(&file, "another").unwrap();
    invalid(&sure.send(&app));
    assert!(file.exists(), "one yes, one deletion");
}

#[test]
fn where_a_word_is_required_every_change_needs_one_and_where_none_is_nobody_is_asked() {
    let app = TestApp::start_with(|settings| settings.tools.files.confirm = Confirm::Required);
    let rpc = write(&app, "new");
    let asked = rpc.send(&app);
    assert!(!app.dir().join("files/a.txt").exists());
    answered(&rpc, &asked, json!({ "confirm": yes() })).send(&app).result();
    assert!(app.dir().join("files/a.txt").exists());
    for revision in legacy::LEGACY {
        let token = app.token("root", "admin");
        let old = legacy::call(revision, "delete_file", json!({ "path": "a.txt" })).bearer(&token).send(&app);
        let text = old.result()["content"][0]["text"].as_str().unwrap().to_owned();
        assert!(text.contains("only after a person has confirmed it"), "{text}");
    }
    assert!(app.dir().join("files/a.txt").exists());
    let app = TestApp::start_with(|settings| settings.tools.files.confirm = Confirm::Off);
    fs::write(app.dir().join("files/a.txt"), "old").unwrap();
    assert_eq!(delete(&app).send(&app).result()["structuredContent"]["path"], "a.txt");
}
