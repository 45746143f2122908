//! The port [`Tasks`] on Redis.

use deadpool_redis::redis;
use serde::{Deserialize, Serialize};

use super::{
    Redis,
    db::{SWEPT_AT_ONCE, Swept},
    plan::Plan,
    records,
};
use crate::{
    domain::{Subject, Timestamp},
    store::{
        EndedTask, LostTask, StoreError, StoreFuture, TaskEnd, TaskMade, TaskRoom, TaskRow, Tasks,
        hex::{hex, unhex},
    },
};

/// What a record that does not read is.
pub(super) const WHAT: &str = "a task";

/// A task as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct TaskRecord {
    owner: Subject,
    tool: String,
    runner: String,
    created_at: Timestamp,
    due: Timestamp,
    until: Timestamp,
    ended: Option<EndRecord>,
}

/// How it ended.
#[derive(Serialize, Deserialize)]
struct EndRecord {
    how: Word,
    at: Timestamp,
    message: Option<String>,
    body: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Completed,
    Failed,
    Cancelled,
}

impl From<EndedTask> for EndRecord {
    fn from(end: EndedTask) -> Self {
        let how = match end.how {
            TaskEnd::Completed => Word::Completed,
            TaskEnd::Failed => Word::Failed,
            TaskEnd::Cancelled => Word::Cancelled,
        };
        Self { how, at: end.at, message: end.message, body: end.body }
    }
}

impl From<EndRecord> for EndedTask {
    fn from(end: EndRecord) -> Self {
        let how = match end.how {
            Word::Completed => TaskEnd::Completed,
            Word::Failed => TaskEnd::Failed,
            Word::Cancelled => TaskEnd::Cancelled,
        };
        Self { how, at: end.at, message: end.message, body: end.body }
    }
}

impl TaskRecord {
    /// From a task.
    pub(super) fn new(row: TaskRow) -> Self {
        let TaskRow { owner, tool, runner, created_at, due, until, ended, .. } = row;
        Self { owner, tool, runner, created_at, due, until, ended: ended.map(Into::into) }
    }

    /// The task of that digest.
    pub(super) fn row(self, digest: [u8; 32]) -> TaskRow {
        let Self { owner, tool, runner, created_at, due, until, ended } = self;
        TaskRow { digest, owner, tool, runner, created_at, due, until, ended: ended.map(Into::into) }
    }
}

impl Tasks for Redis {
    fn create_task<'a>(&'a self, row: &'a TaskRow, room: TaskRoom) -> StoreFuture<'a, TaskMade> {
        let row = row.clone();
        self.ask(async move |db| db.settle(async |plan| create(plan, &row, room).await).await)
    }

    fn end_task<'a>(&'a self, digest: &'a [u8; 32], end: EndedTask) -> StoreFuture<'a, bool> {
        let id = hex(digest);
        self.ask(async move |db| {
            Ok(db.settle(async |plan| self::end(plan, &id, &end).await).await?.is_some())
        })
    }

    fn find_task<'a>(&'a self, digest: &'a [u8; 32], now: Timestamp) -> StoreFuture<'a, Option<TaskRow>> {
        let digest = *digest;
        self.ask(async move |db| {
            let text = db.get(&db.names.task(&hex(&digest))).await?;
            let kept: Option<TaskRecord> = text.map(|text| records::read(&text, WHAT)).transpose()?;
            Ok(kept.filter(|kept| kept.until > now).map(|kept| kept.row(digest)))
        })
    }

    fn end_tasks_of<'a>(&'a self, runner: &'a str, end: EndedTask) -> StoreFuture<'a, Vec<LostTask>> {
        let runner = runner.to_owned();
        self.ask(async move |db| {
            let index = db.names.tasks_of_runner(&runner);
            let ids: Vec<String> = db.ask(redis::cmd("SMEMBERS").arg(&index)).await?;
            let mut lost = Vec::new();
            for id in &ids {
                let Some(digest) = unhex(id) else {
                    db.unreadable(WHAT);
                    continue;
                };
                let ended = db.settle(async |plan| self::end(plan, id, &end).await).await;
                // What does not read has no owner who could be told; it is swept at the end of its life.
                if let Err(StoreError::Corrupt(what)) = ended {
                    db.unreadable(what);
                } else if let Some(TaskRecord { owner, tool, .. }) = ended? {
                    lost.push(LostTask { digest, owner, tool });
                }
            }
            // Nobody else has this runner's name: what is left in it was forgotten long ago.
            let _left: u64 = db.ask(redis::cmd("DEL").arg(&index)).await?;
            Ok(lost)
        })
    }

