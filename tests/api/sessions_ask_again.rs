//! What it costs, and what it takes, that a tool runs anew with an answer.

use std::{sync::Arc, time::Duration};

use portcullis::{
    settings::ToolLimitSettings,
    tools::{Call, Content, Hints, Said, Shown, Spec, Tool, ToolError},
};
use serde_json::json;

use super::{
    asking::accept,
    sessions_ask::{asked, asks, start, start_with, text},
    support::{
        SOON,
        app::{TestApp, without_limits},
        events::Events,
        session::Session,
        tools::Watched,
        until,
    },
};

const NEWEST: &str = "2025-11-25";

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Yes {
    #[expect(dead_code, reason = "that there is an answer is enough")]
    yes: bool,
}

/// Asks, and runs until it is let go once it is answered.
struct AsksThenWaits(Arc<Watched>);

impl Tool for AsksThenWaits {
    const SPEC: Spec = Spec {
        name: "asks_then_waits",
        title: "Asks",
        about: "For tests.",
        needs: "weather:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(60),
    };
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        let Said::Accepted(Yes { .. }) = call.elicit::<Yes>("yes", "Really?")? else {
            return Ok(Shown(vec![Content::Text("no".into())]));
        };
        self.0.begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.0.go.notified().await;
        Ok(Shown(vec![Content::Text("done".into())]))
    }
}

/// The refusal that the stream ends with.
#[track_caller]
fn refused(mut events: Events) {
    let last = events.rest().pop().expect("no answer");
    assert_eq!(
        (&last["error"]["code"], &last["error"]["data"]["reason"]),
        (&json!(-31429), &json!("rate_limited"))
    );
}

#[test]
fn who_is_asked_holds_nobody_elses_place_and_the_run_behind_the_answer_takes_one() {
    let watched = Arc::new(Watched::default());
    let one = ToolLimitSettings { max_in_flight: Some(1), ..ToolLimitSettings::default() };
    let app = TestApp::with(
        |settings| {
            without_limits(settings);
            settings.sessions.enabled = true;
            settings.limits.tools.insert("asks_then_waits".into(), one);
        },
        vec![Box::new(AsksThenWaits(Arc::clone(&watched)))],
    );
    let [ada, bob] = ["ada", "bob"].map(|name| Session::begin(&app, NEWEST, &app.token(name, "user")));
    let call = |session: &Session| Events::open(&app, &session.call(json!(7), "asks_then_waits", json!({})));
    let say = |session: &Session, id| session.answer(id, accept(json!({ "yes": true }))).send(&app);

    let (mut thinks, mut other) = (call(&ada), call(&bob));
    let (first, _) = asked(&mut thinks, "elicitation/create");
    let (second, _) = asked(&mut other, "elicitation/create");
    assert_eq!(say(&ada, &first).status, 202);
    until("it runs on", SOON, || watched.begun() == 1);
    bob.call(json!(8), "asks_then_waits", json!({})).send(&app).refused(429, -31429, "rate_limited");
    assert_eq!(say(&bob, &second).status, 202);
    let head = other.head.clone();
    refused(other);
    let record = app.record_of(&head);
    assert_eq!((&*record.event, &*record.outcome), ("tool.called", "limited"), "its first run is recorded");
    watched.go.notify_one();
    assert_eq!(text(&thinks.result()), "done");
    let mut again = call(&bob);
    asked(&mut again, "elicitation/create");
}

#[test]
fn each_run_behind_an_answer_is_paid_for_like_the_first() {
    let app = start_with(|settings| {
        let two = ToolLimitSettings {
            capacity: Some(2),
            refill_per_second: Some(0.001),
            ..ToolLimitSettings::default()
        };
        settings.limits.tools.insert("asks_in_session".into(), two);
    });
    let session = Session::begin(&app, NEWEST, &app.token("ada", "user"));
    let mut events = asks(&app, &session, "steps");
    for name in ["Ada", "Lovelace"] {
        let (id, _) = asked(&mut events, "elicitation/create");
        assert_eq!(session.answer(&id, accept(json!({ "name": name }))).send(&app).status, 202);
    }
    refused(events);
}

#[test]
fn what_is_asked_next_is_asked_for_who_calls_by_then() {
    let app = start();
    app.account("ada", &["guest"], true);
    until("it is known", SOON, || app.users.find("ada").is_some());
    let (both, _) = app.minted("ada", &["guest", "user"], &[], "tests");
    let session = Session::begin(&app, NEWEST, &both);
    let mut events = asks(&app, &session, "steps");
    let (first, _) = asked(&mut events, "elicitation/create");
    app.account("ada", &["guest", "user"], true);
    let said = |name: &str| accept(json!({ "name": name }));
    until("it may do more", SOON, || {
        session.call(json!(1), "list_files", json!({})).send(&app).json().get("result").is_some()
    });
    assert_eq!(session.answer(&first, said("Ada")).send(&app).status, 202);
    let (second, _) = asked(&mut events, "elicitation/create");
    let lesser = Session { token: app.token("ada", "guest"), ..session.clone() };
    lesser.answer(&second, said("Mallory")).send(&app).refused(400, -32600, "invalid_request");
    assert_eq!(session.answer(&second, said("Lovelace")).send(&app).status, 202);
    assert_eq!(text(&events.result()), "Ada Lovelace");
}
