//! Refusals by an empty bucket, summed up: one record for each caller, scope and second. A record for each
//! would make the log the target of whoever floods us.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{Scope, Visit, table::Id};
use crate::{
    actors::audit::{AuditError, Lane, Slot},
    domain::{AuditEvent, EventCode, Outcome, Principal, RequestId, Summary, Timestamp},
    error::Code,
};

/// Request ids that a record names.
const NAMED: usize = 16;
/// Most callers and scopes summed up at once; all others in that second are summed up together.
const MOST: usize = 16_384;
/// Longest path that a record keeps, bytes.
const MAX_PATH: usize = 256;

/// What is being summed up.
#[derive(Debug)]
pub(super) struct Tally {
    lane: Lane,
    open: Mutex<Open>,
}

/// A caller, `None` for those who are summed up together, a scope, and the tool if it is a tool's.
type Whose = (Option<Id>, Scope, Option<&'static str>);

#[derive(Debug, Default)]
struct Open {
    sums: HashMap<Whose, Sum>,
    /// Whether the server is stopping: whatever comes now is written at once.
    closed: bool,
}

/// Refusals of one caller in one scope and second. Its place in the log is reserved, so it will be written.
#[derive(Debug)]
struct Sum {
    slot: Slot,
    second: u64,
    summary: Summary,
    event: AuditEvent,
}

/// One refusal.
pub(super) struct Refused<'a> {
    /// The caller's identity in its scope.
    pub(super) id: Id,
    pub(super) scope: Scope,
    pub(super) visit: &'a Visit<'a>,
    pub(super) principal: Option<&'a Arc<Principal>>,
    pub(super) tool: Option<&'static str>,
}

impl Tally {
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane, open: Mutex::default() }
    }

    /// Counts one refusal.
    ///
    /// # Errors
    /// [`AuditError`]: it cannot be recorded.
    pub(super) fn count(&self, refused: &Refused<'_>) -> Result<(), AuditError> {
        let second = refused.visit.time.secs();
        let mut open = self.open.lock();
        let tool = refused.tool.filter(|_| refused.scope == Scope::Tool);
        let mut key: Whose = (Some(refused.id), refused.scope, tool);
        if open.sums.len() >= MOST && !open.sums.contains_key(&key) {
            key = (None, refused.scope, None);
        }
        if let Some(sum) = open.sums.get_mut(&key)
            // A worker that was a little slower belongs to the second that others have begun.
            && sum.second >= second
        {
            sum.add(refused.visit.request);
            return Ok(());
        }
        let mut sum = Sum::begin(self.lane.reserve()?, second, refused, key.0.is_none());
        sum.add(refused.visit.request);
        if open.closed {
            sum.write();
        } else if let Some(past) = open.sums.insert(key, sum) {
            past.write();
        }
        Ok(())
    }

    /// Writes down every sum of a second before that of `now`.
    pub(super) fn flush(&self, now: Timestamp) {
        let past = self.open.lock().sums.extract_if(|_, sum| sum.second != now.secs()).collect::<Vec<_>>();
        past.into_iter().for_each(|(_, sum)| sum.write());
    }

    /// Writes down everything; from now on nothing waits.
    pub(super) fn close(&self) {
        let mut open = self.open.lock();
        open.closed = true;
        open.sums.drain().for_each(|(_, sum)| sum.write());
    }
}

impl Sum {
    fn begin(slot: Slot, second: u64, refused: &Refused<'_>, together: bool) -> Self {
        let visit = refused.visit;
        let mut event = AuditEvent::new(visit.time, EventCode::RateLimited, Outcome::Limited);
        event.reason = Some(Code::RateLimited.reason());
        event.path = Some(match visit.path {
            "/mcp" => Cow::Borrowed("/mcp"),
            path => Cow::Owned(path.get(..path.floor_char_boundary(MAX_PATH)).unwrap_or_default().to_owned()),
        });
        if !together {
            event.principal = refused.principal.cloned();
            event.ip = visit.ip;
            event.tool = refused.tool.filter(|_| refused.scope == Scope::Tool).map(Cow::Borrowed);
        }
        let summary = Summary { scope: refused.scope.as_str(), count: 0, request_ids: Vec::new() };
        Self { slot, second, summary, event }
    }

    fn add(&mut self, request: RequestId) {
        self.summary.count += 1;
        // The messages of a batch are one request of HTTP.
        let is_new = self.summary.request_ids.last() != Some(&request);
        if is_new && self.summary.request_ids.len() < NAMED {
            self.summary.request_ids.push(request);
        }
    }

    fn write(self) {
        let Self { slot, summary, mut event, .. } = self;
        event.summary = Some(Box::new(summary));
        drop(slot.write(event));
    }
}
