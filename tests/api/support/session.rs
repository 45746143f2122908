//! A client of an older revision in its session.

use serde_json::{Value, json};

use super::{app::TestApp, events::Events, http::Reply, legacy, output, rpc::Rpc};

/// One session, as its client knows it.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) revision: &'static str,
}

/// Everything that a client can be asked.
pub(crate) fn everything() -> Value {
    json!({ "elicitation": {}, "sampling": {}, "roots": {} })
}

/// A handshake of `token` in `revision`.
pub(crate) fn handshake(revision: &str, token: &str, capabilities: Value) -> Rpc {
    legacy::handshake(revision).edit(|body| body["params"]["capabilities"] = capabilities).bearer(token)
}

impl Session {
    /// Begins one.
    #[track_caller]
    pub(crate) fn begin(app: &TestApp, revision: &'static str, token: &str) -> Self {
        let reply = handshake(revision, token, everything()).send(app);
        assert_eq!(reply.result()["protocolVersion"], revision);
        let id = reply.header("mcp-session-id").expect("no session").to_owned();
        // It opens nothing, and is nobody's business all the same.
        output::secret(&id);
        let session = Self { id, token: token.to_owned(), revision };
        let told = session.sent(legacy::notification(revision, "notifications/initialized"));
        assert_eq!(told.send(app).status, 202);
        session
    }

    /// `rpc` in this session.
    pub(crate) fn sent(&self, rpc: Rpc) -> Rpc {
        rpc.header("mcp-session-id", &self.id).bearer(&self.token)
    }

    /// One request in it.
    pub(crate) fn request(&self, method: &str, params: Value) -> Rpc {
        self.sent(legacy::request(self.revision, method, params))
    }

    /// A call of `tool` in it, known as `id`.
    pub(crate) fn call(&self, id: Value, tool: &str, arguments: Value) -> Rpc {
        self.sent(legacy::call(self.revision, tool, arguments)).edit(|body| body["id"] = id)
    }

    /// The answer `result` to our request `id`.
    pub(crate) fn answer(&self, id: &Value, result: Value) -> Rpc {
        self.sent(legacy::request(self.revision, "", Value::Null))
            .raw(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string())
    }

    /// A notification in it.
    pub(crate) fn notification(&self, method: &str, params: Value) -> Rpc {
        self.sent(legacy::notification(self.revision, method)).edit(|body| body["params"] = params)
    }

    /// A request of another method of HTTP.
    pub(crate) fn verb(&self, verb: &str) -> Rpc {
        let rpc = legacy::request(self.revision, "", Value::Null).verb(verb).raw("");
        self.sent(rpc.without("content-type").replace("accept", "text/event-stream"))
    }

    /// Ends it.
    #[track_caller]
    pub(crate) fn end(&self, app: &TestApp) -> Reply {
        self.verb("DELETE").send(app)
    }

    /// Its stream.
    #[track_caller]
    pub(crate) fn listen(&self, app: &TestApp) -> Events {
        Events::open(app, &self.verb("GET"))
    }

    /// The stream of the event `last`, from behind that on.
    #[track_caller]
    pub(crate) fn resume(&self, app: &TestApp, last: &str) -> Events {
        Events::open(app, &self.verb("GET").header("last-event-id", last))
    }
}
