//! The connections: a pool for each topology, one deadline for each question, and what errors mean.

use std::time::Duration;

use deadpool_redis::{
    Config, Hook, HookError, PoolConfig, PoolError, Runtime, cluster,
    redis::{
        self, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, ScriptInvocation,
        ServerErrorKind, aio::ConnectionLike,
    },
    sentinel::{self, SentinelNodeConnectionInfo, SentinelServerType, TlsMode},
};

use super::place::Place;
use crate::store::StoreError;

/// What our connections are called in the server's list of clients.
const CLIENT_NAME: &str = "portcullis";

/// A pool of connections.
pub(super) enum Link {
    One(deadpool_redis::Pool),
    Cluster(cluster::Pool),
    Sentinel(sentinel::Pool),
}

impl Link {
    /// Makes the pool; nothing is connected yet.
    ///
    /// # Errors
    /// [`StoreError::Config`] for a URL that the client library does not read.
    pub(super) fn open(place: &Place, connections: usize) -> Result<Self, StoreError> {
        let fault = |_| StoreError::Config("is no URL of a Redis".into());
        let size = PoolConfig::new(connections);
        match place {
            Place::One(url) => {
                let mut config = Config::from_url(url.as_str());
                config.pool = Some(size);
                let builder = config.builder().map_err(|_| fault(()))?;
                let named = Hook::async_fn(|link, _| {
                    Box::pin(async move { name(link).await.map_err(HookError::Backend) })
                });
                Ok(Self::One(
                    builder.runtime(Runtime::Tokio1).post_create(named).build().map_err(|_| fault(()))?,
                ))
            }
            Place::Cluster(nodes) => {
                let mut config = cluster::Config::from_urls(nodes.clone());
                config.pool = Some(size);
                Ok(Self::Cluster(config.create_pool(Some(Runtime::Tokio1)).map_err(|_| fault(()))?))
            }
            Place::Sentinel { sentinels, service, node } => {
                let info = node.as_str().into_connection_info().map_err(|_| fault(()))?;
                let tls = node.starts_with("rediss:").then_some(TlsMode::Secure);
                let mut config = sentinel::Config::from_urls(
                    sentinels.clone(),
                    service.clone(),
                    SentinelServerType::Master,
                );
                config.node_connection_info = Some(SentinelNodeConnectionInfo {
                    tls_mode: tls,
                    redis_connection_info: Some(info.redis_settings().clone().into()),
                });
                config.pool = Some(size);
                let builder = config.builder().map_err(|_| fault(()))?;
                let named = sentinel::Hook::async_fn(|link, _| {
                    Box::pin(async move { name(link).await.map_err(HookError::Backend) })
                });
                Ok(Self::Sentinel(
                    builder.runtime(Runtime::Tokio1).post_create(named).build().map_err(|_| fault(()))?,
                ))
            }
        }
    }

    /// Asks `question` over a connection of the pool, all of it within `within`.
    ///
    /// # Errors
    /// [`StoreError`]. A connection that cannot write any more (its node was demoted, or is loading) is closed.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        question: &Question<'_>,
        within: Duration,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(within, self.ask_at_leisure(question))
            .await
            .unwrap_or_else(|_elapsed| Err(late()))
    }

    async fn ask_at_leisure<T: FromRedisValue>(&self, question: &Question<'_>) -> Result<T, StoreError> {
        match self {
            Self::One(pool) => {
                let mut link = pool.get().await.map_err(no_connection)?;
                let answer = question.put(&mut link).await;
                if answer.as_ref().err().is_some_and(is_useless) {
                    drop(deadpool_redis::Connection::take(link));
                }
                answer
            }
            Self::Cluster(pool) => {
                let mut link = pool.get().await.map_err(no_connection)?;
                let answer = question.put(&mut link).await;
                if answer.as_ref().err().is_some_and(is_useless) {
                    drop(cluster::Connection::take(link));
                }
                answer
            }
            Self::Sentinel(pool) => {
                let mut link = pool.get().await.map_err(no_connection)?;
                let answer = question.put(&mut link).await;
                if answer.as_ref().err().is_some_and(is_useless) {
                    drop(sentinel::Connection::take(link));
                }
                answer
            }
        }
        .map_err(|error| fault(&error))
    }
}

/// What is asked in one go.
pub(super) enum Question<'a> {
    /// One command.
    Command(&'a Cmd),
    /// Several commands, their answers together.
    Together(&'a Pipeline),
    /// A script, sent by its digest and whole only if the server does not know it.
    Script(&'a ScriptInvocation<'a>),
}

impl Question<'_> {
    async fn put<T: FromRedisValue>(&self, link: &mut (impl ConnectionLike + Send)) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(link).await,
            Self::Together(pipeline) => pipeline.query_async(link).await,
            Self::Script(script) => script.invoke_async(link).await,
        }
    }
}

async fn name(link: &mut (impl ConnectionLike + Send)) -> Result<(), RedisError> {
    redis::cmd("CLIENT").arg("SETNAME").arg(CLIENT_NAME).query_async(link).await
}

/// Whether no later question over the same connection can go better.
fn is_useless(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly};
    match error.kind() {
        ErrorKind::Server(kind) => matches!(kind, ReadOnly | BusyLoading | MasterDown | ClusterDown | Moved),
        _ => error.is_unrecoverable_error() || error.is_connection_dropped() || error.is_timeout(),
    }
}

/// The server's own words are left out, since they may quote what was sent; the kind says enough.
fn fault(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => StoreError::Corrupt("an answer"),
        ErrorKind::Server(_) if error.code() == Some("WRONGTYPE") => {
            StoreError::Corrupt("a record of another kind")
        }
        ErrorKind::Extension if error.code() == Some("WRONGTYPE") => {
            StoreError::Corrupt("a record of another kind")
        }
        _ => {
            let code =
                error.code().filter(|code| code.bytes().all(|b| b.is_ascii_uppercase())).unwrap_or_default();
            StoreError::Unavailable(format!("{} {code}", error.category()).trim_end().to_owned().into())
        }
    }
}

fn no_connection(error: PoolError) -> StoreError {
    match error {
        PoolError::Timeout(_) => late(),
        PoolError::Backend(error) => fault(&error),
        _ => StoreError::Unavailable("no connection to be had".into()),
    }
}

/// The answer to what took too long.
pub(super) fn late() -> StoreError {
    StoreError::Unavailable("it did not answer in time".into())
}
