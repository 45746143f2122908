//! Reading a body: at most so much, at most so long.

use std::pin::pin;

use actix_web::{
    HttpMessage, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap},
};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};

use super::{BODY_DEADLINE, EdgeError};

/// Takes only unencoded JSON, and only clients that take one of our two media types.
///
/// # Errors
/// [`EdgeError::MediaType`] or [`EdgeError::Accept`].
pub fn refuse_encoding(request: &HttpRequest) -> Result<(), EdgeError> {
    if !request.content_type().eq_ignore_ascii_case("application/json")
        || request.headers().contains_key(header::CONTENT_ENCODING)
    {
        return Err(EdgeError::MediaType);
    }
    if accepts(request.headers()) { Ok(()) } else { Err(EdgeError::Accept) }
}

/// Whether the client takes JSON or an event stream. Many send `*/*`, one of the two or nothing at all.
fn accepts(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::ACCEPT) {
        return true;
    }
    let ranges = headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let media = range.split(';').next().unwrap_or_default().trim();
        ["*/*", "application/json", "application/*", "text/event-stream", "text/*"]
            .iter()
            .any(|known| media.eq_ignore_ascii_case(known))
    })
}

/// Reads the whole body, `limit` bytes at most, within [`BODY_DEADLINE`].
///
/// # Errors
/// [`EdgeError::Body`] before more than the limit is held, [`EdgeError::Slow`], [`EdgeError::Broken`].
pub async fn read_body(headers: &HeaderMap, payload: &mut Payload, limit: usize) -> Result<Bytes, EdgeError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<usize>().ok()).is_some_and(|length| length > limit) {
        return Err(EdgeError::Body(limit));
    }
    let mut reading = pin!(collect(payload, limit));
    // Most bodies are there already, and need no timer.
    if let Some(read) = reading.as_mut().now_or_never() {
        return read;
    }
    tokio::time::timeout(BODY_DEADLINE, reading).await.unwrap_or(Err(EdgeError::Slow))
}

/// Throws away what has already arrived of a body that nobody will read, so that the connection can be
/// kept: with bytes of an unread body on it actix closes it, and a refused client that must connect anew
/// for each refusal costs three times as much as one that is served (measured). Waits for nothing.
pub async fn discard_buffered(payload: &mut Payload) {
    // The dispatcher hands over the body of a request only after it has polled its handler once.
    for _ in 0..2 {
        while let Some(next) = payload.next().now_or_never() {
            match next {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
        tokio::task::yield_now().await;
    }
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
