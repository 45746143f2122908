//! The connections: a pool for each topology, one deadline for each question, and what errors mean.

use std::time::{Duration, Instant};

use deadpool::managed::{Object, Pool, PoolError};
use deadpool_redis::redis::{
    self, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ScriptInvocation, ServerErrorKind, Value,
};

use super::{
    ACCOUNT_NEEDS,
    master::Master,
    opener::{self, Opener, Target},
    wire::Wire,
};
use crate::store::StoreError;

/// A pool of connections.
pub(super) struct Link(Pool<Opener>);

impl Link {
    /// Makes the pool; nothing is connected yet. Connections from before a master was replaced are not used again.
    ///
    /// # Errors
    /// [`StoreError::Config`] for a URL that the client library does not read.
    pub(super) fn open(target: Target<'_>, connections: usize) -> Result<Self, StoreError> {
        let opener = Opener::new(target).map_err(|_| no_way())?;
        let built = Pool::builder(opener).max_size(connections).build();
        Ok(Self(built.map_err(|_| StoreError::Config("makes no pool of connections".into()))?))
    }

    /// Asks `question` over a connection of the pool, all of it within `within`.
    ///
    /// # Errors
    /// [`StoreError`]. A connection that cannot write any more (its node was demoted, or is loading) is closed.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        question: &Question<'_>,
        within: Duration,
    ) -> Result<T, Unanswered> {
        tokio::time::timeout(within, self.ask_at_leisure(question))
            .await
            .unwrap_or_else(|_elapsed| Err(Unanswered::Lost(late())))
    }

    /// Lets go of every connection that nobody uses at the moment, and of those that are being made.
    pub(super) fn forget_connections(&self) {
        self.0.manager().forget();
        drop(self.0.retain(|_, _| false));
    }

    /// Lets go of the connections from before that moment that nobody uses: each might be as dead as the last, and to
    /// find that out takes as long as a question may. Those that came later, and are being made, may well be good.
    pub(super) fn forget_connections_before(&self, moment: Instant) {
        drop(self.0.retain(|_, made| made.created >= moment));
    }

    async fn ask_at_leisure<T: FromRedisValue>(&self, question: &Question<'_>) -> Result<T, Unanswered> {
        let second = question.second();
        let (link, is_proven) = self.wire(second.is_some()).await.map_err(no_connection)?;
        let mut answer = self.put(question, link).await;
        if let Some(second) = second.filter(|_| !is_proven)
            && answer.as_ref().err().is_some_and(is_cut)
        {
            // The others that were heard a moment ago may be cut as well.
            let (link, _) = self.wire(false).await.map_err(no_connection)?;
            answer = self.put(&second, link).await;
        }
        answer.map_err(|error| {
            if is_elsewhere(&error) {
                // The others lead to the same node, those of the other pool too.
                self.0.manager().is_demoted();
                self.forget_connections();
            }
            unanswered(&error)
        })
    }

    async fn put<T: FromRedisValue>(
        &self,
        question: &Question<'_>,
        mut link: Object<Opener>,
    ) -> Result<T, RedisError> {
        link.ask();
        let answer = question.put(&mut link, self.0.manager().master()).await;
        if answer.as_ref().err().is_some_and(is_useless) {
            drop(Object::take(link));
        } else {
            link.is_answered();
        }
        answer
    }

    /// A connection, and whether somebody is known to be there: nobody may be if it `may_fail`.
    async fn wire(&self, may_fail: bool) -> Result<(Object<Opener>, bool), PoolError<RedisError>> {
        loop {
            let link = self.0.get().await?;
            if Object::metrics(&link).recycle_count == 0 {
                return Ok((link, true));
            }
            if may_fail && link.is_lively() {
                return Ok((link, false));
            }
            let mut doubted = Doubted(Some(link));
            let Some(link) = doubted.0.as_mut() else { continue };
            if self.0.manager().prove(link).await.is_ok()
                && let Some(link) = doubted.0.take()
            {
                return Ok((link, true));
            }
        }
    }
}

/// One that is asked whether anybody is there. It is closed unless it says so, also if whoever asks is given up.
struct Doubted(Option<Object<Opener>>);

impl Drop for Doubted {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            drop(Object::take(link));
        }
    }
}

/// Why there is no answer that could be used.
pub(super) enum Unanswered {
    /// Nothing came, or nothing that a Redis in its right mind says.
    Lost(StoreError),
    /// The server has refused.
    Refused(StoreError),
}

impl Unanswered {
    /// Whether the server has said it itself.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// What whoever asked is told.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Lost(error) | Self::Refused(error) => error,
        }
    }
}

