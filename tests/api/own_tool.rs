//! A tool written by the README alone is listed, called, held to its schema, guarded, recorded and counted.

use std::fs;

use serde_json::json;

use super::{
    readme_tool::RollDice,
    support::{app::TestApp, rpc::Rpc},
};

#[test]
fn the_readme_shows_this_very_tool() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let shown = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(
        shown,
        include_str!("readme_tool.rs"),
        "the README shows another tool than the one that is tested"
    );
}

#[test]
fn one_file_and_one_line_make_a_tool_that_everything_knows() {
    let app = TestApp::with(
        |settings| settings.permissions.extra = vec!["dice:roll".into()],
        vec![Box::new(RollDice)],
    );
    let (player, _) = app.minted("player", &[], &["dice:roll"], "tests");
    let listed = |token: &str| {
        let tools = Rpc::list().bearer(token).send(&app).result()["tools"].take();
        tools.as_array().unwrap().iter().find(|tool| tool["name"] == "roll_dice").cloned()
    };
    let descriptor = listed(&player).expect("it is listed");
    assert_eq!(descriptor["inputSchema"]["properties"]["count"]["maximum"], 100);
    assert_eq!(descriptor["inputSchema"]["properties"]["count"]["description"], "How many, 1 to 100.");
    assert_eq!(descriptor["outputSchema"]["properties"]["sum"]["description"], "The sum of all dice.");

    let roll = |count: u32| Rpc::call("roll_dice", json!({ "count": count })).bearer(&player).send(&app);
    let reply = roll(3);
    let sum = reply.result()["structuredContent"]["sum"].as_u64().unwrap();
    assert!((3..=18).contains(&sum), "{sum}");
    let record = app.record_of(&reply);
    assert_eq!((&*record.event, record.tool.as_deref()), ("tool.called", Some("roll_dice")));
    assert_eq!(roll(101).result()["isError"], true, "its schema is enforced");
    assert_eq!(app.metric("portcullis_tool_calls_total{tool=\"roll_dice\",outcome=\"ok\"}"), 1.0);

    let user = app.token("ada", "user");
    assert!(listed(&user).is_none());
    let denied = Rpc::call("roll_dice", json!({ "count": 1 })).bearer(&user).send(&app);
    denied.refused(403, -31403, "forbidden");
    assert_eq!(app.record_of(&denied).missing.as_deref(), Some("dice:roll"));
}
