//! What every port has at hand: single reads, and transactions that are planned here and settled there.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use deadpool_redis::redis::{self, Cmd, FromRedisValue, Pipeline, Script, ScriptInvocation};
use rand::RngExt as _;
use tokio::time::Instant;

use super::{
    guarded::Guarded,
    link::{self, Copies, Question},
    names::Names,
    plan::Plan,
};
use crate::{
    domain::Timestamp,
    store::{StoreError, Unconfirmed},
};

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
    link: Guarded,
    /// What keys are called.
    pub(super) names: Names,
    generation: ArcSwap<String>,
    unconfirmed: Unconfirmed,
}

impl Db {
    /// Not asked anything yet.
    pub(super) fn new(link: Guarded, names: Names, unconfirmed: Unconfirmed) -> Self {
        Self { link, names, generation: ArcSwap::default(), unconfirmed }
    }

    /// From now on answers count only while the store's generation is this one.
    pub(super) fn bind(&self, generation: &str) {
        self.generation.store(Arc::new(generation.to_owned()));
    }

    /// Lets go of every connection that nobody uses at the moment, and of those that are being made.
    pub(super) fn forget_connections(&self) {
        self.link.forget_connections();
    }

    /// One record was unreadable, and was passed over or dropped.
    pub(super) fn unreadable(&self, what: &'static str) {
        tracing::warn!(store.record = what, "a record in the store does not read: it is passed over");
        self.link.failures().unreadable(what);
    }

    /// The generation that answers count for.
    pub(super) fn generation(&self) -> Arc<String> {
        self.generation.load_full()
    }

    /// One command.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.link.ask(&Question::Command(command)).await
    }

    /// Several commands in one go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn together<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreError> {
        self.link.ask(&Question::Together(commands)).await
    }

    /// As [`together`](Self::together), when there is no connection yet: one that takes longer to be made than a question
    /// may take is there for a second one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn first<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreError> {
        match self.together(commands).await {
            Err(error) if error == link::late() => self.together(commands).await,
            answer => answer,
        }
    }

    /// Several commands in one go, which a replica could answer too, and must not: it may lag or be cut off.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn of_master<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreError> {
        self.link.ask(&Question::OfMaster(commands)).await
    }

    /// A script.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.link.ask(&Question::Script(script)).await
    }

    /// A script, and `second` in its place if it may have been done, and the answer got lost with the connection.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn run_or<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        second: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.link.ask(&Question::Else(script, second)).await
    }

    /// A script that answers a number, which is below 0 if it has found another store.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is written then.
    pub(super) async fn counted(&self, script: &ScriptInvocation<'_>) -> Result<u32, StoreError> {
        let answer: i64 = self.run(script).await?;
        u32::try_from(answer).map_err(|_| StoreError::Replaced)
    }

    /// What the node that holds our names says of itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn info(&self, section: &str) -> Result<String, StoreError> {
        let mut command = redis::cmd("INFO");
        command.arg(section);
        self.link.ask(&Question::Of(&self.names.generation(), &command)).await
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
    /// [`StoreError::Replaced`] if not.
    pub(super) fn recognise(&self, generation: Option<&str>) -> Result<(), StoreError> {
        if generation == Some(self.generation().as_str()) { Ok(()) } else { Err(StoreError::Replaced) }
    }

    /// Plans a transaction and settles it; if anything that it was planned on has changed meanwhile, anew.
    ///
    /// # Errors
    /// Those of `plan`; [`StoreError::Busy`] if others were always faster.
    pub(super) async fn settle<'a, T>(
        &'a self,
        plan: impl AsyncFn(Plan<'a>) -> Result<(Plan<'a>, T), StoreError>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.link.within().saturating_mul(SETTLED_WITHIN);
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
        let (is_grave, same) = (plan.is_grave(), self.names.generation());
        let (keys, arguments) = plan.into_script((same.clone(), self.generation().as_str().to_owned()))?;
        let mut script = COMMIT.prepare_invoke();
        for key in keys {
            script.key(key);
        }
        for argument in arguments {
            script.arg(argument);
        }
        if !is_grave {
            return self.run(&script).await;
        }
        let question = Question::Confirmed(&script, &same, self.link.within() / 2);
        let (done, copies): (bool, i64) = self.link.ask(&question).await?;
        if done && Copies::read(copies) == Copies::Unconfirmed {
            tracing::warn!("no replica of the store has confirmed in time what was revoked");
            self.unconfirmed.count();
        }
        Ok(done)
    }
}
