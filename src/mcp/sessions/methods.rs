//! The methods that only a session has, and the handshake that begins one.

use std::{borrow::Cow, sync::Arc};

use serde_json::json;

use super::entry::{nameless, unknown};
use crate::{
    actors::sessions::{MOST_URIS, Opening, Session, SessionError, Sessions},
    error::Code,
    mcp::{
        answer::Answer,
        dispatch::Method,
        exchange::{Asked, Exchange},
        refusal::Refusal,
        resources,
    },
    policy::ReadResource,
    protocol::{Kind, LogLevel, Revision, Tree},
};

/// Longest URI, bytes.
const MOST_URI_BYTES: usize = 2_048;

/// Begins a session, in which `agreed` is spoken.
///
/// # Errors
/// [`Refusal`]: there is no place for another one.
pub(in crate::mcp) async fn introduce(
    exchange: &mut Exchange<'_>,
    asked: &Asked<'_>,
    agreed: Revision,
) -> Result<Answer, Refusal> {
    let house = exchange.house();
    let dress = house.views.dress(asked.revision);
    let Some(sessions) = &house.services.sessions else {
        return Ok(Answer::ok(dress.result(asked.id, house.views.introduction(agreed).as_bytes())));
    };
    let said = exchange.audience.map_or("{}", |audience| &*audience.said);
    let opening = Opening {
        owner: asked.principal.id.clone(),
        revision: agreed,
        capabilities: declared(said, agreed).into(),
    };
    let session = sessions.open(opening).await?;
    exchange.record.detail(&json!({ "session": "begun" }));
    let introduction = house.views.introduction_in_session(agreed);
    Ok(Answer::ok(dress.result(asked.id, introduction.as_bytes())).in_session(&session.id().encode()))
}

/// What of the client's `capabilities` can be asked for in `revision`, JSON text of a few bytes.
fn declared(capabilities: &str, revision: Revision) -> String {
    let tree = Tree::of_text(capabilities).unwrap_or_default();
    let has = |name: &str| tree.root().member(name).is_some_and(|member| member.kind() == Kind::Object);
    // One that names only other ways of asking a person has no form.
    let has_form = || {
        let elicitation = tree.root().member("elicitation");
        elicitation.is_some_and(|way| way.is_empty() || way.member("form").is_some())
    };
    let elicits = revision.has_structure() && has("elicitation") && has_form();
    let all = [("elicitation", elicits), ("sampling", has("sampling")), ("roots", has("roots"))];
    let declared: Vec<_> =
        all.into_iter().filter(|(_, is)| *is).map(|(name, _)| format!("\"{name}\":{{}}")).collect();
    format!("{{{}}}", declared.join(","))
}

/// Tells the session of the resource `params.uri` from now on, if its caller may read it.
///
/// # Errors
/// [`Refusal`], the same for what it may not read and what is not there.
pub(in crate::mcp) async fn subscribe(
    exchange: &mut Exchange<'_>,
    asked: &Asked<'_>,
) -> Result<Answer, Refusal> {
    let ((sessions, session), house) = (of(exchange, Method::Subscribe)?, exchange.house());
    let uri = uri_of(asked)?;
    let entry = house.resources.of(&uri).ok_or_else(|| resources::unknown(&uri))?;
    exchange
        .permit::<ReadResource>(&asked.principal, entry.needs())
        .ok_or_else(|| resources::unknown(&uri))?;
    if !sessions.subscribe(session, &uri).await.map_err(refused)? {
        let text = format!("at most {MOST_URIS} resources of one session are told of; unsubscribe from one");
        return Err(Refusal::new(Code::InvalidParams, text));
    }
    Ok(Answer::ok(house.views.dress(asked.revision).result(asked.id, b"")))
}

/// Tells the session of the resource `params.uri` no more.
///
/// # Errors
/// [`Refusal`]: it is no URI.
pub(in crate::mcp) async fn unsubscribe(
    exchange: &Exchange<'_>,
    asked: &Asked<'_>,
) -> Result<Answer, Refusal> {
    let (sessions, session) = of(exchange, Method::Unsubscribe)?;
    sessions.unsubscribe(session, &uri_of(asked)?).await.map_err(refused)?;
    Ok(Answer::ok(exchange.house().views.dress(asked.revision).result(asked.id, b"")))
}

/// Tells the session of log messages that are at least as grave as `params.level`.
///
/// # Errors
/// [`Refusal`]: it is no level.
pub(in crate::mcp) async fn set_level(exchange: &Exchange<'_>, asked: &Asked<'_>) -> Result<Answer, Refusal> {
    let (sessions, session) = of(exchange, Method::SetLevel)?;
    let said = exchange.audience.map_or("", |audience| audience.said.trim_matches('"'));
    let level = LogLevel::named(said).ok_or_else(|| {
        let names = LogLevel::ALL.map(LogLevel::name).join(", ");
        Refusal::new(Code::InvalidParams, format!("params.level must be one of {names}"))
    })?;
    sessions.set_level(session, level).await.map_err(refused)?;
    Ok(Answer::ok(exchange.house().views.dress(asked.revision).result(asked.id, b"")))
}

fn uri_of<'a>(asked: &Asked<'a>) -> Result<Cow<'a, str>, Refusal> {
    let uri = asked.params.resource_uri();
    let fits = uri.filter(|uri| uri.len() <= MOST_URI_BYTES && url::Url::parse(uri).is_ok());
    fits.ok_or_else(|| Refusal::new(Code::InvalidParams, "params.uri must be a URI"))
}

/// What did not come to be in a session.
fn refused(error: SessionError) -> Refusal {
    if error == SessionError::Over { unknown() } else { error.into() }
}

/// The session that a request of this method is in, and all others.
///
/// # Errors
/// [`Refusal`]: it is in none, and where there are none at all there is no such method either.
fn of<'a>(exchange: &Exchange<'a>, method: Method) -> Result<(&'a Sessions, &'a Arc<Session>), Refusal> {
    let sessions = exchange.worker.house.services.sessions.as_ref();
    sessions.zip(exchange.session()).ok_or_else(|| match exchange.may_have_session() {
        true => nameless(),
        false => Refusal::new(Code::UnknownMethod, format!("Method not found: {}", method.name())),
    })
}
