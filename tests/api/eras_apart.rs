//! What clients of one era are told holds nothing of the other, whatever they ask.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{
    app::TestApp,
    events::exchange,
    http::Reply,
    legacy::{LEGACY, batch},
    methods::{self, Home, METHODS, OTHERS},
    rpc::VERSION,
};

/// Members of a result, of params or of an error's data that only clients of 2026-07-28 know.
const MODERN: [&str; 9] = [
    "resultType",
    "ttlMs",
    "cacheScope",
    "_meta",
    "inputRequests",
    "requestState",
    "supportedVersions",
    "requiredCapabilities",
    "supported",
];
/// Those that only clients before it know.
const OLDER: [&str; 4] = ["protocolVersion", "sessions", "sessionId", "task"];
/// Headers of answers that only they know.
const OLDER_HEADERS: [&str; 3] = ["mcp-session-id", "last-event-id", "mcp-protocol-version"];
/// What a later revision than the named one has brought.
const BROUGHT: [(&str, &str); 6] = [
    ("2025-06-18", "structuredContent"),
    ("2025-06-18", "outputSchema"),
    ("2025-06-18", "title"),
    ("2025-06-18", "resource_link"),
    ("2025-11-25", "icons"),
    ("2025-11-25", "execution"),
];

/// One thing to ask: a method, its params, whether somebody is known to ask.
#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    params: Value,
    role: Option<&'static str>,
}

/// Every method, with everything that the table of methods knows to ask of it, and params of other methods.
fn asked() -> impl Strategy<Value = Asked> {
    let names: Vec<_> = METHODS.iter().map(|(method, _)| *method).chain(OTHERS).collect();
    let params: Vec<Vec<Value>> = names
        .iter()
        .map(|method| methods::good(method).into_iter().chain(methods::bad(method)).collect())
        .collect();
    let all: Vec<Value> = params.iter().flatten().cloned().collect();
    let own = (0..names.len()).prop_flat_map(move |at| (Just(at), prop::sample::select(params[at].clone())));
    let foreign = (0..names.len(), prop::sample::select(all));
    let role = prop::sample::select(vec![None, Some("guest"), Some("user"), Some("admin"), Some("admin")]);
    (prop_oneof![3 => own, 1 => foreign], role).prop_map(move |((at, params), role)| Asked {
        method: names[at],
        params,
        role,
    })
}

/// The objects of a message that the protocol defines; what tools say and the schemas of tools are their own.
fn parts(message: &Value) -> Vec<&Value> {
    let result = &message["result"];
    let lists = ["tools", "resources", "resourceTemplates", "prompts", "contents", "content", "messages"];
    let elements = lists.iter().filter_map(|list| result[list].as_array()).flatten();
    [result, &message["params"], &message["error"]["data"]].into_iter().chain(elements).collect()
}

fn has(message: &Value, member: &str) -> bool {
    parts(message).iter().any(|part| part.get(member).is_some() || part["type"] == member)
}

/// Fails if an answer in the older `revision` holds anything that its client cannot know.
fn older(revision: &str, (reply, messages): &(Reply, Vec<Value>)) -> Result<(), TestCaseError> {
    for message in messages {
        for member in MODERN {
            prop_assert!(!has(message, member), "{revision} {member}: {message}");
        }
        let code = message["error"]["code"].as_i64().unwrap_or_default();
        prop_assert!(!(-32_099..=-32_020).contains(&code), "{revision}: {message}");
        for (since, member) in BROUGHT {
            prop_assert!(revision >= since || !has(message, member), "{revision} {member}: {message}");
        }
        prop_assert!(!message.to_string().contains("io.modelcontextprotocol/"), "{revision}: {message}");
        let method = message["method"].as_str().unwrap_or_default();
        prop_assert!(!method.starts_with("notifications/subscriptions/"), "{revision}: {message}");
    }
    // Only whether somebody may come in, and may come now, is said by the status.
    let code = messages.first().and_then(|message| message["error"]["code"].as_i64()).unwrap_or_default();
    let turned_away = [-31_401, -31_403, -31_429, -31_503].contains(&code);
    prop_assert!(reply.status == 200 || turned_away, "{revision} {}: {messages:?}", reply.status);
    Ok(())
}

