//! What the log says about attacks: counts by minute and hour, the worst offenders, patterns with alerts.
//!
//! One actor on a thread of its own. The log's writer leaves what it has committed in an inbox, without
//! waiting and without waking anybody; the actor looks there four times a second. Whatever does not fit
//! into the inbox, and everything after a start or a panic, it reads from the log itself, so it loses
//! nothing and holds nothing that the log does not hold. A sealed segment is read once: what it came to
//! lies beside it as `*.rollup`, signed with the audit key.
//!
//! Memory, however many offenders there are: each minute (61) and hour (169) has six tables of at most 64
//! offenders, each pattern follows at most 4 096; together below 35 MiB at worst, and next to nothing
//! while nothing is violated.

mod actor;
mod book;
mod inbox;
mod notes;
mod pattern;
mod review;
mod rollup;
mod sealed;
mod share;
mod sign;
mod tops;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use actix::ArbiterHandle;

use self::actor::{InsightActor, Show, Tell};
pub(super) use self::{
    inbox::{End, Inbox},
    share::{Told, begin, fields, heard},
};
pub use self::{
    notes::Note,
    pattern::{DENIED_TOOLS, FAILURES, Finding, Pattern, REFUSALS, WINDOW},
    review::{FleetView, Offence, Range, Review, TOP, Totals, Unusual},
    sign::{Offender, Violation},
};
use super::{Audit, fleet::Fleet};
use crate::actors::kit::{self, ActorError, Fault, Seat, Vitals};

/// Its name in logs and metrics.
const NAME: &str = "insight";

/// A handle to what the log says. It can be handed out before it is [started](Self::start); clones share it.
#[derive(Debug, Clone, Default)]
pub struct Insight {
    seat: Arc<OnceLock<Arc<Seat<InsightActor>>>>,
    fleet: Arc<OnceLock<Fleet>>,
}

impl Insight {
    /// Begins to count what `audit` holds and gets, on `arbiter`, a thread of its own.
    ///
    /// # Errors
    /// [`ActorError`] if the actor cannot be started.
    pub async fn start(&self, arbiter: &ArbiterHandle, audit: &Audit) -> Result<(), ActorError> {
        let (shared, lane) = (Arc::clone(audit.shared()), audit.lane());
        shared.inbox.open();
        let build =
            move |life| Ok::<_, ActorError>(InsightActor::new(Arc::clone(&shared), lane.clone(), life));
        let seat = kit::keep(NAME, arbiter, build).await?;
        // Whoever starts it twice has the first one answer.
        let _ = self.seat.set(seat);
        Ok(())
    }

    /// From now on it also knows what the other nodes of `fleet` count.
    pub fn join(&self, fleet: Fleet) {
        // Whoever joins twice stays with the first one.
        let _ = self.fleet.set(fleet);
    }

    /// What happened in `range`, up to everything that was recorded here before this was asked; in a fleet also what
    /// the others had told by then, which they do every second. If those cannot be asked, it is not complete.
    ///
    /// # Errors
    /// [`ActorError`] before the start, and while the actor is being rebuilt.
    pub async fn review(&self, range: Range) -> Result<Review, ActorError> {
        let Some(fleet) = self.fleet.get() else {
            return self.seat()?.ask(Show { range, others: Vec::new() }).await;
        };
        let others = fleet.others(range).await;
        let reached = others.is_ok();
        let others = others.unwrap_or_default();
        let view = FleetView { servers: others.len() + 1, reached };
        Ok(self.seat()?.ask(Show { range, others }).await?.within(fleet.node(), view))
    }

    /// What this node counts, as texts by field: all that is kept, or what changes all the time.
    ///
    /// # Errors
    /// As [`review`](Self::review).
    pub(super) async fn tell(&self, all: bool) -> Result<Vec<(String, String)>, ActorError> {
        self.seat()?.ask(Tell { all }).await
    }

    /// Makes the actor panic.
    ///
    /// # Errors
    /// [`ActorError`] if it is down already.
    pub fn fault(&self) -> Result<(), ActorError> {
        self.seat()?.post(Fault)
    }

    /// What health and metrics read.
    pub fn vitals(&self) -> Vitals {
        let down = Vitals { name: NAME, alive: false, restarts: 0, depth: 0 };
        self.seat().map_or(down, |seat| seat.vitals())
    }

    fn seat(&self) -> Result<&Arc<Seat<InsightActor>>, ActorError> {
        self.seat.get().ok_or(ActorError::Stopped(NAME))
    }
}
