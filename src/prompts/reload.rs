//! Notices that the operator has changed prompts, and puts them in force.

use std::{sync::Arc, time::Duration};

use super::{Folder, Look, Prompt, Prompts, Set};
use crate::{
    actors::{audit::Lane, changes::Changes},
    domain::{AuditEvent, Catalogue, Change, EventCode, Outcome, Timestamp},
    settings::Problem,
};

/// How often the folder is looked at: a change is in force within a second.
const EVERY: Duration = Duration::from_millis(400);

/// What prompts are made of again.
pub struct Reloader {
    /// Where they stand.
    pub folder: Folder,
    /// Those of the program.
    pub own: Vec<Arc<dyn Prompt>>,
    /// The permissions that exist here.
    pub catalogue: Catalogue,
}

/// Who is told of new ones.
pub struct Watch {
    /// Where they are put in force.
    pub prompts: Prompts,
    /// Clients.
    pub changes: Changes,
    /// The audit log.
    pub lane: Lane,
}

impl Reloader {
    /// Reads all of them.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(&self) -> Result<Set, Vec<Problem>> {
        Set::read(&self.folder, &self.own, &self.catalogue)
    }

    /// Looks at the folder time and again and puts what has changed since it looked as `before` in force, as long as
    /// it is sound; the last good ones stay otherwise, and the log says why. Ends when it is dropped. Must run on a
    /// thread that may wait for a disk for a moment.
    pub async fn watch(self, mut before: Look, watch: Watch) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Before it is read: what changes meanwhile is seen the next time.
            let look = self.folder.look();
            if look != before && self.reload(&watch).await {
                before = look;
            }
        }
    }

    /// Whether it need not be tried again until something changes once more.
    async fn reload(&self, watch: &Watch) -> bool {
        let set = match self.read() {
            Ok(set) => set,
            Err(problems) => {
                for problem in problems {
                    tracing::error!(setting = %problem.key, problem = %problem.problem, fix = %problem.fix,
                        "prompts are not read again; the last good ones stay in force");
                }
                return true;
            }
        };
        let mut event = AuditEvent::new(Timestamp::now(), EventCode::SettingsReloaded, Outcome::Ok);
        event.detail = Some(serde_json::json!({ "prompts": set.iter().len() }).to_string().into());
        // On record before it is in force; where nothing can be recorded, nothing changes.
        let recorded = match watch.lane.reserve() {
            Ok(slot) => slot.write(event).committed().await,
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            tracing::error!(%error, "prompts have changed and stay as they were: it cannot be recorded");
            return false;
        }
        tracing::info!(prompts = set.iter().len(), "prompts were read again");
        watch.prompts.replace(set);
        watch.changes.tell(Change::Prompts);
        true
    }
}
