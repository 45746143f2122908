//! The actor, its disk and its readers together.

mod crash;
mod disk;
mod flow;
mod insight;
mod lost;
mod record;
mod rotation;

use std::{path::Path, sync::Arc};

use actix::Arbiter;

use super::{Audit, AuditConfig, disk::Disk};
use crate::domain::{AuditEvent, EventCode, Outcome, Timestamp};

/// One audit log on a thread of its own.
struct House {
    audit: Audit,
    arbiter: Arbiter,
}

impl House {
    async fn start(config: AuditConfig) -> Self {
        Self::start_on(config, Arc::new(super::disk::RealDisk)).await
    }

    async fn start_on(config: AuditConfig, disk: Arc<dyn Disk>) -> Self {
        let arbiter = Arbiter::new();
        let audit = Audit::start_on(&arbiter.handle(), config, disk).await.unwrap();
        Self { audit, arbiter }
    }

    /// Ends it as a crash would: no last batch, no checkpoint; the lock goes with the process.
    fn crash(self) {
        self.arbiter.stop();
        self.arbiter.join().unwrap();
        self.audit.shared_for_tests().desk.home().release();
    }

    /// Ends it in order.
    async fn close(self) {
        self.audit.close().await.unwrap();
        self.arbiter.stop();
    }
}

fn called(tool: &str) -> AuditEvent {
    AuditEvent {
        tool: Some(tool.to_owned().into()),
        ..AuditEvent::new(Timestamp::now(), EventCode::ToolCalled, Outcome::Ok)
    }
}

/// The `tool` of every `tool.called` record below `dir`, in order.
fn tools(dir: &Path) -> Vec<String> {
    let filter = super::Filter { event: Some("tool.called".into()), ..Default::default() };
    super::query(dir, filter).unwrap().map(|found| found.unwrap().record.tool.unwrap()).collect()
}

/// The `reason` of every alert below `dir`, in order.
fn alerts(dir: &Path) -> Vec<String> {
    let filter = super::Filter { event: Some("alert.raised".into()), ..Default::default() };
    super::query(dir, filter).unwrap().map(|found| found.unwrap().record.reason.unwrap()).collect()
}

fn assert_verifies(dir: &Path) {
    let report = super::verify(dir, None).unwrap();
    assert!(report.ok(), "{:#?}", report.problems);
}
