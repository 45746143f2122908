//! Reading a body: at most so much, at most so long.

use std::{pin::pin, time::Duration};

use actix_web::{dev::Payload, http::header::HeaderValue};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};

use super::{EdgeError, Headers};

/// Largest body that is thrown away for the sake of its connection, bytes.
const DISCARD_BYTES: usize = 64 * 1024;
/// Longest wait for its end: clients send head and body apart, and a reset would hide the refusal.
const DISCARD_WAIT: Duration = Duration::from_millis(250);

/// Takes only unencoded JSON, and only clients that take one of our two media types.
///
/// # Errors
/// [`EdgeError::MediaType`] or [`EdgeError::Accept`].
pub fn refuse_encoding(headers: &Headers<'_>) -> Result<(), EdgeError> {
    let media = headers.content_type.text().map_or("", bare);
    if !media.eq_ignore_ascii_case("application/json") || headers.content_encoding.is_present() {
        return Err(EdgeError::MediaType);
    }
    if accepts(&headers.accept) { Ok(()) } else { Err(EdgeError::Accept) }
}

/// A media type or range without its parameters.
fn bare(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// Whether the client takes JSON or an event stream. Many send `*/*`, one of the two or nothing at all.
fn accepts(accept: &[&HeaderValue]) -> bool {
    const TAKEN: [&str; 5] = ["application/json", "text/event-stream", "*/*", "application/*", "text/*"];
    let mut ranges = accept.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    accept.is_empty() || ranges.any(|range| TAKEN.iter().any(|taken| bare(range).eq_ignore_ascii_case(taken)))
}

/// A whole body.
#[derive(Debug)]
pub struct Body {
    /// What it says.
    pub bytes: Bytes,
    /// Whether it came later than the head, so that what was true then may not be true any more.
    pub waited: bool,
}

/// Reads the whole body, `limit` bytes at most, within `deadline`.
///
/// # Errors
/// [`EdgeError::Body`] before more than the limit is held, [`EdgeError::Slow`], [`EdgeError::Broken`].
pub async fn read_body(payload: &mut Payload, limit: usize, deadline: Duration) -> Result<Body, EdgeError> {
    let mut reading = pin!(collect(payload, limit));
    // Most bodies are there already, and need no timer.
    if let Some(read) = reading.as_mut().now_or_never() {
        return read.map(|bytes| Body { bytes, waited: false });
    }
    let read = tokio::time::timeout(deadline, reading).await.unwrap_or(Err(EdgeError::Slow));
    read.map(|bytes| Body { bytes, waited: true })
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
