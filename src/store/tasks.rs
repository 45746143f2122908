//! Calls that go on after their answer: that they exist, and how they ended.

use super::StoreFuture;
use crate::domain::{Subject, Timestamp};

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEnd {
    /// There is a result, be it that of a failure of the tool.
    Completed,
    /// There is an error of JSON-RPC.
    Failed,
    /// Neither: it was cancelled.
    Cancelled,
}

/// One task. Its id is not in here: whoever reads the store learns none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// SHA-256 of its id.
    pub digest: [u8; 32],
    /// Who has called.
    pub owner: Subject,
    /// The tool.
    pub tool: String,
    /// Who runs it: one word for each data directory, which only one server has open.
    pub runner: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it has ended at the latest: one that has not by then lost whoever ran it.
    pub due: Timestamp,
    /// When it is forgotten.
    pub until: Timestamp,
    /// How it ended; `None` before.
    pub ended: Option<EndedTask>,
}

/// The end of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTask {
    /// How.
    pub how: TaskEnd,
    /// When.
    pub at: Timestamp,
    /// What people read of it.
    pub message: Option<String>,
    /// The result or the error, JSON text of an object; empty for one that was cancelled.
    pub body: String,
}

/// A task that was ended because whoever ran it is gone: what is recorded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostTask {
    /// SHA-256 of its id.
    pub digest: [u8; 32],
    /// Who has called.
    pub owner: Subject,
    /// The tool.
    pub tool: String,
}

/// How many tasks there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRoom {
    /// Of one owner.
    pub of_one: u64,
    /// In all.
    pub of_all: u64,
}

/// What [`Tasks::create_task`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskMade {
    /// It is kept.
    Kept,
    /// Its owner has as many as one may have.
    OfOne,
    /// There are as many as there may be.
    OfAll,
}

/// Tasks that run, and the results of those that have ended, each until its end of life.
pub trait Tasks: Send + Sync {
    /// Keeps `row`, which has not ended and whose digest nobody else has, if there is room for it at the moment it
    /// was made: those past their end of life do not count.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): it is not known to be kept.
    fn create_task<'a>(&'a self, row: &'a TaskRow, room: TaskRoom) -> StoreFuture<'a, TaskMade>;

    /// Keeps how a task ended. The first end counts; `false` if it has one, or if there is no such task.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): nothing is known to be kept.
    fn end_task<'a>(&'a self, digest: &'a [u8; 32], end: EndedTask) -> StoreFuture<'a, bool>;

    /// The task of that digest, unless it is past its end of life at `now`.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn find_task<'a>(&'a self, digest: &'a [u8; 32], now: Timestamp) -> StoreFuture<'a, Option<TaskRow>>;

    /// Ends every task of `runner` that has not ended, as `end` says: it has just begun, so nobody runs them. Which
    /// they were, in no order.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn end_tasks_of<'a>(&'a self, runner: &'a str, end: EndedTask) -> StoreFuture<'a, Vec<LostTask>>;

    /// Forgets tasks that are past their end of life at `now`; how many.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn forget_tasks(&self, now: Timestamp) -> StoreFuture<'_, u64>;
}
