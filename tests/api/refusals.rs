//! Every class of refusal that this server has is named by a test; here are those without a better place.

use std::{fs, path::Path};

use super::support::{app::TestApp, rpc::Rpc};

#[test]
fn a_client_that_takes_neither_of_our_types_is_told() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let with = |accept: &str| Rpc::weather().bearer(&token).replace("accept", accept).send(&app);
    with("text/html, image/*").refused(406, -32601, "not_acceptable");
    for accept in
        ["*/*", "application/json", "text/event-stream", "text/html, application/*;q=0.1", "APPLICATION/JSON"]
    {
        with(accept).result();
    }
    Rpc::weather().bearer(&token).without("accept").send(&app).result();
}

#[test]
fn each_reason_is_named_by_a_test() {
    // No tool of this server needs a capability of the client; 65 536 records on their way cannot be had
    // here, the audit log's own tests have them.
    let elsewhere = ["missing_capability", "overloaded"].join(" ");
    let mut tests = String::new();
    for folder in ["tests/api", "tests/attacks"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "rs") {
                tests.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let reasons: Vec<String> = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error.rs"))
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.split_once(" => \"")?.1.split('"').next()?.to_owned()))
        .collect();
    assert!(reasons.len() >= 32, "{reasons:?}");
    for reason in reasons {
        let named = elsewhere.contains(&reason) || tests.contains(&format!("\"{reason}\""));
        assert!(named, "{reason} is named by no test");
    }
}
