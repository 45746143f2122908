//! What a caller is told of the limit that it has reached (draft-ietf-httpapi-ratelimit-headers-10).

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::error::Quota;

/// Adds `RateLimit` and `RateLimit-Policy`; `wait` is the time until the same request would be let in.
pub fn tell_quota(headers: &mut HeaderMap, quota: &Quota, wait: Duration) {
    let Quota { name, capacity, window_secs, remaining } = quota;
    let secs = wait.as_millis().div_ceil(1_000);
    for (header, value) in [
        ("ratelimit", format!("\"{name}\";r={remaining};t={secs}")),
        ("ratelimit-policy", format!("\"{name}\";q={capacity};w={window_secs}")),
    ] {
        // A name of ours and digits always are a header's value.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(header), value);
        }
    }
}
