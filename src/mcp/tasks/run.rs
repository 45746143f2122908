//! What a task does: its tool is run, asks, and is run anew with the answers, until it has a result.
//!
//! It runs on the thread of tasks, in nobody's request. Meanwhile the credential that made it is held against whatever
//! is revoked or taken away, as that of a stream is; that a token comes to its own end changes nothing, since its
//! client has another one by then.

use std::{
    cell::RefCell,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, json, value::RawValue};
use tokio::time::sleep;
use tracing::Instrument;

use crate::{
    actors::{
        limiter::InFlight,
        tasks::{Answered, Desk, Ending, Question},
    },
    auth::Proof,
    domain::{Outcome, Permission, Principal, Timestamp},
    error::{Coded, Kind},
    house::{House, LARGE},
    mcp::call,
    policy::{self, CallTool},
    protocol::{Dress, Id, Revision, Tree, code},
    store::TaskEnd,
    tools::{
        Answers, Asking, Call, Produced, Progress, ToolError, Trace,
        hygiene::{self, Redacted},
    },
};

/// How often the credential is held against what has changed.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often one task may ask.
const MOST_ROUNDS: usize = 8;
/// The answer's text before and behind a result, of the request that nobody has sent.
const AROUND: (&str, &str) = ("{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":", "}");

/// Everything that a call needs when its request is gone.
pub(super) struct Job {
    pub(super) house: Arc<House>,
    pub(super) tool: &'static str,
    pub(super) arguments: String,
    pub(super) capabilities: String,
    pub(super) answers: Answers,
    pub(super) trace: Option<Trace>,
    pub(super) rights: Rights,
    /// Its place among the running calls of the tool.
    pub(super) place: Option<InFlight>,
    /// Longest run, without what it waits for answers.
    pub(super) most: Duration,
    pub(super) max_result: usize,
}

/// Why it may run.
pub(super) struct Rights {
    pub(super) principal: Arc<Principal>,
    pub(super) needs: Permission,
    pub(super) proof: Proof,
    pub(super) epoch: u64,
}

/// What one run came to.
enum Step {
    Asks(Vec<Question>, Answers),
    Over(Ending),
}

impl Job {
    /// Runs it to its end.
    pub(super) async fn run(self, desk: Desk) -> Ending {
        let Self {
            house,
            tool,
            arguments,
            capabilities,
            mut answers,
            trace,
            rights,
            place,
            most,
            max_result,
        } = self;
        let _place = place;
        let caller = RefCell::new(Arc::clone(&rights.principal));
        let run = Run { house: &house, tool, caller: &caller, trace: trace.as_ref(), most, max_result };
        let steps = async {
            for _ in 0..=MOST_ROUNDS {
                match run.once(&desk, (&arguments, &capabilities), answers).await {
                    Step::Over(ending) => return ending,
                    Step::Asks(questions, kept) => {
                        let keys: Vec<String> = questions.iter().map(|one| one.key.to_owned()).collect();
                        let Some(said) = desk.ask(questions).await else { break };
                        answers = kept;
                        // It is an object: nothing else was let in.
                        let _added = answers.add(&object(said), &keys);
                    }
                }
            }
            failure(&ToolError::Unanswered)
        };
        tokio::select! {
            biased;
            ending = watch(&house, &caller, rights) => ending,
            ending = steps => ending,
        }
    }
}

/// Answers as the object that a client would have sent.
fn object(answered: Answered) -> String {
    let all = answered.into_iter().filter_map(|(key, text)| Some((key, RawValue::from_string(text).ok()?)));
    let all: std::collections::BTreeMap<&str, Box<RawValue>> = all.collect();
    serde_json::to_string(&all).unwrap_or_else(|_| "{}".to_owned())
}

/// Ends when the caller may not have the task go on.
async fn watch(house: &House, caller: &RefCell<Arc<Principal>>, mut rights: Rights) -> Ending {
    loop {
        sleep(LOOK_EVERY).await;
        if !Proof::can_be_told(house.against(), Instant::now()) {
            return Ending::cancelled("nobody can say any more whether its credential holds");
        }
        // Read before the credential is looked at, so that a change in between is seen the next time.
        let epoch = house.services.epoch.now();
        if !rights.proof.may_have_changed(house.against(), rights.epoch) {
            continue;
        }
        match rights.proof.renew(house.against(), Timestamp::now()).await {
            Ok(principal) if policy::decide::<CallTool>(&principal, rights.needs).is_ok() => {
                *caller.borrow_mut() = principal;
                rights.epoch = epoch;
            }
            Ok(_) => return Ending::cancelled("its caller may not call the tool any more"),
            // Nobody can say now whether it holds; that is borne for as long as the settings allow.
            Err(error) if error.code().kind() == Kind::Unavailable => {}
            Err(_) => {
                return Ending::cancelled("the credential that it was begun with does not hold any more");
            }
        }
    }
}

/// The same in every run of one task.
struct Run<'a> {
    house: &'a Arc<House>,
    tool: &'static str,
    caller: &'a RefCell<Arc<Principal>>,
    trace: Option<&'a Trace>,
    most: Duration,
    max_result: usize,
}

