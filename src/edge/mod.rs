//! What every HTTP answer shares: who may talk to us, how much we read, how a refusal looks.

mod address;
mod body;
mod connections;
mod forwarded;
mod guard;
mod headers;
mod held;
mod paced;
mod portions;
mod problem;
mod quota;
mod record;
mod status;
mod turn;

pub use address::{ClientAddress, Proxies};
pub use body::{Body, discard, read_body, refuse_encoding};
pub use connections::{Busy, watch};
pub use guard::{Guard, HostRule};
pub use headers::{Field, Headers};
pub use held::{Hold, attend};
pub use paced::Paced;
pub use portions::Portions;
pub use problem::{EdgeError, HttpError, nothing_here, other_method, problem};
pub use quota::tell_quota;
pub use record::Record;
pub use status::status_of;

use std::time::{Duration, SystemTime};

use actix_web::{HttpResponseBuilder, http::header};

use crate::domain::{RequestId, Rotated};

/// How long an idle connection is kept.
pub const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(30);
/// Most bytes of all header names and values together; actix itself stops only at 128 KiB.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Longest wait for a whole body, if `server.request_timeout` is not shorter: actix has a deadline for heads only (actix-web#928).
pub const BODY_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

/// What a browser may do with an answer of ours that it shows: nothing.
pub const CONTENT_SECURITY: header::HeaderValue =
    header::HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// For a year a browser that has seen us over TLS comes over TLS (RFC 6797).
pub const STRICT_TRANSPORT: header::HeaderValue = header::HeaderValue::from_static("max-age=31536000");

/// Headers that every answer carries: its id, nothing is sniffed, nothing is kept, nothing is framed.
pub fn harden(answer: &mut HttpResponseBuilder, id: RequestId) {
    answer
        .insert_header(("x-request-id", id.encode(&mut [0; 36])))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff")))
        .insert_header((header::CACHE_CONTROL, header::HeaderValue::from_static("no-store")))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY));
}

/// Headers that tell a client that the key which it shows has a successor: since when (RFC 9745), and until
/// when the key still holds (RFC 8594).
pub fn deprecation(rotated: Rotated) -> impl Iterator<Item = (header::HeaderName, header::HeaderValue)> {
    let until = SystemTime::UNIX_EPOCH + Duration::from_micros(rotated.grace_until.micros());
    let texts = [
        ("deprecation", format!("@{}", rotated.at.secs())),
        ("sunset", header::HttpDate::from(until).to_string()),
    ];
    let pair = |(name, text): (&'static str, String)| {
        Some((header::HeaderName::from_static(name), header::HeaderValue::try_from(text).ok()?))
    };
    texts.into_iter().filter_map(pair)
}
