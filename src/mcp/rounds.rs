//! The rounds of a call that asks (MRTR), and of a request for a prompt or a resource: what was asked and answered
//! travels with the client, sealed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    answer::Answer,
    dispatch::Method,
    exchange::{Asked, Exchange},
    refusal::Refusal,
};
use crate::{
    domain::{MAX_SEALED, Timestamp},
    error::Code,
    house::{House, Spend},
    protocol::{Raw, Tree},
    tools::{Answers, Ask, Asking, Question, ToolError},
};

/// How often one call may ask before it has to do without; clients stop at about ten.
const MOST_ROUNDS: u8 = 8;
/// How long an answer may take.
const LIFE: Duration = Duration::from_secs(300);

/// What a client brings back.
#[derive(Serialize, Deserialize)]
struct State {
    /// How often was asked.
    round: u8,
    /// Good until then, seconds since 1970.
    until: u64,
    /// What was asked last.
    asked: Vec<String>,
    /// What was answered before.
    answers: Answers,
    /// Set if it counts once: the process that knows whether it has, and its number.
    once: Option<(u64, String)>,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    /// How often was asked before.
    number: u8,
}

/// What a state is good for beside its caller.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    /// What is done.
    pub(super) method: Method,
    /// With what: the name of a tool or a prompt, or the URI of a resource.
    pub(super) name: &'a str,
    /// How.
    pub(super) arguments: Option<&'a Tree<'a>>,
}

/// A call of a tool.
pub(super) fn of_tool<'a>(asked: &'a Asked<'_>, arguments: &'a Tree<'_>) -> About<'a> {
    About { method: Method::CallTool, name: &asked.tool, arguments: Some(arguments) }
}

/// What the client can be asked and has answered so far, where that is no tool's to ask.
///
/// # Errors
/// Those of [`open`].
pub(super) fn begin<'a>(
    exchange: &Exchange<'_>,
    asked: &Asked<'a>,
    about: About<'_>,
) -> Result<(Round, Asking<'a>), Refusal> {
    if !asked.revision.is_modern() {
        return Ok((Round::default(), Asking::new("{}", Answers::none())));
    }
    let (round, answers) = open(exchange, asked, about)?;
    Ok((round, Asking::new(asked.params.meta.capabilities(), answers)))
}