/// Fails if a modern answer holds anything of the revisions before, or lacks what each must have.
fn modern((reply, messages): &(Reply, Vec<Value>)) -> Result<(), TestCaseError> {
    for message in messages {
        for member in OLDER {
            prop_assert!(!has(message, member), "{member}: {message}");
        }
        let code = message["error"]["code"].as_i64().unwrap_or_default();
        prop_assert!(![-32_002, -32_042, -32_001].contains(&code), "{message}");
        if let Some(result) = message.get("result") {
            prop_assert!(
                ["complete", "input_required"].map(Some).contains(&result["resultType"].as_str()),
                "{message}"
            );
            prop_assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"].is_object(), "{message}");
        }
        prop_assert!(
            message.get("method").is_none() || message.get("id").is_none(),
            "a server asks: {message}"
        );
    }
    for header in OLDER_HEADERS {
        prop_assert!(reply.header(header).is_none(), "{header}: {reply:?}");
    }
    Ok(())
}

fn ask(app: &TestApp, revision: &str, asked: &Asked, batched: bool) -> (Reply, Vec<Value>) {
    let rpc = methods::request(revision, asked.method, &asked.params);
    let rpc = if batched { batch(&[rpc.clone(), rpc]) } else { rpc };
    let rpc = asked.role.iter().fold(rpc, |rpc, role| rpc.bearer(&app.token("ada", role)));
    exchange(app, &rpc)
}

#[test]
fn no_member_and_no_code_of_one_era_is_ever_told_to_the_other() {
    let app = methods::server(|_| {});
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(160)
    });
    let cases = (prop::sample::select(LEGACY.to_vec()), any::<bool>(), asked());
    runner
        .run(&cases, |(revision, batched, asked)| {
            let revision = if batched { LEGACY[0] } else { revision };
            older(revision, &ask(&app, revision, &asked, batched))?;
            modern(&ask(&app, VERSION, &asked, false))
        })
        .unwrap();
}

#[test]
fn every_method_of_the_dispatch_table_keeps_its_era_with_all_that_it_can_be_asked() {
    let app = methods::server(|_| {});
    let mut walked = BTreeSet::new();
    for (method, home) in METHODS {
        walked.insert(method.to_owned());
        let (good, bad) = (methods::good(method), methods::bad(method));
        for (at, params) in good.iter().chain(&bad).enumerate() {
            let asked = Asked { method, params: params.clone(), role: Some("admin") };
            // Params that are no good may be refused before the method is looked for.
            let is_foreign = |answers: &[Value]| match at < good.len() {
                true => answers.iter().all(|one| one["error"]["code"] == -32_601),
                false => answers.iter().all(|one| one["error"].is_object()),
            };
            for revision in LEGACY {
                let answer = ask(&app, revision, &asked, false);
                older(revision, &answer).unwrap_or_else(|wrong| panic!("{wrong}"));
                assert!(home != Home::Modern || is_foreign(&answer.1), "{method}: {:?}", answer.1);
            }
            let answer = ask(&app, VERSION, &asked, false);
            modern(&answer).unwrap_or_else(|wrong| panic!("{wrong}"));
            assert!(home != Home::Older || is_foreign(&answer.1), "{method}: {:?}", answer.1);
        }
    }
    let mut counted = methods::counted(&app);
    counted.retain(|method| method != "other" && method != "none");
    assert_eq!(walked, counted, "the table of the tests is that of the server");
}

#[test]
fn the_search_for_the_other_era_finds_what_it_looks_for() {
    let reply = || Reply { status: 200, headers: Vec::new(), body: Vec::new() };
    let found =
        |result: Value| older("2025-06-18", &(reply(), vec![json!({ "id": 1, "result": result })])).is_err();
    for member in MODERN {
        assert!(found(json!({ member: 1 })), "{member}");
        assert!(found(json!({ "tools": [{ member: 1 }] })), "{member}");
    }
    assert!(found(json!({ "tools": [{ "icons": [] }] })) && !found(json!({ "tools": [{ "title": "t" }] })));
    let error = |code: i64| vec![json!({ "id": 1, "error": { "code": code, "message": "m" } })];
    assert!(older("2025-06-18", &(reply(), error(-32_020))).is_err());
    assert!(older("2025-06-18", &(Reply { status: 404, ..reply() }, error(-32_601))).is_err());
    let stamped = |more: Value| {
        let mut result =
            json!({ "resultType": "complete", "_meta": { "io.modelcontextprotocol/serverInfo": {} } });
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        vec![json!({ "id": 1, "result": result })]
    };
    assert!(modern(&(reply(), stamped(json!({})))).is_ok());
    for member in OLDER {
        assert!(modern(&(reply(), stamped(json!({ member: 1 })))).is_err(), "{member}");
    }
    assert!(modern(&(reply(), error(-32_002))).is_err());
    for header in OLDER_HEADERS {
        let headers = vec![(header.to_owned(), "x".to_owned())];
        assert!(modern(&(Reply { headers, ..reply() }, stamped(json!({})))).is_err(), "{header}");
    }
}