    fn forget_tasks(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        self.ask(async move |db| db.sweep(async |plan| forget(plan, now).await).await)
    }
}

async fn create<'a>(
    mut plan: Plan<'a>,
    row: &TaskRow,
    room: TaskRoom,
) -> Result<(Plan<'a>, TaskMade), StoreError> {
    let names = plan.names();
    let (all, of_owner, version) = (names.tasks(), names.tasks_of_owner(&row.owner), names.tasks_version());
    // Whoever makes another one meanwhile takes its place: then it is counted anew.
    plan.get(&version).await?;
    let mut questions = redis::pipe();
    let live = format!("({}", row.created_at.micros());
    questions.cmd("ZCOUNT").arg(&all).arg(&live).arg("+inf");
    questions.cmd("ZCOUNT").arg(&of_owner).arg(&live).arg("+inf");
    let (in_all, of_one): (u64, u64) = plan.db().together(&questions).await?;
    if in_all >= room.of_all {
        return Ok((plan, TaskMade::OfAll));
    }
    if of_one >= room.of_one {
        return Ok((plan, TaskMade::OfOne));
    }
    plan.then(["ZREMRANGEBYSCORE", &of_owner, "-inf", &row.created_at.micros().to_string()]);
    enter(&mut plan, row)?;
    Ok((plan, TaskMade::Kept))
}

/// Puts a task into its place and into every index.
///
/// # Errors
/// [`StoreError`].
pub(super) fn enter(plan: &mut Plan<'_>, row: &TaskRow) -> Result<(), StoreError> {
    let (names, id, until) = (plan.names(), hex(&row.digest), row.until.micros().to_string());
    plan.set(names.task(&id), records::write(&TaskRecord::new(row.clone()), WHAT)?, Some(row.until));
    plan.then(["ZADD", &names.tasks(), &until, &id]);
    plan.then(["ZADD", &names.tasks_of_owner(&row.owner), &until, &id]);
    let change = if row.ended.is_none() { "SADD" } else { "SREM" };
    plan.then([change, &names.tasks_of_runner(&row.runner), &id]);
    plan.then(["INCR", &names.tasks_version()]);
    Ok(())
}

/// Ends a task; what it is then, if it had not ended.
async fn end<'a>(
    mut plan: Plan<'a>,
    id: &str,
    end: &EndedTask,
) -> Result<(Plan<'a>, Option<TaskRecord>), StoreError> {
    let Some(mut kept) = read(&mut plan, id).await?.filter(|kept| kept.ended.is_none()) else {
        return Ok((plan, None));
    };
    kept.ended = Some(end.clone().into());
    plan.set(plan.names().task(id), records::write(&kept, WHAT)?, Some(kept.until));
    plan.then(["SREM", &plan.names().tasks_of_runner(&kept.runner), id]);
    Ok((plan, Some(kept)))
}

async fn read(plan: &mut Plan<'_>, id: &str) -> Result<Option<TaskRecord>, StoreError> {
    let text = plan.get(&plan.names().task(id)).await?;
    text.map(|text| records::read(&text, WHAT)).transpose()
}

async fn forget(mut plan: Plan<'_>, now: Timestamp) -> Result<(Plan<'_>, Swept), StoreError> {
    let index = plan.names().tasks();
    let ids = plan.db().due(&index, now, SWEPT_AT_ONCE).await?;
    let mut dropped = 0;
    plan.look_at(ids.iter().map(|id| plan.names().task(id)).collect()).await?;
    for id in &ids {
        match remove(&mut plan, id).await {
            Ok(was_there) => dropped += u64::from(was_there),
            Err(StoreError::Corrupt(what)) => {
                plan.drop_unreadable(plan.names().task(id), what, (&index, id));
                dropped += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((plan, Swept { found: ids.len(), dropped }))
}

/// Takes a task out of its place and every index; says whether it was there.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn remove(plan: &mut Plan<'_>, id: &str) -> Result<bool, StoreError> {
    let kept = read(plan, id).await?;
    if let Some(kept) = &kept {
        plan.delete(plan.names().task(id));
        plan.then(["ZREM", &plan.names().tasks_of_owner(&kept.owner), id]);
        plan.then(["SREM", &plan.names().tasks_of_runner(&kept.runner), id]);
    }
    plan.then(["ZREM", &plan.names().tasks(), id]);
    Ok(kept.is_some())
}
