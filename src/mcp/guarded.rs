//! What runs code of sources and prompts: under a deadline, and a panic in it stays in it.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;

use super::{exchange::Exchange, refusal::Refusal};
use crate::{error::Code, tools::ToolError};

/// Runs `work` of whatever is called `name`, for its own deadline at most and no longer than the request has.
///
/// # Errors
/// [`Refusal`]: a panic, or a promise that was broken. What the work itself says is inside.
pub(super) async fn guarded<T>(
    exchange: &Exchange<'_>,
    (name, deadline): (&str, Duration),
    work: impl Future<Output = Result<T, ToolError>>,
) -> Result<Result<T, ToolError>, Refusal> {
    let left = exchange.house().limits.request_timeout.saturating_sub(exchange.began.elapsed());
    let running = AssertUnwindSafe(work).catch_unwind();
    let ended = tokio::time::timeout(left.min(deadline), running).await;
    match ended.unwrap_or(Ok(Err(ToolError::Timeout))) {
        Ok(Err(ToolError::Output)) | Err(_) => {
            tracing::error!(name, "a source or a prompt broke its promise: a panic, or what cannot be sent");
            Err(Refusal::new(Code::Internal, "internal error"))
        }
        Ok(Err(ToolError::Timeout)) => {
            let wait = Some(Duration::from_secs(1));
            let text = "it did not finish in time; try again later";
            Err(Refusal { retry_after: wait, ..Refusal::new(Code::Overloaded, text) })
        }
        Ok(ended) => Ok(ended),
    }
}
