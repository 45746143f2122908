//! What benches see of the log: records chained and framed as the writer does it, without a disk.

use super::{encode::Encoder, head::Head};
use crate::domain::AuditEvent;

/// A chain of its own, in memory. Nothing but benches has a use for it: none of its records is kept.
#[derive(Debug)]
pub struct Chain {
    encoder: Encoder,
    head: Head,
    line: Vec<u8>,
}

impl Default for Chain {
    fn default() -> Self {
        let head = Head::new("0199a000-0000-7000-8000-000000000000");
        Self { encoder: Encoder::default(), head, line: Vec::new() }
    }
}

impl Chain {
    /// The line of one more record, its end included.
    pub fn record(&mut self, event: &AuditEvent) -> &[u8] {
        self.line.clear();
        self.encoder.record(&mut self.line, &mut self.head, event, None);
        &self.line
    }
}
