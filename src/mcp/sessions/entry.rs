//! Which session a request came in, and what it is there for.

use std::{sync::Arc, time::Instant};

use actix_web::http::StatusCode;

use crate::{
    actors::sessions::{Reply, Session, SessionId},
    domain::Principal,
    error::Code,
    mcp::{
        answer::MCP_SESSION_ID, audience::Audience, dispatch::Method, exchange::Exchange, refusal::Refusal,
    },
    protocol::{Envelope, Id, Kind, Tree, WireError, begins_batch},
};

/// Longest list of capabilities or level that is looked at, bytes.
const MAX_SAID: usize = 16 * 1024;

/// What a request is.
pub(super) enum Entry {
    /// One that is answered as if there were no sessions.
    Free,
    /// One in a session, or one that begins it.
    With(Audience),
    /// One that cancels the call of this id, JSON text.
    Cancel(Audience, Box<str>),
    /// No request: the answer to one of ours.
    Answer {
        /// The session in which it was asked.
        session: Arc<Session>,
        /// The request's id.
        id: Box<str>,
        /// The answer.
        reply: Reply,
    },
}

/// A request that has no place in a session.
pub(super) struct Refused<'a> {
    /// Why.
    pub(super) refusal: Box<Refusal>,
    /// Its method.
    pub(super) method: Option<Box<str>>,
    /// Its id.
    pub(super) id: Option<Id<'a>>,
}

impl From<Refusal> for Refused<'_> {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Box::new(refusal), method: None, id: None }
    }
}

/// What the request with this body is.
///
/// # Errors
/// [`Refused`]: there is no such session for this caller, or it needs one and names none.
pub(super) async fn of<'a>(
    exchange: &Exchange<'_>,
    principal: &Arc<Principal>,
    body: &'a [u8],
) -> Result<Entry, Refused<'a>> {
    if begins_batch(body) {
        let session = of_header(exchange, principal).await?;
        return Ok(session.map_or(Entry::Free, |session| Entry::With(within(session, ""))));
    }
    match Envelope::parse(body) {
        // The modern era does not know what a session is.
        Ok(envelope) if envelope.params.meta.claims_version() => Ok(Entry::Free),
        Ok(envelope) => message(exchange, principal, (&envelope, body)).await,
        Err((WireError::Response, _)) => {
            let session = of_header(exchange, principal).await?.ok_or_else(nameless)?;
            answer(session, body).map_err(Into::into)
        }
        // What cannot be read says so of itself.
        Err(_) => Ok(Entry::Free),
    }
}

async fn message<'a>(
    exchange: &Exchange<'_>,
    principal: &Arc<Principal>,
    (envelope, body): (&Envelope<'a>, &'a [u8]),
) -> Result<Entry, Refused<'a>> {
    let method = Method::named(&envelope.method);
    if method == Some(Method::Initialize) {
        let said = said(body, "capabilities", Kind::Object);
        return Ok(Entry::With(Audience { said: said.unwrap_or("{}").into(), ..Audience::default() }));
    }
    let refused = |refusal| Refused {
        refusal: Box::new(refusal),
        method: Some(envelope.method.as_ref().into()),
        id: envelope.id,
    };
    let needs = matches!(method, Some(Method::Subscribe | Method::Unsubscribe | Method::SetLevel));
    let Some(session) = of_header(exchange, principal).await.map_err(refused)? else {
        return if needs { Err(refused(nameless())) } else { Ok(Entry::Free) };
    };
    if envelope.method == "notifications/cancelled"
        && let Some(id) =
            said(body, "requestId", Kind::String).or_else(|| said(body, "requestId", Kind::Number))
    {
        return Ok(Entry::Cancel(within(session, ""), id.into()));
    }
    let level = if method == Some(Method::SetLevel) { said(body, "level", Kind::String) } else { None };
    Ok(Entry::With(within(session, level.unwrap_or_default())))
}

fn within(session: Arc<Session>, said: &str) -> Audience {
    Audience { session: Some(session), said: said.into(), ..Audience::default() }
}

/// The member `name` of the params, JSON text, if it is of this kind.
fn said<'a>(body: &'a [u8], name: &str, kind: Kind) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok()?;
    let tree = Tree::of_text(text).ok()?;
    let member = tree.root().member("params")?.member(name).filter(|member| member.kind() == kind)?;
    // A node lends its text only for as long as its tree lives.
    let at = (member.text().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    text.get(at..at + member.text().len()).filter(|said| said.len() <= MAX_SAID)
}

/// The answer that a body is.
fn answer(session: Arc<Session>, body: &[u8]) -> Result<Entry, Refusal> {
    let tree = Tree::of_body(body)?;
    tree.check_members()?;
    let malformed =
        || Refusal::new(Code::InvalidRequest, "a response has the id of a request, and a result or an error");
    let id = tree.root().member("id").and_then(|id| id.string()).ok_or_else(malformed)?;
    let (result, error) = (tree.root().member("result"), tree.root().member("error"));
    let reply = match (result, error) {
        (Some(result), None) if result.kind() == Kind::Object => Reply::Result(result.text().into()),
        (None, Some(error)) if error.kind() == Kind::Object => Reply::Error,
        _ => return Err(malformed()),
    };
    Ok(Entry::Answer { session, id: id.as_ref().into(), reply })
}

/// The session that the header names; `None` if it names none. One that is not known here is looked for where servers
/// share theirs: that costs like a request of its own, since an id that nobody has is cheap to send.
///
/// # Errors
/// [`Refusal`]: this caller has no such session, which is what it is told of everybody else's, or nobody knows.
pub(super) async fn of_header(
    exchange: &Exchange<'_>,
    principal: &Arc<Principal>,
) -> Result<Option<Arc<Session>>, Refusal> {
    let mut named = exchange.named(&MCP_SESSION_ID);
    let Some(name) = named.next() else { return Ok(None) };
    if named.next().is_some() {
        let refusal = Refusal::new(Code::InvalidRequest, "mcp-session-id stands twice");
        return Err(refusal.with_bad_request());
    }
    let id = name.to_str().ok().and_then(SessionId::parse);
    let sessions = exchange.house().services.sessions.as_ref();
    let Some((id, sessions)) = id.zip(sessions) else { return Err(unknown()) };
    if let Some(found) = sessions.find(&id, &principal.id, Instant::now()) {
        return Ok(Some(found));
    }
    if !sessions.is_shared() {
        return Err(unknown());
    }
    exchange.charge(principal, None).await?;
    sessions.seek(&id, &principal.id).await?.map(Some).ok_or_else(unknown)
}

/// There is no such session for this caller (G5, G6): a client that hears this begins a new one.
pub(super) fn unknown() -> Refusal {
    let text = "there is no such session; begin a new one with initialize";
    Refusal { status: StatusCode::NOT_FOUND, is_legacy: true, ..Refusal::new(Code::InvalidRequest, text) }
}

/// What is asked for needs a session, and none is named (G5).
pub(super) fn nameless() -> Refusal {
    let text = "this needs a session: send its mcp-session-id, which the answer to initialize has";
    Refusal { is_legacy: true, ..Refusal::new(Code::InvalidRequest, text).with_bad_request() }
}
