//! Calls that tell how far they are: events on raw sockets, and what becomes of them when somebody hangs up.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use portcullis::{
    actors::audit::Filter,
    tools::{AnyTool, Call, Content, Hints, Shown, Spec, Tool, ToolError},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::support::{
    SOON,
    app::TestApp,
    events::Events,
    legacy,
    rpc::Rpc,
    tools::{Nothing, Watched},
    until,
};

/// What a test has a tool do.
enum Step {
    /// Say how far it is.
    Tell(f64, Option<&'static str>),
    /// Ends it, showing this.
    Done(&'static str),
    /// Ends it in a panic.
    Panic,
}

/// Does what it is told.
struct Puppet {
    steps: Mutex<mpsc::UnboundedReceiver<Step>>,
    watched: Arc<Watched>,
}

struct Gone<'a>(&'a Watched);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Tool for Puppet {
    const SPEC: Spec = Spec {
        name: "puppet",
        title: "Puppet",
        about: "For tests.",
        needs: "weather:read",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(20),
    };
    type Args = Nothing;
    type Output = Shown;

    async fn call(&self, _: Nothing, call: &Call<'_>) -> Result<Shown, ToolError> {
        self.watched.begun.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let _gone = Gone(&self.watched);
        loop {
            let step = std::future::poll_fn(|context| self.steps.lock().unwrap().poll_recv(context)).await;
            match step {
                Some(Step::Tell(done, message)) => call.progress(done, Some(100.0), message),
                Some(Step::Done(text)) => return Ok(Shown(vec![Content::Text(text.into())])),
                Some(Step::Panic) => panic!("a tool panics on purpose"),
                None => std::future::pending().await,
            }
        }
    }
}

/// A server with the puppet, and its strings.
fn puppet() -> (TestApp, mpsc::UnboundedSender<Step>, Arc<Watched>) {
    let (strings, steps) = mpsc::unbounded_channel();
    let watched = Arc::new(Watched::default());
    let tool: Box<dyn AnyTool> = Box::new(Puppet { steps: Mutex::new(steps), watched: Arc::clone(&watched) });
    (TestApp::with(|_| {}, vec![tool]), strings, watched)
}

fn call(app: &TestApp, token: Value) -> Rpc {
    let rpc = Rpc::call("puppet", json!({})).bearer(&app.token("ada", "user"));
    rpc.meta(|meta| meta["progressToken"] = token)
}

fn tell(strings: &mpsc::UnboundedSender<Step>, done: f64) {
    assert!(strings.send(Step::Tell(done, None)).is_ok());
}

fn done(strings: &mpsc::UnboundedSender<Step>) {
    assert!(strings.send(Step::Done("done")).is_ok());
}

#[test]
fn a_call_that_tells_is_answered_as_events_the_answer_last() {
    let (app, strings, _) = puppet();
    tell(&strings, 1.0);
    let mut events = Events::open(&app, &call(&app, json!("p\n1")));
    assert_eq!(
        events.told("notifications/progress"),
        json!({ "progressToken": "p\n1", "progress": 1, "total": 100 })
    );
    strings.send(Step::Tell(2.0, Some("half\nway"))).unwrap_or_default();
    let second = events.told("notifications/progress");
    assert_eq!((&second["progress"], &second["message"]), (&json!(2), &json!("half\\u{a}way")));
    assert!(app.metric("portcullis_streams_open") >= 1.0);
    done(&strings);
    let result = events.result();
    assert_eq!((&result["resultType"], &result["content"][0]["text"]), (&json!("complete"), &json!("done")));
    let record = app.record_of(&events.head);
    assert_eq!(
        (&*record.event, &*record.outcome, record.tool.as_deref()),
        ("tool.called", "ok", Some("puppet"))
    );
    assert_eq!(app.metric(r#"portcullis_requests_total{method="tools/call",outcome="ok"}"#), 1.0);
    until("the stream is counted no more", SOON, || app.metric("portcullis_streams_open") == 0.0);
    // The connection goes on.
    let mut connection = events.connection();
    Rpc::weather().bearer(&app.token("ada", "user")).on(&mut connection).result();
}

#[test]
fn without_a_token_without_events_or_without_a_word_it_is_json() {
    let (app, strings, _) = puppet();
    let with = || call(&app, json!(7));
    for rpc in [
        with().meta(|meta| drop(meta.as_object_mut().unwrap().remove("progressToken"))),
        with().replace("accept", "application/json"),
        with().without("accept"),
    ] {
        tell(&strings, 1.0);
        done(&strings);
        let reply = rpc.send(&app);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.result()["content"][0]["text"], "done");
    }
    done(&strings);
    assert_eq!(with().send(&app).result()["content"][0]["text"], "done", "nothing was told");
    for bad in [json!({}), json!(1.5), json!(null), json!("x".repeat(129))] {
        call(&app, bad).send(&app).refused(200, -32602, "invalid_params");
    }
    assert_eq!(app.metric("portcullis_streams_open"), 0.0);
}

#[test]
fn progress_only_rises_comes_at_most_ten_times_a_second_and_never_after_the_answer() {
    let (app, strings, _) = puppet();
    tell(&strings, 0.0);
    let mut events = Events::open(&app, &call(&app, json!(7)));
    let began = Instant::now();
    let flood = std::thread::spawn(move || {
        let mut n = 0.0;
        while began.elapsed() < Duration::from_millis(1_500) {
            n += 1.0;
            // What falls back is not told.
            tell(&strings, n - 10.0);
            tell(&strings, n);
            std::thread::park_timeout(Duration::from_millis(1));
        }
        tell(&strings, n + 1.0);
        done(&strings);
        n + 1.0
    });
    let messages = events.rest();
    let last = flood.join().unwrap();
    let (answer, told) = messages.split_last().unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "done");
    let told: Vec<f64> = told.iter().map(|message| message["params"]["progress"].as_f64().unwrap()).collect();
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
    assert_eq!(told.last(), Some(&last), "where it had come to is told before the answer");
    let seconds = began.elapsed().as_secs_f64().ceil();
    assert!(
        told.len() as f64 <= 10.0 * (seconds + 1.0) + 1.0 && told.len() >= 10,
        "{} in {seconds} s",
        told.len()
    );
}

#[test]
fn in_the_modern_era_whoever_hangs_up_cancels_before_and_after_the_first_event() {
    let (app, strings, watched) = puppet();
    for (has_begun, leaves) in [(false, "resets"), (false, "ends"), (true, "resets"), (true, "ends")] {
        let before = watched.dropped();
        let mut connection = app.connect();
        connection.send(call(&app, json!(1)).bytes());
        until("the tool runs", SOON, || watched.begun() == before + 1);
        if has_begun {
            tell(&strings, 1.0);
            let mut events = Events::on(connection);
            events.told("notifications/progress");
            connection = events.connection();
        }
        match leaves {
            "resets" => connection.reset(),
            _ => drop(connection),
        }
        let took = until("the tool is stopped", SOON, || watched.dropped() == before + 1);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    let cancelled = Filter { outcome: Some("cancelled".into()), ..Filter::default() };
    until("the records", SOON, || app.records(cancelled.clone()).len() == 4);
    assert!(app.records(cancelled).iter().all(|record| record.tool.as_deref() == Some("puppet")));
    until("the counts", SOON, || {
        app.metric(r#"portcullis_requests_total{method="tools/call",outcome="cancelled"}"#) == 4.0
    });
    assert_eq!(app.metric("portcullis_streams_open"), 0.0);
}

#[test]
fn in_older_eras_a_call_whose_client_hangs_up_is_done_to_its_end() {
    let (app, strings, watched) = puppet();
    for revision in legacy::LEGACY {
        let before = watched.dropped();
        let rpc = legacy::call(revision, "puppet", json!({})).bearer(&app.token("ada", "user"));
        let rpc = rpc.edit(|body| body["params"]["_meta"] = json!({ "progressToken": "t" }));
        tell(&strings, 1.0);
        let mut events = Events::open(&app, &rpc);
        assert_eq!(events.told("notifications/progress")["progressToken"], "t");
        drop(events);
        // Two requests later the server has seen it.
        assert_eq!(app.get("/health").status, 200);
        assert_eq!(watched.dropped(), before);
        done(&strings);
        until("it is done", SOON, || watched.dropped() == before + 1);
    }
    let called = Filter { event: Some("tool.called".into()), ..Filter::default() };
    until("the records", SOON, || app.records(called.clone()).len() == 3);
    assert!(app.records(called).iter().all(|record| record.outcome == "ok"));
}

#[test]
fn a_panic_under_way_is_an_event_that_says_no_more_than_any_failure_of_ours() {
    let (app, strings, _) = puppet();
    tell(&strings, 1.0);
    let mut events = Events::open(&app, &call(&app, json!(1)));
    events.told("notifications/progress");
    assert!(strings.send(Step::Panic).is_ok());
    let rest = events.rest();
    assert_eq!((rest.len(), &rest[0]["error"]["code"]), (1, &json!(-32603)), "{rest:?}");
    assert_eq!(rest[0]["error"]["data"]["requestId"].as_str(), events.head.header("x-request-id"));
    assert_eq!(app.record_of(&events.head).outcome, "failed");
}

/// Which call it is.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Numbered {
    number: u32,
}

/// Tells its number, and some more.
struct Counts;

impl Tool for Counts {
    const SPEC: Spec = Spec { name: "counts", ..Puppet::SPEC };
    type Args = Numbered;
    type Output = Shown;

    async fn call(&self, args: Numbered, call: &Call<'_>) -> Result<Shown, ToolError> {
        for step in 0..5 {
            call.progress(f64::from(args.number * 10 + step), None, None);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Shown(vec![Content::Text(args.number.to_string())]))
    }
}

#[test]
fn each_call_is_told_of_itself_alone() {
    let app = TestApp::with(|_| {}, vec![Box::new(Counts)]);
    let token = app.token("ada", "user");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (app, token) = (&app, &token);
            scope.spawn(move || {
                let rpc = Rpc::call("counts", json!({ "number": number })).bearer(token);
                let mut events = Events::open(app, &rpc.meta(|meta| meta["progressToken"] = json!(number)));
                let mut told = events.rest();
                assert_eq!(told.pop().unwrap()["result"]["content"][0]["text"], number.to_string());
                assert!(!told.is_empty());
                for message in told {
                    assert_eq!(message["params"]["progressToken"], number);
                    assert_eq!(message["params"]["progress"].as_u64().unwrap() / 10, number);
                }
            });
        }
    });
}
