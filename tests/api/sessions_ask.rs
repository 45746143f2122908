//! What tools ask in sessions of older revisions, and what an answer is worth.

use std::{fs, time::Duration};

use portcullis::{
    settings::Settings,
    tools::{AnyTool, Ask, Call, Content, Hints, LogLevel, Said, Shown, Spec, Tool, ToolError},
};
use serde_json::{Value, json};

use super::{
    asking::accept,
    support::{
        SOON,
        app::{TestApp, without_limits},
        events::Events,
        legacy,
        rpc::Rpc,
        session::{Session, everything, handshake},
        until,
    },
};

const NEWEST: &str = "2025-11-25";

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct What {
    ask: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Name {
    name: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Many {
    #[schemars(extend("items" = { "type": "string", "enum": ["a", "b"] }))]
    many: Vec<String>,
}

/// Asks what it is told to ask.
struct Asks;

impl Tool for Asks {
    const SPEC: Spec = Spec {
        name: "asks_in_session",
        title: "Asks",
        about: "For tests.",
        needs: "weather:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(5),
    };
    type Args = What;
    type Output = Shown;

    async fn call(&self, what: What, call: &Call<'_>) -> Result<Shown, ToolError> {
        let text = match &*what.ask {
            "name" => name(call, "name")?,
            "steps" => format!("{} {}", name(call, "first")?, name(call, "second")?),
            "all" => {
                let (text, roots) = (call.sample("text", "Say hello.", 9), call.roots("roots"));
                format!("{} {}", text?, roots?.len())
            }
            "many" => match call.elicit::<Many>("many", "Which?")? {
                Said::Accepted(Many { many }) => many.join(" "),
                _ => "none".into(),
            },
            "logs" => {
                for level in LogLevel::ALL {
                    call.log(level, &format!("at {}", level.name()));
                }
                "logged".into()
            }
            _ => [Ask::User, Ask::Model, Ask::Roots].map(|ask| call.can_ask(ask).to_string()).join(" "),
        };
        Ok(Shown(vec![Content::Text(text)]))
    }
}

fn name(call: &Call<'_>, key: &'static str) -> Result<String, ToolError> {
    match call.elicit::<Name>(key, "What is your name?")? {
        Said::Accepted(Name { name }) => Ok(name),
        Said::Declined => Ok("declined".into()),
        Said::Cancelled => Ok("cancelled".into()),
    }
}

pub(super) fn tools() -> Vec<Box<dyn AnyTool>> {
    vec![Box::new(Asks)]
}

pub(super) fn start_with(change: impl FnOnce(&mut Settings)) -> TestApp {
    let change = |settings: &mut Settings| {
        without_limits(settings);
        settings.sessions.enabled = true;
        change(settings);
    };
    TestApp::with(change, tools())
}

pub(super) fn start() -> TestApp {
    start_with(|_| {})
}

/// A call that asks `what`, known as 7.
pub(super) fn asks(app: &TestApp, session: &Session, what: &str) -> Events {
    Events::open(app, &session.call(json!(7), "asks_in_session", json!({ "ask": what })))
}

/// The question that comes next; gives its id and params.
#[track_caller]
pub(super) fn asked(events: &mut Events, method: &str) -> (Value, Value) {
    let message = events.next().expect("the stream has ended");
    assert_eq!((&message["method"], &message["jsonrpc"]), (&json!(method), &json!("2.0")), "{message}");
    assert!(message["id"].as_str().unwrap().len() >= 32, "{message}");
    (message["id"].clone(), message["params"].clone())
}

#[track_caller]
pub(super) fn text(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned()
}

#[test]
fn a_tool_asks_in_the_middle_of_its_call_and_goes_on_with_the_answer() {
    let app = start();
    let token = app.token("ada", "user");
    for revision in ["2025-06-18", NEWEST] {
        let session = Session::begin(&app, revision, &token);
        let mut events = asks(&app, &session, "steps");
        for name in ["Ada", "Lovelace"] {
            let (id, params) = asked(&mut events, "elicitation/create");
            assert_eq!(params["message"], "What is your name?");
            assert_eq!(params["requestedSchema"]["properties"]["name"], json!({ "type": "string" }));
            let mode = (revision == NEWEST).then(|| json!("form"));
            assert_eq!(params.get("mode"), mode.as_ref(), "older ones have no modes");
            let reply = session.answer(&id, accept(json!({ "name": name }))).send(&app);
            assert_eq!((reply.status, reply.body.len()), (202, 0));
            assert_eq!(app.record_of(&reply).detail.unwrap()["answer"], "taken");
        }
        let head = events.head.clone();
        let result = events.result();
        assert_eq!(text(&result), "Ada Lovelace");
        assert!(result.get("resultType").is_none() && result.get("_meta").is_none(), "{result}");
        assert_eq!(events.is_primed, revision == NEWEST);
        let record = app.record_of(&head);
        assert_eq!((&*record.event, &record.detail.unwrap()["round"]), ("tool.called", &json!(2)));
    }
}

#[test]
fn models_and_roots_are_asked_at_once() {
    let app = start();
    for revision in legacy::LEGACY {
        let session = Session::begin(&app, revision, &app.token("ada", "user"));
        let mut events = asks(&app, &session, "all");
        let (model, params) = asked(&mut events, "sampling/createMessage");
        assert_eq!(
            (&params["maxTokens"], &params["messages"][0]["content"]["text"]),
            (&json!(9), &json!("Say hello."))
        );
        let (roots, _) = asked(&mut events, "roots/list");
        assert_ne!(model, roots);
        session.answer(&roots, json!({ "roots": [{ "uri": "file:///a" }] })).send(&app);
        let said =
            json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "Hello!" } });
        session.answer(&model, said).send(&app);
        assert_eq!(text(&events.result()), "Hello! 1");
    }
}

