//! Lists in pages: nothing is left out or told twice, and a cursor is good for nothing but where it came from.

use std::{collections::BTreeSet, fs};

use portcullis::tools::{
    AnyTool, Call, Hints, LocalFuture, Produced, Schema, SchemaError, Spec, Tool, ToolError,
};
use serde_json::{Value, json};

use super::support::{
    app::TestApp,
    legacy,
    rpc::{Rpc, VERSION},
    tools::Dawdles,
};

/// Every page of a list, one after the other.
fn pages(app: &TestApp, token: &str, (revision, method): (&str, &str)) -> Vec<Value> {
    let mut pages: Vec<Value> = Vec::new();
    loop {
        let cursor = pages.last().and_then(|page| page.get("nextCursor")).cloned();
        let params = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
        let rpc = match revision {
            VERSION => Rpc::new(method, params),
            _ => legacy::request(revision, method, params),
        };
        pages.push(rpc.bearer(token).send(app).result());
        if pages.last().unwrap().get("nextCursor").is_none() {
            return pages;
        }
    }
}

#[test]
fn two_thousand_files_come_in_pages_each_once() {
    let app = TestApp::start_roomy();
    let all: BTreeSet<String> = (0..2_100).map(|n| format!("file:///{n:04}.txt")).collect();
    for n in 0..2_100 {
        fs::write(app.dir().join(format!("files/{n:04}.txt")), "").unwrap();
    }
    let token = app.token("root", "admin");
    for revision in ["2025-06-18", VERSION] {
        let pages = pages(&app, &token, (revision, "resources/list"));
        let sizes: Vec<_> = pages.iter().map(|page| page["resources"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [1_000, 1_000, 103]);
        let told: Vec<_> = pages.iter().flat_map(|page| page["resources"].as_array().unwrap()).collect();
        let uris: BTreeSet<_> = told.iter().map(|one| one["uri"].as_str().unwrap().to_owned()).collect();
        assert_eq!((uris.len(), all.difference(&uris).count()), (told.len(), 0));
        if revision == VERSION {
            assert!(pages.iter().all(|page| page["cacheScope"] == "private" && page["ttlMs"].is_u64()));
        }
    }
    // Files that go meanwhile leave no gap.
    let first = Rpc::new("resources/list", json!({})).bearer(&token).send(&app).result();
    fs::remove_file(app.dir().join("files/0999.txt")).unwrap();
    let next = json!({ "cursor": first["nextCursor"] });
    let second = Rpc::new("resources/list", next).bearer(&token).send(&app).result();
    assert_eq!(second["resources"][0]["uri"], "file:///1000.txt");
}

#[test]
fn a_page_of_exactly_a_thousand_is_the_last() {
    let app = TestApp::start_roomy();
    for n in 0..1_000 {
        fs::write(app.dir().join(format!("files/{n:04}.txt")), "").unwrap();
    }
    let user = app.token("ada", "user");
    assert_eq!(pages(&app, &user, (VERSION, "resources/list")).len(), 1);
    let admin = app.token("root", "admin");
    let both = pages(&app, &admin, (VERSION, "resources/list"));
    let sizes: Vec<_> = both.iter().map(|page| page["resources"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [1_000, 3], "what another source has is on the next page");
}

/// A tool of which only the name counts.
struct Numbered(&'static Spec);

impl AnyTool for Numbered {
    fn spec(&self) -> &'static Spec {
        self.0
    }

    fn input(&self) -> Result<Schema, SchemaError> {
        AnyTool::input(&Dawdles)
    }

    fn output(&self) -> Result<Option<Schema>, SchemaError> {
        Ok(None)
    }

    fn call<'a>(&'a self, _: &'a str, _: &'a Call<'a>) -> LocalFuture<'a, Result<Produced, ToolError>> {
        Box::pin(async { Err(ToolError::Timeout) })
    }
}

#[test]
fn a_thousand_tools_and_more_come_in_pages_too() {
    let numbered = |n: usize| -> Box<dyn AnyTool> {
        let name = Box::leak(format!("tool_{n:04}").into_boxed_str());
        Box::new(Numbered(Box::leak(Box::new(Spec { name, hints: Hints::READ, ..Dawdles::SPEC }))))
    };
    let app = TestApp::with(super::support::app::without_limits, (0..1_000).map(numbered).collect());
    let token = app.token("ada", "guest");
    let pages = pages(&app, &token, (VERSION, "tools/list"));
    let sizes: Vec<_> = pages.iter().map(|page| page["tools"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [1_000, 1]);
    assert_eq!(pages[1]["tools"][0]["name"], "tool_0999");
}

#[test]
fn a_cursor_holds_for_its_list_its_caller_and_its_rights_and_not_one_character_of_it_may_change() {
    let app = TestApp::start_roomy();
    for n in 0..1_001 {
        fs::write(app.dir().join(format!("files/{n:04}.txt")), "").unwrap();
    }
    let ask = |method: &str, token: &str, cursor: Value| {
        Rpc::new(method, json!({ "cursor": cursor })).bearer(token).send(&app)
    };
    let ada = app.token("ada", "user");
    let first = Rpc::new("resources/list", json!({})).bearer(&ada).send(&app).result();
    let cursor = first["nextCursor"].as_str().unwrap();
    assert_eq!(
        ask("resources/list", &ada, json!(cursor)).result()["resources"][0]["uri"],
        "file:///1000.txt"
    );
    let again = app.token("ada", "user");
    ask("resources/list", &again, json!(cursor)).result();
    for (what, method, token) in [
        ("another caller", "resources/list", app.token("bob", "user")),
        ("other rights", "resources/list", app.token("ada", "premium")),
        ("another list", "resources/templates/list", ada.clone()),
        ("another list", "prompts/list", ada.clone()),
        ("another list", "tools/list", ada.clone()),
    ] {
        let reply = ask(method, &token, json!(cursor));
        assert_eq!((reply.status, reply.code()), (200, -32602), "{what}");
    }
    for at in (0..cursor.len()).step_by(7) {
        let mut changed = cursor.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(ask("resources/list", &ada, json!(changed)).code(), -32602, "character {at}");
    }
    for method in ["resources/list", "resources/templates/list", "prompts/list", "tools/list"] {
        for nonsense in [json!(""), json!("x"), json!(7), json!(null), json!({}), json!("k1.".repeat(5_000))]
        {
            ask(method, &ada, nonsense).refused(200, -32602, "invalid_params");
            let old = legacy::request("2025-11-25", method, json!({ "cursor": "x" })).bearer(&ada).send(&app);
            old.refused(200, -32602, "invalid_params");
        }
    }
    // Any process on the same store takes it.
    let app = app.restart();
    let next = Rpc::new("resources/list", json!({ "cursor": cursor })).bearer(&ada).send(&app).result();
    assert_eq!(next["resources"][0]["uri"], "file:///1000.txt");
}
