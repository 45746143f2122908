//! What a caller is told of the limit that it has reached (draft-ietf-httpapi-ratelimit-headers-10).

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::error::Quota;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Adds `RateLimit` and `RateLimit-Policy`; `wait` is the time until the same request would be let in.
pub fn tell_quota(headers: &mut HeaderMap, quota: &Quota, wait: Duration) {
    let Quota { name, capacity, window_secs, remaining } = quota;
    let secs = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
    for (header, members) in [
        (RATE_LIMIT, [("r", *remaining), ("t", secs)]),
        (RATE_LIMIT_POLICY, [("q", *capacity), ("w", *window_secs)]),
    ] {
        // A name of ours and digits always are a header's value.
        if let Ok(value) = HeaderValue::try_from(item(name, members)) {
            headers.insert(header, value);
        }
    }
}

/// `"name";a=1;b=2` (RFC 9651), written by hand: a refusal must not cost more than what it refuses.
fn item(name: &str, members: [(&str, u64); 2]) -> String {
    let mut text = String::with_capacity(64);
    text.push('"');
    text.push_str(name);
    text.push('"');
    for (member, value) in members {
        text.push(';');
        text.push_str(member);
        text.push('=');
        text.push_str(&value.to_string());
    }
    text
}
