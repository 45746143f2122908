//! Calls that go on as tasks (extension `io.modelcontextprotocol/tasks`): their beginning, and the three methods by
//! which a client asks for one, answers it and gives it up.
//!
//! A task is its owner's alone, and only for as long as the owner may call its tool: that is decided anew each time
//! by the one decision there is. What somebody else asks for does not exist. A client that does not say, in that very
//! request, that it knows tasks sees none.

mod run;
mod shown;

use std::{sync::Arc, time::Duration};

use serde_json::json;

use self::run::{Job, Rights};
use super::{
    answer::Answer,
    call,
    exchange::{Asked, Exchange},
    large,
    refusal::Refusal,
};
use crate::{
    actors::tasks::{NewTask, View, recorded_as},
    auth::Proof,
    error::Code,
    house::{House, LARGE, TaskRules, WhenDenied},
    policy::{self, CallTool},
    protocol::{Kind, Raw, Revision, Tree},
    tools::{Answers, Entry, InTask, TASKS_EXTENSION, declares_tasks},
};

/// Most bytes of answers in one update: they are kept while the tool runs.
const MOST_ANSWERS: usize = 64 * 1024;
/// Wait that is told where another server runs the task: the next try may come to that one, or find that it ended.
const ELSEWHERE_WAIT: Duration = Duration::from_secs(5);

/// Whether `entry` may answer with a task: then [`begin`] follows where its client knows tasks.
pub(super) fn are_offered(exchange: &Exchange<'_>, entry: &Entry, revision: Revision) -> bool {
    entry.in_task() != InTask::Never && revision.is_modern() && exchange.house().tasks.is_some()
}

/// A tool that cannot do without a task is not run for a client that knows none.
///
/// # Errors
/// What the client has to declare. Where this server has no tasks, nobody has to know them.
pub(super) fn refuse_unless_known(
    exchange: &Exchange<'_>,
    entry: &Entry,
    asked: &Asked<'_>,
) -> Result<(), Refusal> {
    let is_bound = matches!(entry.in_task(), InTask::Must(_)) && exchange.house().tasks.is_some();
    if !is_bound || (asked.revision.is_modern() && declares_tasks(asked.params.meta.capabilities())) {
        return Ok(());
    }
    Err(undeclared())
}

/// What is told to a client that does not know tasks, where it would have to.
pub(super) fn undeclared() -> Refusal {
    let required = json!({ "extensions": { TASKS_EXTENSION: {} } });
    Refusal::new(Code::MissingCapability, "this needs a client that knows tasks")
        .with("requiredCapabilities", required)
}

/// Begins the task of a call whose tool has said that it goes on as one; the answer leaves once it is on disk.
///
/// # Errors
/// [`Refusal`]: there is no task, and nothing runs.
pub(super) async fn begin(
    exchange: &mut Exchange<'_>,
    asked: &Asked<'_>,
    (entry, arguments, answers): (&Entry, &str, Answers),
) -> Result<Answer, Refusal> {
    let house = &exchange.worker.house;
    let most = entry.in_task().most();
    let Some((rules, most)) = house.tasks.zip(most) else {
        return Err(Refusal::new(Code::Internal, "internal error"));
    };
    let credential = exchange.credential()?;
    let proof = Proof::of(credential, &exchange.worker.cache.borrow());
    // It was verified a moment ago.
    let proof = proof.ok_or_else(|| Refusal::new(Code::Overloaded, "the server is overloaded, try again"))?;
    let job = Job {
        house: Arc::clone(house),
        tool: entry.spec().name,
        arguments: arguments.to_owned(),
        capabilities: asked.params.meta.capabilities().to_owned(),
        answers,
        trace: asked.params.meta.trace().cloned(),
        rights: Rights {
            principal: Arc::clone(&asked.principal),
            needs: entry.needs(),
            proof,
            epoch: exchange.visit.epoch,
        },
        place: house.services.limiter.go_on(entry.spec().name),
        most,
        max_result: rules.max_result,
    };
    let new = NewTask {
        principal: Arc::clone(&asked.principal),
        tool: entry.spec().name,
        request: exchange.record.id(),
        most: rules.max_run,
        work: Box::new(move |desk| Box::pin(job.run(desk))),
    };
    let (id, view) = house.services.tasks.begin(new).await?;
    exchange.record.detail(&json!({ "task": recorded_as(&id) }));
    let members = shown::seed(&id, &view, &rules);
    Ok(Answer::ok(house.views.dress(asked.revision).task(asked.id, members.as_bytes())))
}