/// What is asked in one go.
pub(super) enum Question<'a> {
    /// One command.
    Command(&'a Cmd),
    /// Several commands, their answers together.
    Together(&'a Pipeline),
    /// Several commands in one go, which a replica could answer too, and must not.
    OfMaster(&'a Pipeline),
    /// A script, sent by its digest and whole only if the server does not know it.
    Script(&'a ScriptInvocation<'a>),
    /// The same, and what is asked in its place if the connection was cut before there was an answer: it may have been
    /// done. Only then a connection over which somebody was heard a moment ago need not be looked at first.
    Else(&'a ScriptInvocation<'a>, &'a ScriptInvocation<'a>),
    /// A script, and if it answers 1, on how many replicas of the node that holds its key that is: the answers of both.
    /// For the second see [`Copies`].
    Confirmed(&'a ScriptInvocation<'a>, &'a str, Duration),
    /// A command to the node that holds that key.
    Of(&'a str, &'a Cmd),
}

/// On how many replicas a write is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    /// The node has none, and never had any that we know of.
    Needless,
    /// On one at least.
    Made,
    /// There are or were some, and none has said so in time; or it is not known whether there are.
    Unconfirmed,
}

impl Copies {
    const UNCONFIRMED: i64 = -1;

    /// From the second answer of [`Question::Confirmed`].
    pub(super) fn read(answer: i64) -> Self {
        match answer {
            0 => Self::Needless,
            1.. => Self::Made,
            _ => Self::Unconfirmed,
        }
    }
}

impl Question<'_> {
    /// What is asked if the connection was cut before there was an answer.
    fn second(&self) -> Option<Self> {
        match self {
            Self::Else(_, second) => Some(Self::Script(second)),
            _ => None,
        }
    }

    async fn put<T: FromRedisValue>(&self, link: &mut Wire, master: &Master) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(link).await,
            Self::Together(pipeline) => pipeline.query_async(link).await,
            Self::OfMaster(pipeline) => link.ask_master(pipeline).await,
            Self::Script(script) | Self::Else(script, _) => script.invoke_async(link).await,
            Self::Of(key, command) => {
                Ok(T::from_redis_value(link.ask_holder(key, (*command).clone()).await?)?)
            }
            Self::Confirmed(script, key, within) => {
                let done: i64 = script.invoke_async(link).await?;
                // What is written stands, whatever comes of the rest.
                let copies = match done {
                    1 => tokio::time::timeout(*within, copies(link, master, (key, *within))).await,
                    _ => Ok(Ok(0)),
                };
                let copies = copies.ok().and_then(Result::ok).unwrap_or(Copies::UNCONFIRMED);
                Ok(T::from_redis_value(Value::Array(vec![Value::Int(done), Value::Int(copies)]))?)
            }
        }
    }
}

/// How many replicas have what was written last over `link` to the holder of `key`, waiting for one for as long as
/// that: 0 if there are none and need not be, -1 if none has said so.
async fn copies(
    link: &mut Wire,
    master: &Master,
    (key, within): (&str, Duration),
) -> Result<i64, RedisError> {
    let mut command = redis::cmd("INFO");
    command.arg("replication");
    let told = String::from_redis_value(link.ask_holder(key, command).await?)?;
    match told.lines().find_map(|line| line.trim_end().strip_prefix("connected_slaves:")) {
        // One that has just taken over has none yet, and one whose replicas are cut off has none any more.
        Some("0") if master.should_have_replicas() => return Ok(Copies::UNCONFIRMED),
        Some("0") => return Ok(0),
        Some(_) => master.has_replicas(),
        None => {}
    }
    let mut command = redis::cmd("WAIT");
    // It has to end by itself before it is given up: what is asked next over this connection would wait for it.
    command.arg(1).arg(u64::try_from((within / 2).as_millis()).unwrap_or(u64::MAX).max(1));
    let made = i64::from_redis_value(link.ask_holder(key, command).await?)?;
    Ok(if made > 0 { made } else { Copies::UNCONFIRMED })
}

/// Whether no later question over the same connection can go better.
fn is_useless(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly};
    match error.kind() {
        ErrorKind::Server(kind) => matches!(kind, ReadOnly | BusyLoading | MasterDown | ClusterDown | Moved),
        // After what is no answer at all, nobody knows where the next one begins.
        ErrorKind::Parse => true,
        _ => error.is_unrecoverable_error() || error.is_connection_dropped() || error.is_timeout(),
    }
}

/// Whether the connection is at its end, which says nothing of the node.
fn is_cut(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.is_io_error()
}

/// Whether the node was demoted, or does not know yet what it is.
fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind::{MasterDown, ReadOnly};
    matches!(error.kind(), ErrorKind::Server(ReadOnly | MasterDown))
}

fn unanswered(error: &RedisError) -> Unanswered {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly};
    match error.kind() {
        // It says itself that it can answer nothing that counts.
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly) => {
            Unanswered::Lost(fault(error))
        }
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType => {
            Unanswered::Refused(fault(error))
        }
        _ => Unanswered::Lost(fault(error)),
    }
}

/// The server's own words are left out, since they may quote what was sent; the kind says enough.
fn fault(error: &RedisError) -> StoreError {
    if let Some(why) = opener::mistrust(error) {
        return StoreError::Unavailable(why.into());
    }
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => StoreError::Corrupt("an answer"),
        ErrorKind::Server(_) | ErrorKind::Extension if error.code() == Some("WRONGTYPE") => {
            StoreError::Corrupt("a record of another kind")
        }
        _ if is_forbidden(error) => {
            let code = error.code().unwrap_or("WRONGPASS");
            let needs = format!("it refuses us ({code}): the account in store.url needs {ACCOUNT_NEEDS}");
            StoreError::Unavailable(needs.into())
        }
        _ => {
            let code =
                error.code().filter(|code| code.bytes().all(|b| b.is_ascii_uppercase())).unwrap_or_default();
            StoreError::Unavailable(format!("{} {code}", error.category()).trim_end().to_owned().into())
        }
    }
}

/// Whether the password is missing or wrong, or the account may not do what we do.
fn is_forbidden(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm))
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

fn no_connection(error: PoolError<RedisError>) -> Unanswered {
    Unanswered::Lost(match error {
        PoolError::Timeout(_) => late(),
        PoolError::Backend(error) => fault(&error),
        _ => StoreError::Unavailable("no connection to be had".into()),
    })
}

/// The answer to a URL that the client library does not read.
pub(super) fn no_way() -> StoreError {
    StoreError::Config("and the certificates with it are no way to a Redis".into())
}

/// The answer to what took too long.
pub(super) fn late() -> StoreError {
    StoreError::Unavailable("it did not answer in time".into())
}
