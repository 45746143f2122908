//! The port [`Tasks`] in memory.

use super::Memory;
use crate::{
    domain::Timestamp,
    store::{EndedTask, LostTask, StoreFuture, TaskMade, TaskRoom, TaskRow, Tasks},
};

impl Tasks for Memory {
    fn create_task<'a>(&'a self, row: &'a TaskRow, room: TaskRoom) -> StoreFuture<'a, TaskMade> {
        Box::pin(async move {
            let tasks = &mut self.0.lock().tasks;
            let live = || tasks.values().filter(|kept| kept.until > row.created_at);
            if live().count() as u64 >= room.of_all {
                return Ok(TaskMade::OfAll);
            }
            if live().filter(|kept| kept.owner == row.owner).count() as u64 >= room.of_one {
                return Ok(TaskMade::OfOne);
            }
            tasks.insert(row.digest, row.clone());
            Ok(TaskMade::Kept)
        })
    }

    fn end_task<'a>(&'a self, digest: &'a [u8; 32], end: EndedTask) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut tables = self.0.lock();
            let kept = tables.tasks.get_mut(digest).filter(|kept| kept.ended.is_none());
            Ok(kept.map(|kept| kept.ended = Some(end)).is_some())
        })
    }

    fn find_task<'a>(&'a self, digest: &'a [u8; 32], now: Timestamp) -> StoreFuture<'a, Option<TaskRow>> {
        Box::pin(async move { Ok(self.0.lock().tasks.get(digest).filter(|kept| kept.until > now).cloned()) })
    }

    fn end_tasks_of<'a>(&'a self, runner: &'a str, end: EndedTask) -> StoreFuture<'a, Vec<LostTask>> {
        Box::pin(async move {
            let mut tables = self.0.lock();
            let lost = tables.tasks.values_mut().filter(|kept| kept.runner == runner && kept.ended.is_none());
            let ended = lost.map(|kept| {
                kept.ended = Some(end.clone());
                LostTask { digest: kept.digest, owner: kept.owner.clone(), tool: kept.tool.clone() }
            });
            Ok(ended.collect())
        })
    }

    fn forget_tasks(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        Box::pin(
            async move { Ok(self.0.lock().tasks.extract_if(|_, kept| kept.until <= now).count() as u64) },
        )
    }
}