/// `tasks/get`: how far a task is, and its result once there is one.
///
/// # Errors
/// [`Refusal`]: there is no such task for this caller.
pub(super) async fn get(exchange: &mut Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let (id, view, rules) = find(exchange, asked).await?;
    let members = shown::whole(&id, &view, &rules);
    let place = match members.len() {
        size if size > LARGE => Some(large::place(exchange, &asked.principal.id, (size, size)).await?),
        _ => None,
    };
    let dress = exchange.house().views.dress(asked.revision);
    Ok(Answer::ok(dress.result(asked.id, members.as_bytes())).in_places(place))
}

/// `tasks/update`: answers to what a task asks. What is not asked, or not any more, is ignored.
///
/// # Errors
/// [`Refusal`]: there is no such task for this caller, it runs elsewhere, or these are no answers.
pub(super) async fn update(exchange: &mut Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let (id, ..) = find(exchange, asked).await?;
    let answers = answers_of(asked.params.input_responses())?;
    if !exchange.house().services.tasks.answer(&id, answers) {
        refuse_unless_over(exchange, asked, &id).await?;
    }
    Ok(acknowledged(exchange.house(), asked))
}

/// `tasks/cancel`: nobody wants the task any more. One that has ended stays as it is.
///
/// # Errors
/// [`Refusal`]: there is no such task for this caller, or it runs elsewhere.
pub(super) async fn cancel(exchange: &mut Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let (id, ..) = find(exchange, asked).await?;
    if !exchange.house().services.tasks.cancel(&id) {
        refuse_unless_over(exchange, asked, &id).await?;
    }
    Ok(acknowledged(exchange.house(), asked))
}

/// What does not run here cannot be told anything here, so that nobody may read that it was.
///
/// # Errors
/// [`Refusal`]: another server runs it.
async fn refuse_unless_over(exchange: &Exchange<'_>, asked: &Asked<'_>, id: &str) -> Result<(), Refusal> {
    // Looked at anew: it may have ended here since.
    match exchange.house().services.tasks.look(id, &asked.principal.id).await? {
        Some(view) if !view.state.is_over() => {
            let refusal = Refusal::new(Code::Overloaded, "another server runs this task; try again");
            Err(Refusal { retry_after: Some(ELSEWHERE_WAIT), ..refusal })
        }
        _ => Ok(()),
    }
}

fn acknowledged(house: &House, asked: &Asked<'_>) -> Answer {
    Answer::ok(house.views.dress(asked.revision).acknowledgement(asked.id))
}

/// The task that is asked for, if its owner asks and may call its tool now.
async fn find(exchange: &mut Exchange<'_>, asked: &Asked<'_>) -> Result<(String, View, TaskRules), Refusal> {
    let house = &exchange.worker.house;
    let Some(rules) = house.tasks else {
        return Err(Refusal::new(Code::UnknownMethod, "Method not found: this server has no tasks"));
    };
    if !declares_tasks(asked.params.meta.capabilities()) {
        return Err(undeclared());
    }
    let id = asked.params.task().unwrap_or_default().into_owned();
    exchange.record.detail(&json!({ "task": recorded_as(&id) }));
    let found = house.services.tasks.look(&id, &asked.principal.id).await?;
    // A tool that is not there any more is nobody's.
    let found = found.and_then(|view| Some((house.registry.find(&view.tool)?, view)));
    let (entry, view) = found.ok_or_else(unknown)?;
    if let Err(denied) = policy::decide::<CallTool>(&asked.principal, entry.needs()) {
        let refusal = call::refuse(exchange, entry, (&asked.principal, denied));
        return Err(if house.when_denied == WhenDenied::Hide { unknown() } else { refusal });
    }
    Ok((id, view, rules))
}

/// There is no such task, or it is somebody else's, or was forgotten: the same words for all.
fn unknown() -> Refusal {
    Refusal::new(Code::InvalidParams, "Unknown task")
}

/// Answers by what the client knows the questions by, JSON text each.
fn answers_of(answers: Option<Raw<'_>>) -> Result<Vec<(String, String)>, Refusal> {
    let wrong = || {
        let text = format!("params.inputResponses must be an object of at most {MOST_ANSWERS} bytes");
        Refusal::new(Code::InvalidParams, text)
    };
    let text = answers.map(Raw::text).filter(|text| text.len() <= MOST_ANSWERS).ok_or_else(wrong)?;
    let tree =
        Tree::of_text(text).ok().filter(|tree| tree.root().kind() == Kind::Object).ok_or_else(wrong)?;
    tree.check_members()?;
    let pair = |(name, value): (crate::protocol::Node<'_>, crate::protocol::Node<'_>)| {
        Some((name.string()?.into_owned(), value.text().to_owned()))
    };
    tree.root().members().map(pair).collect::<Option<_>>().ok_or_else(wrong)
}
