//! Cores that need nothing but what is in memory: reading a call, deciding on it, recording and answering it.

use std::{hint::black_box, net::Ipv4Addr, sync::Arc, time::Duration};

use futures_util::FutureExt;
use portcullis::{
    actors::audit::bench,
    app,
    domain::{AuditEvent, EventCode, Outcome, Principal, PrincipalKind, Recorded, RequestId},
    house::Views,
    policy::{self, CallTool, Permit, Roles},
    protocol::{Envelope, Id, Revision, Tree},
    settings::Settings,
    tools::{Call, Produced, Registry},
};

use super::{Core, tokens::now};

/// The tool that is called.
pub(super) const TOOL: &str = "get_weather";
const ARGUMENTS: &str = r#"{"city":"Oslo"}"#;
const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{"city":"Oslo"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1.0.0"}}}}"#;

/// The settings of a server for development, its roles and its tools. Nothing is opened, read or written.
pub(super) fn offered() -> (Settings, Roles, Registry) {
    let settings = Settings::development("unused".as_ref()).unwrap();
    let roles = app::roles(&settings).unwrap();
    let registry = app::bare_registry(&settings, &roles).unwrap();
    (settings, roles, registry)
}

/// A user.
pub(super) fn ada(roles: &Roles) -> Arc<Principal> {
    let permissions = roles.permissions_of("user").unwrap();
    Arc::new(Principal {
        id: "ada".parse().unwrap(),
        kind: PrincipalKind::Jwt,
        client: "bench".into(),
        credential: "0199a000-0000-7000-8000-000000000001".into(),
        roles: vec!["user".into()],
        permissions,
        reach: permissions,
        recorded: Recorded::default(),
    })
}

/// The body of a call is read: envelope, params, `_meta` and arguments.
pub(crate) struct Parse;

impl Core for Parse {
    fn ready() -> Self {
        Self
    }

    fn run(&mut self) {
        let envelope = Envelope::parse(black_box(BODY.as_bytes())).map_err(|(error, _)| error).unwrap();
        envelope.params.arguments.as_ref().unwrap().check_members().unwrap();
        black_box(envelope);
    }
}

/// The tool is found, and the decision made whether the caller may call it.
pub(crate) struct Decide {
    registry: Registry,
    caller: Arc<Principal>,
}

impl Core for Decide {
    fn ready() -> Self {
        let (_, roles, registry) = offered();
        Self { registry, caller: ada(&roles) }
    }

    fn run(&mut self) {
        let entry = self.registry.find(black_box(TOOL)).unwrap();
        let permit: Permit<CallTool> = policy::decide(black_box(&self.caller), entry.needs()).unwrap();
        black_box(permit);
    }
}

/// The record of a call is written as a line and linked into the chain.
pub(crate) struct Chain {
    chain: bench::Chain,
    event: AuditEvent,
}

impl Core for Chain {
    fn ready() -> Self {
        let (_, roles, _) = offered();
        let event = AuditEvent {
            principal: Some(ada(&roles)),
            ip: Some(Ipv4Addr::LOCALHOST.into()),
            user_agent: Some("bench/1.0".into()),
            path: Some("/mcp".into()),
            method: Some("tools/call".into()),
            tool: Some(TOOL.into()),
            arguments_digest: Some([0x5a; 32]),
            request_id: Some(RequestId::at(now())),
            duration_us: Some(123),
            ..AuditEvent::new(now(), EventCode::ToolCalled, Outcome::Ok)
        };
        Self { chain: bench::Chain::default(), event }
    }

    fn run(&mut self) {
        black_box(self.chain.record(black_box(&self.event)));
    }
}

/// The result of a tool is put into the answer.
pub(crate) struct Render {
    views: Views,
    produced: Produced,
}

impl Core for Render {
    fn ready() -> Self {
        let (settings, roles, registry) = offered();
        let entry = registry.find(TOOL).unwrap();
        let permit: Permit<CallTool> = policy::decide(&ada(&roles), entry.needs()).unwrap();
        let (call, arguments) = (Call::new(&permit), Tree::of_text(ARGUMENTS).unwrap());
        let begun = entry.begin_within(Duration::from_secs(1), &arguments, &call);
        let produced = begun.now_or_never().unwrap().unwrap();
        let (produced, _) = entry.finish(produced).unwrap();
        Self { views: Views::new(&settings.server.name, &registry), produced }
    }

    fn run(&mut self) {
        let id = Id::of_json(black_box("1")).unwrap();
        let dress = self.views.dress(Revision::July2026);
        black_box(dress.tool_result(id, self.produced.output(), self.produced.content()));
    }
}
