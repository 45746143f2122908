//! Answers that come as events, read as they come.

use serde_json::{Value, json};

use super::{
    app::TestApp,
    http::{Connection, Reply},
    rpc::Rpc,
};

/// One stream of events.
#[derive(Debug)]
pub(crate) struct Events {
    /// The head of the answer.
    pub(crate) head: Reply,
    connection: Connection,
    unread: String,
    is_over: bool,
    /// The name of the last event that had one.
    pub(crate) last: Option<String>,
    /// Whether the first event said nothing but its name.
    pub(crate) is_primed: bool,
}

impl Events {
    /// Sends `rpc` on a connection of its own; what comes must be events.
    #[track_caller]
    pub(crate) fn open(app: &TestApp, rpc: &Rpc) -> Self {
        let mut connection = app.connect();
        connection.send(rpc.bytes());
        Self::on(connection)
    }

    /// The answer that comes next on `connection`, which must be events.
    #[track_caller]
    pub(crate) fn on(mut connection: Connection) -> Self {
        let head = connection.head().expect("the connection ended without an answer");
        Self::behind(connection, head)
    }

    /// The events that stand behind `head`.
    #[track_caller]
    fn behind(connection: Connection, head: Reply) -> Self {
        assert_eq!(head.status, 200, "{head:?}");
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
            ("transfer-encoding", "chunked"),
        ] {
            assert_eq!(head.header(name), Some(value), "{head:?}");
        }
        Self { head, connection, unread: String::new(), is_over: false, last: None, is_primed: false }
    }

    /// The next event's bytes; `None` once the stream has ended as it should, or its connection has.
    fn block(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.unread.find("\n\n") {
                let rest = self.unread.split_off(at + 2);
                return Some(std::mem::replace(&mut self.unread, rest));
            }
            if self.is_over {
                assert_eq!(self.unread, "", "half an event");
                return None;
            }
            let chunk = self.connection.chunk()?;
            self.is_over = chunk.is_empty();
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next message; comments are passed over.
    pub(crate) fn next(&mut self) -> Option<Value> {
        loop {
            let block = self.block()?;
            if block.starts_with(':') {
                continue;
            }
            let (name, rest) = match block.strip_prefix("id: ") {
                Some(named) => named.split_once('\n').map(|(name, rest)| (Some(name), rest)).unwrap(),
                None => (None, &*block),
            };
            if let Some(rest) = rest.strip_prefix("retry: ") {
                assert!(rest.ends_with("\ndata: \n\n") && self.last.is_none(), "{block:?}");
                self.is_primed = true;
            }
            self.last = name.map(str::to_owned).or(self.last.take());
            if rest.starts_with("retry: ") {
                continue;
            }
            let data = rest.strip_prefix("data: ").unwrap_or_else(|| panic!("{block:?}"));
            assert_eq!(data.matches('\n').count(), 2, "an event is one line: {block:?}");
            let message = serde_json::from_str(data).unwrap();
            self.connection.heard(&message);
            return Some(message);
        }
    }

    /// The next message, which must be there and be a notification of `method`; gives its params.
    #[track_caller]
    pub(crate) fn told(&mut self, method: &str) -> Value {
        let mut message = self.next().expect("the stream has ended");
        assert_eq!((message["method"].as_str(), message.get("id")), (Some(method), None), "{message}");
        message["params"].take()
    }

    /// The next message, which must be the last and a result; gives it.
    #[track_caller]
    pub(crate) fn result(&mut self) -> Value {
        let mut message = self.next().expect("the stream has ended");
        assert!(message["result"].is_object(), "{message}");
        assert_eq!(self.next(), None, "the answer is the last event");
        assert!(self.is_over, "the stream ends as it should");
        message["result"].take()
    }

    /// Everything up to the end.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Whether there is something to be read already; does not wait.
    pub(crate) fn has_more(&mut self) -> bool {
        !self.unread.is_empty() || self.connection.has_answer()
    }

    /// Whether the connection has ended, the stream as it should or not.
    pub(crate) fn connection(self) -> Connection {
        self.connection
    }
}

/// What comes for `rpc`: the head, and its messages whether they come whole, as a batch or as events; of a stream that
/// does not end by itself the first one.
#[track_caller]
pub(crate) fn exchange(app: &TestApp, rpc: &Rpc) -> (Reply, Vec<Value>) {
    let mut connection = app.connect();
    connection.send(rpc.bytes());
    let head = connection.head().expect("the connection ended without an answer");
    if head.header("content-type") == Some("text/event-stream") {
        let mut events = Events::behind(connection, head.clone());
        let is_endless = rpc.text().contains("subscriptions/listen");
        return (head, if is_endless { events.next().into_iter().collect() } else { events.rest() });
    }
    let reply = connection.whole(head).expect("half an answer");
    let messages = match reply.body.is_empty() {
        true => Vec::new(),
        false => match reply.json() {
            Value::Array(all) => all,
            one => vec![one],
        },
    };
    (reply, messages)
}

/// A request to be told of `notifications`, known as `id`.
pub(crate) fn listen(id: Value, notifications: &Value) -> Rpc {
    Rpc::new("subscriptions/listen", json!({ "notifications": notifications })).edit(|body| body["id"] = id)
}
