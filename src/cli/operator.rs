//! The person at this machine: what they do with a command is recorded like everything else, in a chain of its own process.

use std::sync::Arc;

use actix::Arbiter;
use serde_json::Value;

use crate::{
    actors::audit::Audit,
    app,
    domain::{AuditEvent, EventCode, Outcome, Principal, PrincipalKind, Timestamp},
    policy::Grant,
    settings::Settings,
};

/// Whoever sits at this machine, with what `grant` gives.
///
/// # Errors
/// Never in fact: the name of the operator is a valid one.
pub(super) fn principal(grant: Grant) -> anyhow::Result<Arc<Principal>> {
    Ok(Arc::new(Principal {
        id: "operator".parse()?,
        kind: PrincipalKind::Local,
        client: "cli".into(),
        credential: "local".into(),
        roles: grant.roles,
        permissions: grant.permissions,
        reach: grant.permissions,
    }))
}

/// Records that the person at this machine did something; returns once it is on disk.
///
/// # Errors
/// If it cannot be recorded: then it must not be done, or not be told.
pub(super) async fn record(settings: &Settings, event: EventCode, detail: &Value) -> anyhow::Result<()> {
    let arbiter = Arbiter::new();
    let audit = Audit::start(&arbiter.handle(), app::audit_config(settings)).await?;
    let mut record = AuditEvent::new(Timestamp::now(), event, Outcome::Ok);
    record.principal = Some(principal(Grant::default())?);
    record.detail = Some(detail.to_string().into());
    audit.record(record).await?;
    audit.close().await?;
    arbiter.stop();
    Ok(())
}