impl Run<'_> {
    /// Runs the tool once, with the answers so far.
    async fn once(&self, desk: &Desk, (arguments, capabilities): (&str, &str), answers: Answers) -> Step {
        let caller = Arc::clone(&self.caller.borrow());
        let (Some(entry), Ok(arguments)) = (self.house.registry.find(self.tool), Tree::of_text(arguments))
        else {
            return Step::Over(broken());
        };
        let Ok(permit) = policy::decide::<CallTool>(&caller, entry.needs()) else {
            return Step::Over(Ending::cancelled("its caller may not call the tool any more"));
        };
        let (progress, asking) = (Progress::default(), Asking::new(capabilities, answers));
        let call =
            Call::new(&permit).heard(Some(&progress)).answered(&asking).within_task().traced(self.trace);
        let span = call::span(self.tool, &call);
        let started = Instant::now();
        let running = entry.begin_within(self.most, &arguments, &call).instrument(span);
        let ended = noted(running, (&progress, desk)).await;
        if matches!(ended, Err(ToolError::Unanswered)) {
            let (questions, answers) = asking.into_parts();
            return Step::Asks(questions.into_iter().map(question).collect(), answers);
        }
        let ending = self.ending(ended).await;
        self.house.metrics.tool_call(self.tool, ending.outcome, started.elapsed());
        Step::Over(ending)
    }

    /// What a run that asks nothing comes to.
    async fn ending(&self, ended: Result<Produced, ToolError>) -> Ending {
        let produced = match ended {
            Ok(produced) => produced,
            Err(ToolError::CannotAsk(ask)) => return cannot_ask(ask),
            Err(ToolError::Output | ToolError::Deferred) => return broken(),
            Err(error) => return failure(&error),
        };
        let (house, tool, size) = (Arc::clone(self.house), self.tool, produced.size());
        let finish = move || {
            let entry = house.registry.find(tool).ok_or(ToolError::Output)?;
            let (produced, redacted) = entry.finish(produced)?;
            let dress = house.views.dress(Revision::July2026);
            Ok((
                result(dress, |dress, id| dress.tool_result(id, produced.output(), produced.content())),
                redacted,
            ))
        };
        let finished: Result<(String, Redacted), ToolError> = if size > LARGE {
            tokio::task::spawn_blocking(finish).await.unwrap_or(Err(ToolError::Output))
        } else {
            finish()
        };
        match finished {
            Ok((body, redacted)) => {
                if redacted.count() > 0 {
                    let count = redacted.count();
                    self.house.metrics.redactions(count);
                    tracing::warn!(
                        tool.name = self.tool,
                        count,
                        "what looks like a credential was not shown"
                    );
                }
                if body.len() > self.max_result {
                    let text = format!(
                        "the result is larger than the {} bytes that a task may keep",
                        self.max_result
                    );
                    return failure(&ToolError::Refused(text));
                }
                Ending { how: TaskEnd::Completed, outcome: Outcome::Ok, message: None, body }
            }
            Err(ToolError::Output) => broken(),
            Err(error) => failure(&error),
        }
    }
}

/// What `running` comes to; what it says meanwhile of how far it is stands on the task.
async fn noted<T>(running: impl Future<Output = T>, (progress, desk): (&Progress, &Desk)) -> T {
    let mut running = pin!(running);
    loop {
        tokio::select! {
            biased;
            ended = &mut running => return ended,
            () = progress.untold() => {
                let step = progress.take();
                step.and_then(|step| step.message).into_iter().for_each(|text| desk.note(text));
            }
        }
    }
}

fn question(asked: crate::tools::Question) -> Question {
    let (key, method, params) = (asked.key, asked.method, asked.params.to_string());
    Question { key, shown_as: String::new(), method, params }
}

/// The result object of the answer that `write` makes, as the request itself would have been answered.
fn result(dress: Dress<'_>, write: impl FnOnce(Dress<'_>, Id<'_>) -> Vec<u8>) -> String {
    let answer = Id::of_json("0").map(|id| write(dress, id)).and_then(|bytes| String::from_utf8(bytes).ok());
    let inside = answer.as_deref().and_then(|text| text.strip_prefix(AROUND.0)?.strip_suffix(AROUND.1));
    inside.unwrap_or("{}").to_owned()
}

/// A failure that the model is told of: a result like any other, as a call's own would be.
fn failure(error: &ToolError) -> Ending {
    let outcome = if matches!(error, ToolError::Timeout) { Outcome::Timeout } else { Outcome::Error };
    let (text, _) = hygiene::failure(&error.to_string());
    let dress = Dress { revision: Revision::July2026, stamp: "\"_meta\":{}" };
    let body = result(dress, |dress, id| dress.tool_failure(id, &text));
    Ending { how: TaskEnd::Completed, outcome, message: None, body }
}

/// The tool broke its own promise.
fn broken() -> Ending {
    Ending::failed(Outcome::Failed, (code::INTERNAL_ERROR, "internal error", "internal"))
}

/// The tool has to ask what the client cannot answer.
fn cannot_ask(ask: crate::tools::Ask) -> Ending {
    let message = ToolError::CannotAsk(ask).to_string();
    let required: Map<_, _> = [(ask.capability().to_owned(), json!({}))].into_iter().collect();
    let error = json!({
        "code": code::MISSING_CAPABILITY,
        "message": message,
        "data": { "reason": "missing_capability", "requiredCapabilities": required },
    });
    let (how, outcome) = (TaskEnd::Failed, Outcome::Error);
    Ending { how, outcome, message: Some(message), body: error.to_string() }
}
