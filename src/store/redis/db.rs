//! What every port has at hand: single reads, and transactions that are planned here and settled there.

use std::{sync::LazyLock, time::Duration};

use deadpool_redis::redis::{self, Cmd, FromRedisValue, Pipeline, Script, ScriptInvocation};
use rand::RngExt as _;
use tokio::time::Instant;

use super::{
    link::{self, Link, Question},
    names::Names,
    plan::Plan,
};
use crate::{domain::Timestamp, store::StoreError};

/// How often a transaction is planned anew because what it was planned on has changed.
const TRIES: u32 = 24;
/// How long a transaction is planned anew, in times that one question may take.
const SETTLED_WITHIN: u32 = 4;
/// Longest pause before planning anew, grows with each try up to this times [`TRIES`].
const PAUSE: Duration = Duration::from_millis(4);

static COMMIT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("commit.lua")));

/// How many records one step of a sweep looks at.
pub(super) const SWEPT_AT_ONCE: usize = 128;

/// What one step of a sweep came to.
pub(super) struct Swept {
    /// How many it has looked at.
    pub(super) found: usize,
    /// How many of them are gone.
    pub(super) dropped: u64,
}

/// An opened Redis.
pub(super) struct Db {
    link: Link,
    /// What keys are called.
    pub(super) names: Names,
    timeout: Duration,
    generation: String,
}

impl Db {
    /// Not asked anything yet.
    pub(super) fn new(link: Link, names: Names, timeout: Duration) -> Self {
        Self { link, names, timeout, generation: String::new() }
    }

    /// From now on answers count only while the store's generation is this one.
    pub(super) fn bound_to(self, generation: String) -> Self {
        Self { generation, ..self }
    }

    /// The generation that answers count for.
    pub(super) fn generation(&self) -> &str {
        &self.generation
    }

    /// One command.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.link.ask(&Question::Command(command), self.timeout).await
    }

    /// Several commands in one go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn together<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreError> {
        self.link.ask(&Question::Together(commands), self.timeout).await
    }

    /// A script.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.link.ask(&Question::Script(script), self.timeout).await
    }

    /// The text under `key`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn get(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.ask(redis::cmd("GET").arg(key)).await
    }

    /// The texts under `keys`, in their order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn get_all(&self, keys: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(redis::cmd("MGET").arg(keys)).await
    }

    /// At most `most` members of `index` whose score is no later than `until`, the earliest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn due(
        &self,
        index: &str,
        until: Timestamp,
        most: usize,
    ) -> Result<Vec<String>, StoreError> {
        let mut question = redis::cmd("ZRANGEBYSCORE");
        question.arg(index).arg("-inf").arg(until.micros()).arg("LIMIT").arg(0).arg(most);
        self.ask(&question).await
    }

    /// Settles `step` until it finds fewer than [`SWEPT_AT_ONCE`]: small transactions, so that others get their turn.
    /// Says how many were dropped in all.
    ///
    /// # Errors
    /// Those of [`settle`](Self::settle); some may be gone already.
    pub(super) async fn sweep<'a>(
        &'a self,
        step: impl AsyncFn(Plan<'a>) -> Result<(Plan<'a>, Swept), StoreError>,
    ) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let Swept { found, dropped } = self.settle(&step).await?;
            all += dropped;
            if found < SWEPT_AT_ONCE {
                return Ok(all);
            }
        }
    }

    /// Is this still the store that was opened?
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if not.
    pub(super) fn recognise(&self, generation: Option<&str>) -> Result<(), StoreError> {
        if generation == Some(self.generation.as_str()) { Ok(()) } else { Err(replaced()) }
    }

    /// Plans a transaction and settles it; if anything that it was planned on has changed meanwhile, anew.
    ///
    /// # Errors
    /// Those of `plan`; [`StoreError::Busy`] if others were always faster.
    pub(super) async fn settle<'a, T>(
        &'a self,
        plan: impl AsyncFn(Plan<'a>) -> Result<(Plan<'a>, T), StoreError>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.timeout.saturating_mul(SETTLED_WITHIN);
        for tried in 0..TRIES {
            if Instant::now() >= deadline {
                break;
            }
            // Until it is settled nothing is done, so it can be given up.
            let planning = tokio::time::timeout_at(deadline, plan(Plan::new(self)));
            let (planned, outcome) = planning.await.unwrap_or_else(|_elapsed| Err(link::late()))?;
            if planned.is_empty() || self.commit(planned).await? {
                return Ok(outcome);
            }
            self.recognise(self.get(&self.names.generation()).await?.as_deref())?;
            let longest = PAUSE.saturating_mul(tried).as_micros();
            let pause = rand::rng().random_range(0..=u64::try_from(longest).unwrap_or(u64::MAX));
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
        Err(StoreError::Busy)
    }

    /// Whether it was done: not if something has changed.
    async fn commit(&self, plan: Plan<'_>) -> Result<bool, StoreError> {
        let (keys, arguments) = plan.into_script((self.names.generation(), self.generation.clone()))?;
        let mut script = COMMIT.prepare_invoke();
        for key in keys {
            script.key(key);
        }
        for argument in arguments {
            script.arg(argument);
        }
        self.run(&script).await
    }
}

fn replaced() -> StoreError {
    StoreError::Unavailable("it was emptied, restored or replaced".into())
}
