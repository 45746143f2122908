//! What a command does is recorded like everything else, in a chain of its own process.

use std::sync::Arc;

use actix::Arbiter;
use serde_json::Value;

use crate::{
    actors::audit::Audit,
    app,
    domain::{AuditEvent, EventCode, Outcome, PermissionSet, Principal, PrincipalKind, Timestamp},
    settings::Settings,
};

/// Records that the person at this machine did something; returns once it is on disk.
///
/// # Errors
/// If it cannot be recorded: then it must not be done, or not be told.
pub(super) async fn record(settings: &Settings, event: EventCode, detail: &Value) -> anyhow::Result<()> {
    let arbiter = Arbiter::new();
    let audit = Audit::start(&arbiter.handle(), app::audit_config(settings)).await?;
    let mut record = AuditEvent::new(Timestamp::now(), event, Outcome::Ok);
    record.principal = Some(Arc::new(Principal {
        id: "operator".parse()?,
        kind: PrincipalKind::Local,
        client: "cli".into(),
        credential: "local".into(),
        roles: Vec::new(),
        permissions: PermissionSet::EMPTY,
    }));
    record.detail = Some(detail.to_string().into());
    audit.record(record).await?;
    audit.close().await?;
    arbiter.stop();
    Ok(())
}
