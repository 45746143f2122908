//! What the audit log is told when it starts.

use std::{path::PathBuf, time::Duration};

use crate::settings;

/// When an event counts as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk: a reply waits for the `fdatasync` that holds its record.
    Durable,
    /// When it is in the writer's hands: a crash of the process loses up to a few milliseconds, one of
    /// the machine up to a second.
    Buffered,
}

impl From<settings::Durability> for Durability {
    fn from(set: settings::Durability) -> Self {
        match set {
            settings::Durability::Durable => Self::Durable,
            settings::Durability::Buffered => Self::Buffered,
        }
    }
}

/// What the audit log is told when it starts.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// The server's `data_dir`: the log lies in `audit/` below it, its keys in `keys/`.
    pub dir: PathBuf,
    /// When an event counts as recorded.
    pub durability: Durability,
    /// Records between two signed checkpoints, at least 1.
    pub checkpoint_every: u64,
    /// Size at which a segment file is closed and the next one begun, bytes.
    pub segment_bytes: u64,
    /// Longest wait for company before a commit, at most 1 ms; only waited when others are likely.
    pub linger: Duration,
}

impl AuditConfig {
    /// The house's defaults, for the log below `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            durability: Durability::Durable,
            checkpoint_every: 1_000,
            segment_bytes: 64 << 20,
            linger: Duration::from_millis(1),
        }
    }
}
