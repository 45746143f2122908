//! Titles, pictures and annotations: each revision is shown what it knows, and no picture of another kind.

use std::time::Duration;

use portcullis::tools::{
    AnyTool, Call, Content, Hints, Icon, RegistryError, Shown, Spec, Tool, ToolError, Trace,
};
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, refusal, settings},
    legacy,
    rpc::Rpc,
    tools::Nothing,
};

const SOURCE: &str = "data:image/png;base64,AA==";

/// Has a picture, and tells the trace that it is called in.
struct Pictured(&'static str);

impl Tool for Pictured {
    const SPEC: Spec = Spec {
        name: "pictured",
        title: "Pictured",
        about: "For tests.",
        needs: "weather:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(1),
    };
    type Args = Nothing;
    type Output = Shown;

    fn icons(&self) -> Vec<Icon> {
        vec![Icon::at(self.0)]
    }

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        let parent = call.trace().and_then(Trace::parent).unwrap_or("none");
        Ok(Shown(vec![Content::Text(parent.to_owned())]))
    }
}

fn tool(source: &'static str) -> Vec<Box<dyn AnyTool>> {
    vec![Box::new(Pictured(source))]
}

fn listed(result: &Value) -> &Value {
    result["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "pictured").unwrap()
}

#[test]
fn a_tool_has_its_picture_where_the_revision_knows_pictures() {
    let app = TestApp::with(|_| {}, tool(SOURCE));
    let token = app.token("ada", "user");
    let shown = json!([{ "src": SOURCE }]);
    let modern = Rpc::list().bearer(&token).send(&app).result();
    assert_eq!((&listed(&modern)["icons"], &listed(&modern)["title"]), (&shown, &json!("Pictured")));
    for (revision, icons, title) in
        [("2025-11-25", Some(&shown), true), ("2025-06-18", None, true), ("2025-03-26", None, false)]
    {
        let list = legacy::request(revision, "tools/list", json!({})).bearer(&token).send(&app).result();
        assert_eq!(listed(&list).get("icons"), icons, "{revision}");
        assert_eq!(listed(&list).get("title").is_some(), title, "{revision}");
    }
}

#[test]
fn a_picture_of_another_kind_registers_no_tool() {
    let home = tempfile::tempdir().unwrap();
    for source in ["http://example.org/a.png", "javascript:alert(1)", "file:///etc/passwd", "a.png"] {
        let refused = refusal(&settings(home.path()), tool(source));
        assert_eq!(refused.to_string(), RegistryError::Icon("pictured").to_string());
    }
}

#[test]
fn the_server_says_of_itself_what_the_revision_knows() {
    let app = TestApp::start_with(|settings| {
        settings.server.title = "Gate".into();
        settings.server.website_url = "https://example.org/".into();
        settings.server.icons = vec![SOURCE.into()];
    });
    let token = app.token("ada", "user");
    let info = |result: &Value| result["_meta"]["io.modelcontextprotocol/serverInfo"].clone();
    let version = env!("CARGO_PKG_VERSION");
    let plain = json!({ "name": "Portcullis", "version": version });
    let titled = json!({ "name": "Portcullis", "version": version, "title": "Gate" });
    let mut whole = titled.clone();
    (whole["websiteUrl"], whole["icons"]) = (json!("https://example.org/"), json!([{ "src": SOURCE }]));
    assert_eq!(info(&Rpc::discover().bearer(&token).send(&app).result()), whole);
    assert_eq!(
        info(&Rpc::list().bearer(&token).send(&app).result()),
        plain,
        "said once, not with every answer"
    );
    for (revision, said) in [("2025-11-25", &whole), ("2025-06-18", &titled), ("2025-03-26", &plain)] {
        let agreed = legacy::handshake(revision).bearer(&token).send(&app).result();
        assert_eq!(&agreed["serverInfo"], said, "{revision}");
    }
}

#[test]
fn a_tool_is_told_the_trace_of_its_call_and_a_bad_one_is_no_reason_to_refuse() {
    let app = TestApp::with(|_| {}, tool(SOURCE));
    let token = app.token("ada", "user");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (sent, told) in [
        (json!(parent), parent),
        (json!("00-x"), "none"),
        (json!(7), "none"),
        (json!("00-".repeat(10_000)), "none"),
    ] {
        let rpc = Rpc::call("pictured", json!({})).meta(|meta| meta["traceparent"] = sent.clone());
        let result = rpc.bearer(&token).send(&app).result();
        assert_eq!(result["content"][0]["text"], told);
    }
}