#[test]
fn only_what_a_client_has_declared_is_asked_and_only_where_it_can_be() {
    let app = start();
    let token = app.token("ada", "user");
    let can = |session: &Session| {
        let call = session.call(json!(1), "asks_in_session", json!({ "ask": "?" }));
        text(&call.send(&app).result())
    };
    let with = |revision, capabilities: Value| {
        let reply = handshake(revision, &token, capabilities).send(&app);
        let id = reply.header("mcp-session-id").unwrap().to_owned();
        Session { id, token: token.clone(), revision }
    };
    assert_eq!(can(&with(NEWEST, everything())), "true true true");
    assert_eq!(can(&with("2025-03-26", everything())), "false true true", "it has no elicitation");
    assert_eq!(can(&with(NEWEST, json!({}))), "false false false");
    assert_eq!(
        can(&with(NEWEST, json!({ "elicitation": { "url": {} }, "roots": { "listChanged": true } }))),
        "false false true"
    );
    assert_eq!(
        can(&with(NEWEST, json!({ "elicitation": 7, "sampling": null, "roots": [] }))),
        "false false false"
    );
    let session = with(NEWEST, everything());
    let deaf = session.call(json!(1), "asks_in_session", json!({ "ask": "?" }));
    let deaf = deaf.replace("accept", "application/json").send(&app);
    assert_eq!(text(&deaf.result()), "false false false", "it reads no events");
    let bare = legacy::call(NEWEST, "asks_in_session", json!({ "ask": "name" })).bearer(&token).send(&app);
    assert_eq!(bare.result()["isError"], true, "it has no session");
    let old = with("2025-06-18", everything());
    let events = Events::open(&app, &old.call(json!(1), "asks_in_session", json!({ "ask": "name" })));
    drop(events);
    let many = old.call(json!(2), "asks_in_session", json!({ "ask": "many" })).send(&app);
    assert_eq!(many.result()["isError"], true, "it has no word for several choices");
}

#[test]
fn what_a_person_says_is_held_against_the_form() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    for (answer, comes_to) in [
        (json!({ "action": "decline" }), "declined"),
        (json!({ "action": "cancel" }), "cancelled"),
        (accept(json!({ "name": "Ada", "more": 1 })), "Ada"),
    ] {
        let mut events = asks(&app, &session, "name");
        let (id, _) = asked(&mut events, "elicitation/create");
        session.answer(&id, answer).send(&app);
        assert_eq!(text(&events.result()), comes_to);
    }
    let mut events = asks(&app, &session, "name");
    for _ in 0..8 {
        let (id, _) = asked(&mut events, "elicitation/create");
        session.answer(&id, accept(json!({ "name": 7 }))).send(&app);
    }
    assert_eq!(events.result()["isError"], true, "eight times is enough");
    let mut events = asks(&app, &session, "name");
    let (id, _) = asked(&mut events, "elicitation/create");
    let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -1, "message": "nobody is here" } });
    assert_eq!(session.answer(&id, json!({})).raw(error.to_string()).send(&app).status, 202);
    events.told("notifications/cancelled");
    assert_eq!(events.result()["isError"], true);
}

#[test]
fn nobody_is_waited_for_for_ever() {
    let app = start_with(|settings| settings.sessions.answer_within = Duration::from_millis(100));
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut events = asks(&app, &session, "name");
    let (id, _) = asked(&mut events, "elicitation/create");
    assert_eq!(events.told("notifications/cancelled")["requestId"], id);
    assert_eq!(events.result()["isError"], true);
    let late = session.answer(&id, accept(json!({ "name": "Ada" }))).send(&app);
    late.refused(400, -32600, "invalid_request");
    assert_eq!(app.record_of(&late).detail.unwrap()["answer"], "unasked");
}

#[test]
fn whoever_ends_the_session_ends_the_waiting() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut events = asks(&app, &session, "name");
    asked(&mut events, "elicitation/create");
    let head = events.head.clone();
    session.end(&app);
    assert_eq!(events.rest(), Vec::<Value>::new());
    assert_eq!(&*app.record_of(&head).outcome, "error");
}

