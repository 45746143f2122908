//! The validation ladder: a request that breaks two rungs is answered for the lower one.

use serde_json::json;

use super::support::{
    app::TestApp,
    rpc::{META_CAPABILITIES, META_VERSION, Rpc},
};

/// Status, JSON-RPC code, reason.
type Answer = (u16, i64, &'static str);
/// Breaks one rung of an otherwise good request.
type Break = fn(Rpc) -> Rpc;

/// Each rung with a way to break it and what that alone is answered with. The order is the ladder's.
fn rungs() -> Vec<(&'static str, Break, Answer)> {
    vec![
        ("host", |r| r.replace("host", "evil.example"), (403, -31403, "host_forbidden")),
        ("method", |r| r.verb("PUT"), (405, -32601, "method_not_allowed")),
        ("size", |r| r.header("x-filler", "x".repeat(17_000)), (431, -32600, "headers_too_large")),
        ("media type", |r| r.replace("content-type", "text/plain"), (415, -32600, "unsupported_media_type")),
        ("credential", |r| r.replace("authorization", "Bearer nonsense"), (401, -31401, "invalid_token")),
        ("json", |r| r.raw("{\"jsonrpc\":"), (400, -32700, "parse_error")),
        ("shape", |r| r.edit(|b| b["jsonrpc"] = json!("1.0")), (400, -32600, "invalid_request")),
        ("_meta", |r| r.meta(|m| m[META_CAPABILITIES] = json!(7)), (400, -32602, "invalid_params")),
        ("version header", |r| r.without("mcp-protocol-version"), (400, -32020, "header_mismatch")),
        ("version", unsupported, (400, -32022, "unsupported_version")),
        ("mirrored headers", |r| r.replace("mcp-method", "tools/list"), (400, -32020, "header_mismatch")),
        ("method name", unknown_method, (404, -32601, "unknown_method")),
        ("params", |r| r.meta(|m| m["progressToken"] = json!(1.5)), (200, -32602, "invalid_params")),
        ("tool", unknown_tool, (200, -32602, "unknown_tool")),
    ]
}

fn unsupported(rpc: Rpc) -> Rpc {
    let header = rpc.clone().replace("mcp-protocol-version", "2099-01-01");
    // A lower rung that took the header away keeps it away.
    let rpc = if rpc.head().windows(20).any(|w| w == b"mcp-protocol-version") { header } else { rpc };
    rpc.meta(|meta| meta[META_VERSION] = json!("2099-01-01"))
}

fn unknown_method(rpc: Rpc) -> Rpc {
    let mirrors = String::from_utf8_lossy(&rpc.head()).contains("mcp-method: tools/call");
    let rpc = if mirrors { rpc.replace("mcp-method", "tools/guess") } else { rpc };
    rpc.edit(|body| body["method"] = json!("tools/guess"))
}

fn unknown_tool(rpc: Rpc) -> Rpc {
    rpc.replace("mcp-name", "nothing").edit(|body| body["params"]["name"] = json!("nothing"))
}

#[test]
fn each_rung_alone_answers_for_itself() {
    let app = TestApp::start();
    let good = Rpc::weather().bearer(&app.token("ada", "user"));
    good.send(&app).result();
    for (name, broken, (status, code, reason)) in rungs() {
        println!("{name}");
        broken(good.clone()).send(&app).refused(status, code, reason);
    }
}

#[test]
fn of_two_broken_rungs_the_lower_one_answers() {
    let app = TestApp::start();
    let good = Rpc::weather().bearer(&app.token("ada", "user"));
    let rungs = rungs();
    for (at, (lower, break_lower, (status, code, reason))) in rungs.iter().enumerate() {
        for (higher, break_higher, _) in &rungs[at + 1..] {
            println!("{lower} before {higher}");
            // Twice, so that neither order of breaking hides the other.
            break_higher(break_lower(good.clone())).send(&app).refused(*status, *code, reason);
        }
    }
}

#[test]
fn the_shape_of_params_counts_before_the_tool_and_the_tool_before_the_arguments() {
    let app = TestApp::start();
    let token = app.token("ada", "guest");
    Rpc::call("nothing", json!([])).bearer(&token).send(&app).refused(200, -32602, "invalid_params");
    Rpc::call("list_users", json!([])).bearer(&token).send(&app).refused(200, -32602, "invalid_params");
    Rpc::call("list_users", json!({ "page": "x" })).bearer(&token).send(&app).refused(
        403,
        -31403,
        "forbidden",
    );
    Rpc::call("nothing", json!({ "page": "x" })).bearer(&token).send(&app).refused(
        200,
        -32602,
        "unknown_tool",
    );
    let wrong = Rpc::call("get_weather", json!({ "city": 7 })).bearer(&token).send(&app).result();
    assert_eq!(wrong["isError"], true);
}

#[test]
fn a_client_that_begins_with_get_finds_the_challenge_before_the_method() {
    let app = TestApp::start();
    for verb in ["GET", "DELETE"] {
        let bare = Rpc::list().verb(verb).without("mcp-protocol-version");
        let reply = bare.send(&app);
        reply.refused(401, -31401, "missing_credential");
        assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer resource_metadata="));
        let known = bare.bearer(&app.token("ada", "user")).send(&app);
        known.refused(405, -32601, "method_not_allowed");
        assert_eq!(known.header("allow"), Some("POST"));
        Rpc::list().verb(verb).send(&app).refused(405, -32601, "method_not_allowed");
    }
}

#[test]
fn every_answer_behind_the_envelope_carries_the_very_id_of_its_request() {
    let app = TestApp::start();
    let token = app.token("ada", "user");
    let mut connection = app.connect();
    for id in [json!(0), json!(-7), json!(9_007_199_254_740_991_i64), json!("a\u{e9}\n"), json!("")] {
        for rpc in [Rpc::weather(), Rpc::list(), Rpc::discover(), Rpc::call("nothing", json!({}))] {
            let reply = rpc.edit(|body| body["id"] = id.clone()).bearer(&token).on(&mut connection);
            assert_eq!(reply.json()["id"], id);
        }
    }
}
