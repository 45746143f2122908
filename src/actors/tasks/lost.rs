//! Tasks of those who are gone: the next start ends them, and has that on record before anything is served.

use std::sync::Arc;

use serde_json::json;

use super::{TasksError, life, recorded};
use crate::{
    actors::audit::{Lane, Receipt, Slot},
    domain::{
        AuditEvent, EventCode, Outcome, PermissionSet, Principal, PrincipalKind, Recorded, Subject, Timestamp,
    },
    store::{LostTask, Stores},
};

/// Most lost tasks with a record each; one more record counts the others.
const MOST_RECORDS: usize = 256;

/// Ends every task that one of `gone` has left unfinished, and records that on `lane`.
///
/// # Errors
/// [`TasksError::Store`]: nobody could say any more of what was left that it runs no longer. [`TasksError::Audit`]:
/// it may not be on record.
pub(super) async fn end(gone: &[String], stores: &Stores, lane: &Lane) -> Result<(), TasksError> {
    // Taken before anything is ended: where nothing can be recorded, nothing is ended.
    let slots: Vec<Slot> = (0..=MOST_RECORDS).map(|_| lane.reserve()).collect::<Result<_, _>>()?;
    let end = life::lost().at(Timestamp::now());
    let (mut lost, mut left) = (Vec::new(), Ok(()));
    for runner in gone {
        match stores.tasks.end_tasks_of(runner, end.clone()).await {
            Ok(some) => lost.extend(some),
            Err(error) => {
                // What was ended before is recorded all the same.
                left = Err(error.into());
                break;
            }
        }
    }
    if !lost.is_empty() {
        let tasks = lost.len();
        tracing::warn!(tasks, "tasks of the server that ran before have not ended: they are failed now");
    }
    let written = slots.into_iter().zip(events(&lost)).map(|(slot, event)| slot.write(event));
    for receipt in written.collect::<Vec<Receipt>>() {
        receipt.committed().await?;
    }
    left
}

/// The records of these ends.
fn events(lost: &[LostTask]) -> Vec<AuditEvent> {
    let mut events: Vec<_> = lost.iter().take(MOST_RECORDS).map(event_of).collect();
    let others = lost.len().saturating_sub(MOST_RECORDS);
    if others > 0 {
        events.push(ended(json!({ "lost": others })));
    }
    events
}

fn event_of(task: &LostTask) -> AuditEvent {
    let mut event = ended(json!({ "task": recorded(&task.digest), "lost": 1 }));
    event.principal = Some(Arc::new(known_as(&task.owner)));
    event.tool = Some(task.tool.clone().into());
    event
}

fn ended(detail: serde_json::Value) -> AuditEvent {
    let mut event = AuditEvent::new(Timestamp::now(), EventCode::TaskEnded, Outcome::Failed);
    event.detail = Some(detail.to_string().into());
    event
}

/// Who has begun a task, as far as the store knows: not by what credential. It may do nothing.
fn known_as(owner: &Subject) -> Principal {
    Principal {
        id: owner.clone(),
        kind: PrincipalKind::Unknown,
        client: "".into(),
        credential: "".into(),
        roles: Vec::new(),
        permissions: PermissionSet::default(),
        reach: PermissionSet::default(),
        recorded: Recorded::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_tasks_are_lost_the_records_are_bounded_and_count_them_all() {
        let task = LostTask { digest: [7; 32], owner: "ada".parse().unwrap(), tool: "t".into() };
        for (lost, records) in [(0, 0), (1, 1), (256, 256), (257, 257), (1_000, 257)] {
            let events = events(&vec![task.clone(); lost]);
            assert_eq!(events.len(), records, "{lost}");
            let details = events.iter().map(|event| event.detail.as_deref().unwrap());
            let told = details.map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
            assert_eq!(told.map(|detail| detail["lost"].as_u64().unwrap()).sum::<u64>(), lost as u64);
        }
    }
}
