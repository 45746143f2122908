//! The person at this machine: what they do with a command is recorded like everything else, in a chain of its own process.

use std::sync::Arc;

use actix::Arbiter;
use anyhow::Context as _;
use serde_json::Value;

use crate::{
    actors::audit::Audit,
    app,
    domain::{AuditEvent, EventCode, Outcome, Principal, PrincipalKind, Recorded, Timestamp},
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
        recorded: Recorded::default(),
    }))
}

/// Records that the person at this machine did something; returns once it is on disk.
///
/// # Errors
/// If it cannot be recorded: then it must not be done, or not be told.
pub(super) async fn record(settings: &Settings, event: EventCode, detail: &Value) -> anyhow::Result<()> {
    recorded(settings, event, detail, async { Ok(()) }).await
}

/// Does `work` and records it, with how it ended; its place in the log is reserved before.
///
/// # Errors
/// Those of `work`, and if it cannot be recorded: before, then nothing was done; afterwards, then it says so.
pub(super) async fn recorded(
    settings: &Settings,
    event: EventCode,
    detail: &Value,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    write(settings, (event, None), detail, work).await
}

/// As [`recorded`], for what somebody should look at: an alert for this `reason`.
///
/// # Errors
/// As [`recorded`].
pub(super) async fn recorded_alert(
    settings: &Settings,
    reason: &'static str,
    detail: &Value,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    write(settings, (EventCode::AlertRaised, Some(reason)), detail, work).await
}

async fn write(
    settings: &Settings,
    (event, reason): (EventCode, Option<&'static str>),
    detail: &Value,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let arbiter = Arbiter::new();
    let audit = Audit::start(&arbiter.handle(), app::audit_config(settings)).await?;
    let slot = audit.lane().reserve()?;
    let done = work.await;
    let outcome = if done.is_ok() { Outcome::Ok } else { Outcome::Error };
    let mut record = AuditEvent::new(Timestamp::now(), event, outcome);
    record.principal = Some(principal(Grant::default())?);
    record.reason = reason;
    record.detail = Some(detail.to_string().into());
    let kept = slot.write(record).committed().await;
    let closed = audit.close().await;
    arbiter.stop();
    done?;
    kept.and(closed).context("it is done, but not recorded")
}
