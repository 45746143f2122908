//! One connection: to a node, or to all nodes of a cluster.

use std::time::{Duration, Instant};

use deadpool_redis::redis::{
    self, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisFuture, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
};

/// What our connections are called in the server's list of clients.
const CLIENT_NAME: &str = "portcullis";

/// How long after an answer somebody is taken to be there.
const LIVELY: Duration = Duration::from_millis(250);

/// One connection, and when its making was begun.
pub(super) struct Wire {
    /// Where it leads.
    line: Line,
    /// Whatever has changed since then it may not know of.
    pub(super) begun: Instant,
    /// When the last answer came; none since another question was put.
    heard: Option<Instant>,
}

/// Where a connection leads.
#[derive(Clone)]
pub(super) enum Line {
    /// To one node.
    Node(MultiplexedConnection),
    /// To all nodes of a cluster.
    Cluster(ClusterConnection),
}

impl Line {
    /// To `node`, which is told who we are, and has to be a master if `master` says so.
    ///
    /// # Errors
    /// [`RedisError`]; of a replica as if it had refused to write.
    pub(super) async fn introduced(
        mut node: MultiplexedConnection,
        master: bool,
    ) -> Result<Self, RedisError> {
        let mut questions = redis::pipe();
        questions.cmd("CLIENT").arg("SETNAME").arg(CLIENT_NAME);
        if master {
            questions.cmd("ROLE");
        }
        let answers = node.req_packed_commands(&questions, 0, questions.len()).await?;
        // One by one: of several at once the library does not say what the server has refused.
        let answers: Vec<Value> = answers.into_iter().map(Value::extract_error).collect::<Result<_, _>>()?;
        match answers.get(1) {
            Some(role) if !is_master(role) => Err(demoted()),
            _ => Ok(Self::Node(node)),
        }
    }
}

impl Wire {
    /// One that was just made.
    pub(super) fn new(line: Line, begun: Instant) -> Self {
        Self { line, begun, heard: Some(Instant::now()) }
    }

    /// A question is put; whether it was answered is not known from now on.
    pub(super) fn ask(&mut self) {
        self.heard = None;
    }

    /// The question was answered.
    pub(super) fn is_answered(&mut self) {
        self.heard = Some(Instant::now());
    }

    /// Whether there was an answer a moment ago.
    pub(super) fn is_lively(&self) -> bool {
        self.heard.is_some_and(|heard| heard.elapsed() < LIVELY)
    }

    /// Asks the holder of `key` whether it is there.
    ///
    /// # Errors
    /// [`RedisError`].
    pub(super) async fn prove(&mut self, key: &str) -> Result<(), RedisError> {
        self.ask();
        let answer = self.ask_holder(key, redis::cmd("PING")).await?;
        if String::from_redis_value(answer)? != "PONG" {
            return Err(RedisError::from((ErrorKind::UnexpectedReturnType, "no PONG")));
        }
        self.is_answered();
        Ok(())
    }

    /// Asks the node that holds `key`, over the connection over which that is written.
    pub(super) async fn ask_holder(&mut self, key: &str, command: Cmd) -> Result<Value, RedisError> {
        match &mut self.line {
            Line::Node(node) => node.send_packed_command(&command).await?.extract_error(),
            Line::Cluster(cluster) => {
                let holder = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                cluster.route_command(command, RoutingInfo::SingleNode(holder)).await
            }
        }
    }

    /// Asks several things that a replica could answer too, but of a master. In a cluster a replica sends us away by
    /// itself; a node alone is asked in the same go.
    ///
    /// # Errors
    /// [`RedisError`]; of a replica as if it had refused to write.
    pub(super) async fn ask_master<T: FromRedisValue>(
        &mut self,
        questions: &Pipeline,
    ) -> Result<T, RedisError> {
        let Line::Node(node) = &mut self.line else { return questions.query_async(self).await };
        let mut questions = questions.clone();
        questions.cmd("ROLE");
        let mut answers: Vec<Value> = questions.query_async(node).await?;
        if !answers.pop().as_ref().is_some_and(is_master) {
            return Err(demoted());
        }
        Ok(T::from_redis_value(Value::Array(answers))?)
    }
}

/// Whether that is what a master answers to `ROLE`.
fn is_master(role: &Value) -> bool {
    let Value::Array(parts) = role else { return false };
    match parts.first() {
        Some(Value::BulkString(name)) => name == b"master",
        Some(Value::SimpleString(name)) => name == "master",
        _ => false,
    }
}

fn demoted() -> RedisError {
    RedisError::from((ErrorKind::Server(ServerErrorKind::ReadOnly), "it is a replica"))
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match &mut self.line {
            Line::Node(node) => node.req_packed_command(command),
            Line::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match &mut self.line {
            Line::Node(node) => node.req_packed_commands(commands, offset, count),
            Line::Cluster(cluster) => cluster.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match &self.line {
            Line::Node(node) => node.get_db(),
            Line::Cluster(cluster) => cluster.get_db(),
        }
    }
}
