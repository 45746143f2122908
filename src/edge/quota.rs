//! What a caller is told of the limit that it has reached (draft-ietf-httpapi-ratelimit-headers-10).

use std::time::Duration;

use actix_web::HttpResponseBuilder;

use crate::error::Quota;

/// Adds `RateLimit` and `RateLimit-Policy`; `wait` is the time until the same request would be let in.
pub fn tell_quota(answer: &mut HttpResponseBuilder, quota: &Quota, wait: Duration) {
    let Quota { name, capacity, window_secs, remaining } = quota;
    let secs = wait.as_millis().div_ceil(1_000);
    answer
        .insert_header(("ratelimit", format!("\"{name}\";r={remaining};t={secs}")))
        .insert_header(("ratelimit-policy", format!("\"{name}\";q={capacity};w={window_secs}")));
}