/// The answer where a prompt or a source does not go on for `error`, which is about asking.
///
/// # Errors
/// [`Refusal`]: the client cannot be asked, or has been asked often enough.
pub(super) fn go_on(
    exchange: &mut Exchange<'_>,
    (asked, about): (&Asked<'_>, About<'_>),
    (round, asking): (Round, Asking<'_>),
    error: &ToolError,
) -> Result<Answer, Refusal> {
    let text = error.to_string();
    match error {
        ToolError::Unanswered => {
            let (questions, answers) = asking.into_parts();
            let answer = ask(exchange, asked, about, (round, questions, answers))?;
            answer.ok_or_else(|| Refusal::new(Code::InvalidParams, text))
        }
        ToolError::CannotAsk(ask) if asked.revision.is_modern() => Err(lacks(*ask, text)),
        _ => Err(Refusal::new(Code::InvalidParams, text)),
    }
}

/// The client has not declared what it takes to be asked.
pub(super) fn lacks(ask: Ask, text: String) -> Refusal {
    let required = json!({ ask.capability(): {} });
    Refusal::new(Code::MissingCapability, text).with("requiredCapabilities", required)
}

/// Reads what the client has answered so far; a state that counts once is used up by that.
///
/// # Errors
/// The state is not one that we gave this caller for this call within the last minutes; or the answers are none.
pub(super) fn open(
    exchange: &Exchange<'_>,
    asked: &Asked<'_>,
    about: About<'_>,
) -> Result<(Round, Answers), Refusal> {
    let state = match asked.params.request_state() {
        Some(state) => Some(unseal(exchange, asked, (about, state)).ok_or_else(invalid)?),
        None => None,
    };
    let (mut answers, mut known, mut number) = (Answers::none(), Vec::new(), 0);
    if let Some(state) = state {
        spend(exchange, &state)?;
        (answers, known, number) = (state.answers, state.asked, state.round);
    }
    if let Some(round) = asked.params.input_responses() {
        answers
            .add(round.text(), &known)
            .map_err(|error| Refusal::new(Code::InvalidParams, error.to_string()))?;
    }
    Ok((Round { number }, answers))
}

/// The answer that asks `questions`; `None` if it would be one too many, or what has to be kept is too long.
///
/// # Errors
/// There are no random bytes.
pub(super) fn ask(
    exchange: &mut Exchange<'_>,
    asked: &Asked<'_>,
    about: About<'_>,
    (round, questions, answers): (Round, Vec<Question>, Answers),
) -> Result<Option<Answer>, Refusal> {
    let house = exchange.house();
    if round.number >= MOST_ROUNDS {
        return Ok(None);
    }
    let is_once = questions.iter().any(|question| question.is_once);
    let state = State {
        round: round.number + 1,
        until: exchange.record.time().plus(LIFE).secs(),
        asked: questions.iter().map(|question| question.key.to_owned()).collect(),
        answers,
        once: is_once.then(|| (house.spent.process(), format!("{:x}", rand::random::<u128>()))),
    };
    let text = serde_json::to_vec(&state).unwrap_or_default();
    let sealed = house.state_seal.seal(&bound(asked, about), &text);
    let sealed = sealed.ok_or_else(|| Refusal::new(Code::Internal, "internal error"))?;
    if sealed.len() > MAX_SEALED {
        return Ok(None);
    }
    exchange.record.detail(&json!({ "asked": state.asked, "round": state.round }));
    let requests: Map<String, Value> = questions
        .into_iter()
        .map(|one| (one.key.to_owned(), json!({ "method": one.method, "params": one.params })))
        .collect();
    let members = format!("\"inputRequests\":{},\"requestState\":\"{sealed}\"", Value::Object(requests));
    let dress = house.views.dress(asked.revision);
    Ok(Some(Answer::ok(dress.input_required(asked.id, members.as_bytes()))))
}

fn unseal(exchange: &Exchange<'_>, asked: &Asked<'_>, (about, state): (About<'_>, Raw<'_>)) -> Option<State> {
    let state = exchange.house().state_seal.open(&bound(asked, about), &state.string()?)?;
    let state: State = serde_json::from_slice(&state).ok()?;
    (exchange.record.time() < Timestamp::from_secs(state.until)).then_some(state)
}

/// Uses up a state that counts once.
fn spend(exchange: &Exchange<'_>, state: &State) -> Result<(), Refusal> {
    let Some((process, number)) = &state.once else { return Ok(()) };
    let house: &House = exchange.house();
    let number = u128::from_str_radix(number, 16).ok().filter(|_| *process == house.spent.process());
    match house.spent.spend(number.ok_or_else(invalid)?, exchange.record.started(), LIFE) {
        Spend::First => Ok(()),
        Spend::Again => Err(invalid()),
        Spend::Full => Err(Refusal {
            retry_after: Some(Duration::from_secs(1)),
            ..Refusal::new(Code::Overloaded, "the server is overloaded, try again")
        }),
    }
}

fn invalid() -> Refusal {
    Refusal::new(Code::InvalidParams, "Invalid requestState")
}

/// What a state is good for: this caller, this method, this name with these arguments, however they are written.
fn bound(asked: &Asked<'_>, about: About<'_>) -> Vec<u8> {
    let mut digest = Sha256::new();
    // The names of members stand in the order of the alphabet in a `Value`.
    let arguments = about.arguments.map(|tree| tree.root().to_value().to_string()).unwrap_or_default();
    for part in [asked.principal.id.as_str(), about.method.name(), about.name, &arguments] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().to_vec()
}
