//! The end of an exchange: its record is closed, on disk where that is asked for, and counted.

use super::{answer::Answer, count::Count, exchange::Exchange, refusal::Refusal};
use crate::{
    actors::audit::{AuditError, Receipt},
    domain::RequestId,
    error::Code,
};

/// An answer whose record is closed, though perhaps not on disk yet.
pub(super) struct Closed<'a> {
    answer: Answer,
    receipt: Receipt,
    count: Count<'a>,
    id: RequestId,
}

impl<'a> Exchange<'a> {
    /// Closes the record of what was answered and, in durable mode, waits until it is on disk: only then may
    /// the answer leave. One that cannot be recorded is none.
    pub(super) fn settle(self, answer: Answer) -> impl Future<Output = Answer> + use<'a> {
        self.close(answer).committed()
    }

    /// Closes the record of what was answered.
    pub(super) fn close(self, mut answer: Answer) -> Closed<'a> {
        answer.rotated = self.rotated;
        // Whoever leaves from here on leaves a record that says the same.
        self.count.ended(answer.outcome);
        let (count, id) = (self.count, self.record.id());
        let receipt = if answer.is_over_a_limit() {
            // The limiter records that.
            self.record.withdraw();
            Receipt::default()
        } else {
            self.record.close(answer.outcome, answer.code.map(Code::reason))
        };
        Closed { answer, receipt, count, id }
    }
}

impl Closed<'_> {
    /// Waits for the record, counts, and gives the answer.
    pub(super) async fn committed(self) -> Answer {
        let Self { answer, receipt, count, id } = self;
        let answer = receipt.committed().await.map_or_else(|error| unrecorded(error, id), |()| answer);
        if answer.code == Some(Code::Internal) {
            tracing::error!(request.id = %id, mcp.method = count.known_as(), "a request failed by our fault");
        }
        count.ended(answer.outcome);
        answer
    }
}

/// What is said where nothing can be recorded.
pub(super) fn unrecorded(error: AuditError, id: RequestId) -> Answer {
    Answer::refused(&Refusal::from(error), None, id)
}
