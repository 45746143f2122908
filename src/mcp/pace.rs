//! How often one call tells how far it is.

use std::{collections::VecDeque, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::tools::Progress;

/// Most notifications of one call in any second.
const MOST_A_SECOND: usize = 10;

/// When the last notifications of one call were sent.
pub(super) struct Pace(VecDeque<Instant>);

impl Pace {
    /// Of a call that has told nothing.
    pub(super) fn new() -> Self {
        Self(VecDeque::with_capacity(MOST_A_SECOND))
    }

    /// When the next notification may be sent; `None` if that is now.
    pub(super) fn free_at(&self) -> Option<Instant> {
        let oldest = self.0.front().filter(|_| self.0.len() >= MOST_A_SECOND)?;
        Some(*oldest + Duration::from_secs(1))
    }

    /// Another one was sent.
    pub(super) fn note(&mut self, now: Instant) {
        if self.0.len() >= MOST_A_SECOND {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }
}

/// Waits until there is something to tell, and it may be told; what the call waits for itself waits for nothing.
pub(super) async fn due(free_at: Option<Instant>, progress: &Progress) {
    if let Some(free_at) = free_at {
        tokio::select! {
            () = sleep_until(free_at) => {}
            () = progress.urgent() => {}
        }
    }
    progress.untold().await;
}
