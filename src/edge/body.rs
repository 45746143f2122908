//! Reading a body: at most so much, at most so long.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use actix_web::dev::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::{
    EdgeError, Headers,
    headers::bare,
    turn::{self, Reminder},
};

/// Largest body that is thrown away for the sake of its connection, bytes.
const DISCARD_BYTES: usize = 64 * 1024;
/// Longest wait for its end: clients send head and body apart, and a reset would hide the refusal.
const DISCARD_WAIT: Duration = Duration::from_millis(250);

/// Takes only unencoded JSON, and only clients that take one of our two media types.
///
/// # Errors
/// [`EdgeError::MediaType`] or [`EdgeError::Accept`].
pub fn refuse_encoding(headers: &Headers<'_>) -> Result<(), EdgeError> {
    let media = headers.content_type.text().unwrap_or_default();
    let is_json = media == "application/json" || bare(media).eq_ignore_ascii_case("application/json");
    if !is_json || headers.content_encoding.is_present() {
        return Err(EdgeError::MediaType);
    }
    if headers.accepts == Some(false) { Err(EdgeError::Accept) } else { Ok(()) }
}

/// A whole body.
#[derive(Debug)]
pub struct Body {
    /// What it says.
    pub bytes: Bytes,
    /// Whether it came noticeably later than the head, so that what was true then may not be true any more.
    pub waited: bool,
}

/// Reads the whole body, `limit` bytes at most, within `deadline`.
///
/// # Errors
/// [`EdgeError::Body`] before more than the limit is held, [`EdgeError::Slow`], [`EdgeError::Broken`].
pub async fn read_body(payload: &mut Payload, limit: usize, deadline: Duration) -> Result<Body, EdgeError> {
    let mut reading = pin!(collect(payload, limit));
    if let Some(read) = at_once(reading.as_mut()).await {
        return read.map(|bytes| Body { bytes, waited: false });
    }
    let read = tokio::time::timeout(deadline, reading).await.unwrap_or(Err(EdgeError::Slow));
    read.map(|bytes| Body { bytes, waited: true })
}

/// What `reading` comes to if it needs no more than what has arrived already: most bodies come with their
/// head, and need no timer.
///
/// actix polls a handler before it reads on behind the head, even if the body lies there, and once more behind
/// that in the same turn (actix-http 3.20, seen). So the first time nothing is asked: whoever waits for a body
/// already is woken by it, and the whole connection looked at once more for nothing. The second time comes whether
/// there is a body or not, at the end of the turn at the latest: whoever sends none must not escape the deadline.
async fn at_once<F: Future>(mut reading: Pin<&mut F>) -> Option<F::Output> {
    let (mut asked, mut reminder) = (false, None);
    poll_fn(|context| {
        if !asked {
            asked = true;
            reminder = turn::remind(context.waker());
            return Poll::Pending;
        }
        reminder.take().into_iter().for_each(Reminder::forget);
        match reading.as_mut().poll(context) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => Poll::Ready(None),
        }
    })
    .await
}

/// Throws away a body that nobody will read, so that the connection can be kept; says whether that was
/// all of it. With bytes of an unread body on it actix closes the connection, and a refused client that
/// must connect anew for each refusal costs three times as much as one that is served (measured).
pub async fn discard(payload: &mut Payload) -> bool {
    read_body(payload, DISCARD_BYTES, DISCARD_WAIT).await.is_ok()
}

/// One chunk is the usual case and is not copied.
async fn collect(payload: &mut Payload, limit: usize) -> Result<Bytes, EdgeError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| EdgeError::Broken)?;
        if first.len() + rest.len() + chunk.len() > limit {
            return Err(EdgeError::Body(limit));
        }
        if first.is_empty() && rest.is_empty() {
            first = chunk;
            continue;
        }
        if rest.is_empty() {
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&chunk);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}