#[test]
fn a_person_waits_longer_than_a_request_may_take() {
    let app = start_with(|settings| settings.server.request_timeout = Duration::from_millis(300));
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut events = asks(&app, &session, "name");
    let (id, _) = asked(&mut events, "elicitation/create");
    super::support::pause(Duration::from_millis(600));
    session.answer(&id, accept(json!({ "name": "Ada" }))).send(&app);
    assert_eq!(text(&events.result()), "Ada");
}

#[test]
fn a_role_that_is_lost_while_it_is_waited_ends_the_call() {
    let app = start();
    app.account("root", &["admin"], true);
    until("it is known", SOON, || app.users.find("root").is_some());
    fs::write(app.dir().join("files/a.txt"), "old").unwrap();
    let session = Session::begin(&app, NEWEST, &app.token("root", "admin"));
    let mut events = Events::open(&app, &session.call(json!(1), "delete_file", json!({ "path": "a.txt" })));
    let (id, _) = asked(&mut events, "elicitation/create");
    app.account("root", &["user"], true);
    let said = events.rest();
    assert!(
        said.iter().all(|message| message.get("result").is_none_or(|result| result["isError"] == true)),
        "{said:?}"
    );
    session.answer(&id, accept(json!({ "confirmed": true }))).send(&app);
    assert!(app.dir().join("files/a.txt").exists());
}

#[test]
fn a_file_is_deleted_or_replaced_only_after_a_yes_in_the_session() {
    let app = start();
    let file = app.dir().join("files/a.txt");
    fs::write(&file, "old").unwrap();
    let session = Session::begin(&app, NEWEST, &app.token("root", "admin"));
    let call = |tool: &str, arguments: Value, confirmed: bool| {
        let mut events = Events::open(&app, &session.call(json!(1), tool, arguments));
        let (id, params) = asked(&mut events, "elicitation/create");
        assert!(params["message"].as_str().unwrap().contains("\"a.txt\""), "{params}");
        session.answer(&id, accept(json!({ "confirmed": confirmed }))).send(&app);
        events.result()
    };
    let replace = json!({ "path": "a.txt", "content": "new" });
    assert_eq!(call("write_file", replace.clone(), false)["isError"], true);
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    call("write_file", replace, true);
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(call("delete_file", json!({ "path": "a.txt" }), false)["isError"], true);
    assert!(file.exists());
    call("delete_file", json!({ "path": "a.txt" }), true);
    assert!(!file.exists());
}

#[test]
fn in_the_modern_era_a_log_is_told_to_whoever_asks_for_it_in_the_request() {
    let app = start();
    let call = || Rpc::call("asks_in_session", json!({ "ask": "logs" })).bearer(&app.token("ada", "user"));
    let with = |level: &str| call().meta(|meta| meta["io.modelcontextprotocol/logLevel"] = json!(level));
    let mut events = Events::open(&app, &with("alert"));
    for level in ["alert", "emergency"] {
        let params = events.told("notifications/message");
        assert_eq!(params, json!({ "level": level, "data": format!("at {level}") }));
    }
    let result = events.result();
    assert_eq!((text(&result), &result["resultType"]), ("logged".to_owned(), &json!("complete")));
    assert_eq!(events.last, None, "its events have no names");
    for silent in [call(), with("alert").replace("accept", "application/json")] {
        let reply = silent.send(&app);
        assert_eq!(
            (reply.header("content-type"), text(&reply.result())),
            (Some("application/json"), "logged".into())
        );
    }
    with("loud").send(&app).refused(200, -32602, "invalid_params");
}

#[test]
fn a_log_is_told_from_the_level_on_that_was_set_and_only_in_a_session() {
    let app = start();
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let levels = |events: &mut Events| {
        let mut told = events.rest();
        assert_eq!(text(&told.pop().unwrap()["result"]), "logged");
        told.iter().map(|one| one["params"]["level"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(levels(&mut asks(&app, &session, "logs")).len(), 7, "from info on, unless it was set");
    for (at, level) in LogLevel::ALL.into_iter().enumerate() {
        let set = session.request("logging/setLevel", json!({ "level": level.name() })).send(&app);
        assert_eq!(set.result(), json!({}));
        let told = levels(&mut asks(&app, &session, "logs"));
        assert_eq!(told, LogLevel::ALL[at..].iter().map(|level| level.name()).collect::<Vec<_>>());
    }
    for wrong in [json!("loud"), json!(""), json!(1), Value::Null, json!("info\"")] {
        let reply = session.request("logging/setLevel", json!({ "level": wrong })).send(&app);
        reply.refused(200, -32602, "invalid_params");
    }
    let bare = legacy::call(NEWEST, "asks_in_session", json!({ "ask": "logs" })).bearer(&session.token);
    assert_eq!(text(&bare.send(&app).result()), "logged");
}
