//! Arguments that clients repeat in headers (`x-mcp-header`): each row of what the two may and may not be.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use portcullis::{
    app::AppError,
    tools::{AnyTool, Call, Content, Hints, Shown, Spec, Tool, ToolError},
};
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, refusal, settings},
    legacy,
    rpc::Rpc,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Tenant {
    /// Which.
    #[schemars(extend("x-mcp-header" = "Tenant-Id"))]
    #[serde(default)]
    #[expect(dead_code, reason = "only that it is repeated counts")]
    id: i64,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Routed {
    /// Where.
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
    /// Whether it is only tried.
    #[schemars(extend("x-mcp-header" = "Dry-Run"))]
    #[serde(default)]
    dry: bool,
    /// For whom.
    #[serde(default)]
    tenant: Option<Tenant>,
}

struct Routes;

const SPEC: Spec = Spec {
    name: "routes",
    title: "Routes",
    about: "For tests.",
    needs: "weather:read",
    hints: Hints::READ,
    cost: 1,
    deadline: Duration::from_secs(5),
};

impl Tool for Routes {
    const SPEC: Spec = SPEC;
    type Args = Routed;
    type Output = Shown;

    async fn call(&self, routed: Routed, _: &Call<'_>) -> Result<Shown, ToolError> {
        let Routed { region, dry, tenant } = routed;
        Ok(Shown(vec![Content::Text(format!("{region} {dry} {}", tenant.is_some()))]))
    }
}

/// Two in one header.
struct Twice;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Same {
    #[schemars(extend("x-mcp-header" = "Region"))]
    #[expect(dead_code, reason = "only its schema counts")]
    one: String,
    #[schemars(extend("x-mcp-header" = "REGION"))]
    #[expect(dead_code, reason = "only its schema counts")]
    other: String,
}

impl Tool for Twice {
    const SPEC: Spec = Spec { name: "twice", ..SPEC };
    type Args = Same;
    type Output = Shown;

    async fn call(&self, _: Same, _: &Call<'_>) -> Result<Shown, ToolError> {
        Ok(Shown(Vec::new()))
    }
}

fn start() -> TestApp {
    let tools: Vec<Box<dyn AnyTool>> = vec![Box::new(Routes)];
    TestApp::with(super::support::app::without_limits, tools)
}

/// Headers beside the usual ones, without their common beginning.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// What a call of these arguments with these headers beside the usual ones comes to: its status, and the reason or the
/// text.
fn routed(app: &TestApp, arguments: &Value, headers: Headers<'_>) -> (u16, String) {
    let mut rpc = Rpc::call("routes", arguments.clone()).bearer(&app.token("ada", "user"));
    for (name, value) in headers {
        rpc = rpc.header(&format!("mcp-param-{name}"), *value);
    }
    let reply = rpc.send(app);
    let body = reply.json();
    let said = body["error"]["data"]["reason"].as_str().or(body["result"]["content"][0]["text"].as_str());
    if reply.status == 400 {
        assert_eq!(body["error"]["code"], -32020, "{body}");
    }
    (reply.status, said.unwrap_or_else(|| panic!("{body}")).to_owned())
}

#[test]
fn what_is_repeated_as_it_is_passes_and_what_is_not_is_a_mismatch() {
    let app = start();
    let oslo = json!({ "region": "oslo" });
    let empty = json!({ "region": "" });
    let accent = json!({ "region": "é" });
    let looks = json!({ "region": "=?base64?w6k=?=" });
    let encoded_looks = format!("=?base64?{}?=", STANDARD.encode("=?base64?w6k=?="));
    let tried = json!({ "region": "r", "dry": true });
    let tenant = |id: Value| json!({ "region": "r", "tenant": { "id": id } });
    let nobody = json!({ "region": "r", "tenant": null });
    let passes: &[(&Value, Headers<'_>, &str)] = &[
        (&oslo, &[("region", "oslo")], "oslo false false"),
        (&oslo, &[("REGION", "oslo")], "oslo false false"),
        (&oslo, &[("region", " \toslo ")], "oslo false false"),
        (&oslo, &[("region", "=?base64?b3Nsbw==?=")], "oslo false false"),
        (&empty, &[("region", "")], " false false"),
        (&accent, &[("region", "=?base64?w6k=?=")], "é false false"),
        (&looks, &[("region", &encoded_looks)], "=?base64?w6k=?= false false"),
        (&tried, &[("region", "r"), ("dry-run", "true")], "r true false"),
        (&tenant(json!(42)), &[("region", "r"), ("tenant-id", "42.0")], "r false true"),
        (&nobody, &[("region", "r")], "r false false"),
        // Of which nobody has said that it is repeated.
        (&oslo, &[("region", "oslo"), ("other", "x"), ("other", "y")], "oslo false false"),
    ];
    for (arguments, headers, said) in passes {
        assert_eq!(routed(&app, arguments, headers), (200, (*said).to_owned()), "{arguments} {headers:?}");
    }
    let mismatches: &[(&Value, Headers<'_>)] = &[
        (&oslo, &[]),
        (&empty, &[]),
        (&oslo, &[("region", "Oslo")]),
        (&oslo, &[("region", "")]),
        (&oslo, &[("region", "oslo"), ("region", "oslo")]),
        (&accent, &[("region", "=?base64?w6k?=")]),
        (&accent, &[("region", "=?base64?w6k-?=")]),
        (&accent, &[("region", "=?BASE64?w6k=?=")]),
        (&accent, &[("region", "é")]),
        (&looks, &[("region", "=?base64?w6k=?=")]),
        (&oslo, &[("region", "oslo"), ("dry-run", "false")]),
        (&tried, &[("region", "r")]),
        (&tried, &[("region", "r"), ("dry-run", "TRUE")]),
        (&tenant(json!(42)), &[("region", "r"), ("tenant-id", "43")]),
        (&tenant(json!(9_007_199_254_740_992_i64)), &[("region", "r"), ("tenant-id", "9007199254740992")]),
        (&nobody, &[("region", "r"), ("tenant-id", "1")]),
    ];
    for (arguments, headers) in mismatches {
        assert_eq!(
            routed(&app, arguments, headers),
            (400, "header_mismatch".into()),
            "{arguments} {headers:?}"
        );
    }
}

#[test]
fn the_check_stands_behind_the_permission_and_before_the_arguments() {
    let app = start();
    let mismatched = Rpc::call("routes", json!({ "region": 7, "no": 1 })).header("mcp-param-region", "8");
    let refused = mismatched.clone().bearer(&app.token("ada", "user")).send(&app);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(-32020)));
    assert_eq!(app.record_of(&refused).reason.as_deref(), Some("header_mismatch"));
    let denied = mismatched.bearer(&app.minted("eve", &[], &["files:read"], "tests").0).send(&app);
    assert_eq!(denied.status, 403);
    let unfit = routed(&app, &json!({ "region": 7 }), &[("region", "7")]);
    assert!(unfit.0 == 200 && unfit.1.contains("region"), "{unfit:?}");
}

#[test]
fn older_revisions_neither_see_the_annotation_nor_are_held_to_it() {
    let app = start();
    let token = app.token("ada", "user");
    let modern = Rpc::list().bearer(&token).send(&app).text();
    assert!(
        modern.contains(r#""x-mcp-header":"Region""#) && modern.contains(r#""x-mcp-header":"Tenant-Id""#)
    );
    for revision in legacy::LEGACY {
        let listed = legacy::request(revision, "tools/list", json!({})).bearer(&token).send(&app).text();
        assert!(listed.contains("\"routes\"") && !listed.contains("x-mcp-header"), "{revision}");
        let call = json!({ "name": "routes", "arguments": { "region": "oslo" } });
        let call = legacy::request(revision, "tools/call", call).header("mcp-param-region", "elsewhere");
        let called = call.bearer(&token).send(&app).json();
        assert_eq!(called["result"]["content"][0]["text"], "oslo false false", "{revision}: {called}");
    }
}

#[test]
fn a_tool_that_clients_would_have_to_drop_is_not_even_started_with() {
    let home = tempfile::tempdir().unwrap();
    let refused = refusal(&settings(home.path()), vec![Box::new(Twice)]);
    assert!(matches!(&refused, AppError::Tools(_)), "{refused}");
    assert!(
        refused.to_string().contains("`twice`") && refused.to_string().contains("mcp-param-region"),
        "{refused}"
    );
}

#[test]
fn none_of_our_own_tools_asks_for_a_header() {
    let app = TestApp::start();
    let listed = Rpc::list().bearer(&app.token("root", "admin")).send(&app).text();
    assert!(listed.contains("get_weather") && !listed.contains("x-mcp-header"));
}
