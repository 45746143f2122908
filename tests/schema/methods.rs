//! Every method in every revision, asked well and badly, by somebody who may, somebody who may not and nobody.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    schemas,
    support::{
        events::{Events, exchange, listen},
        legacy::{batch, call, request},
        methods::{self, METHODS, NEEDY, OTHERS},
        schemas::REVISIONS,
    },
};

#[test]
fn each_method_is_answered_as_the_schema_of_its_revision_says() {
    schemas();
    let app = methods::server(|_| {});
    let mut seen = BTreeSet::new();
    for revision in REVISIONS {
        for method in METHODS.iter().map(|(method, _)| *method).chain(OTHERS) {
            for params in methods::good(method).iter().chain(&methods::bad(method)) {
                let rpc = methods::request(revision, method, params);
                for rpc in [
                    rpc.clone().bearer(&app.token("root", "admin")),
                    rpc.clone().bearer(&app.token("ada", "guest")),
                    rpc,
                ] {
                    // What comes is judged where it is read.
                    let (_, messages) = exchange(&app, &rpc);
                    assert!(!messages.is_empty(), "{revision} {method} {params}");
                    for message in &messages {
                        seen.insert((revision, method, kind(message)));
                    }
                }
            }
        }
    }
    for revision in REVISIONS {
        let of = |method: &'static str, kind: &str| seen.contains(&(revision, method, kind.to_owned()));
        for (method, home) in METHODS {
            let is_home = match home {
                methods::Home::All => true,
                methods::Home::Modern => revision == REVISIONS[3],
                methods::Home::Older => revision != REVISIONS[3],
            };
            let well = if method == "subscriptions/listen" {
                "notifications/subscriptions/acknowledged"
            } else {
                "result"
            };
            let does_well = is_home && !NEEDY.contains(&method);
            assert_eq!(of(method, well), does_well, "{revision} {method}: {well}");
            assert!(of(method, "error"), "{revision} {method}: error");
        }
        assert!(of("tools/call", "notifications/progress"), "{revision}");
        assert_eq!(of("tools/call", "input_required"), revision == REVISIONS[3], "{revision}");
    }
}

/// What a message is.
fn kind(message: &Value) -> String {
    match (&message["method"], &message["error"]) {
        (Value::String(method), _) => method.clone(),
        (_, Value::Object(_)) => "error".into(),
        _ if message["result"]["resultType"] == "input_required" => "input_required".into(),
        _ => "result".into(),
    }
}

#[test]
fn batches_changes_and_the_ends_of_streams_are_as_the_schema_says() {
    schemas();
    let mut app = methods::server(|_| {});
    let token = app.token("root", "admin");
    let old = REVISIONS[0];
    let batched = [
        request(old, "tools/list", json!({})),
        call(old, "get_weather", json!({ "city": "Oslo" })),
        request(old, "ping", json!({})),
        request(old, "nothing", json!({})),
    ];
    let (_, answers) = exchange(&app, &batch(&batched).bearer(&token));
    assert_eq!(answers.len(), 4);
    let wanted = json!({ "toolsListChanged": true, "promptsListChanged": true });
    let mut streams =
        [json!("s"), json!(7)].map(|id| Events::open(&app, &listen(id, &wanted).bearer(&token)));
    for events in &mut streams {
        events.told("notifications/subscriptions/acknowledged");
    }
    app.stop_begins();
    for events in &mut streams {
        assert_eq!(events.rest().last().map(kind).as_deref(), Some("result"));
    }
}

#[test]
fn the_table_of_methods_is_that_of_the_server() {
    let app = methods::server(|_| {});
    let mut counted = methods::counted(&app);
    assert!(counted.remove("other") && counted.remove("none"), "{counted:?}");
    assert_eq!(counted, METHODS.iter().map(|(method, _)| (*method).to_owned()).collect());
}
