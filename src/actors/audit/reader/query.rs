//! Searches the log: every slot's records, merged by time, oldest first.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use super::{
    super::{error::AuditError, segment::list},
    Found, Record,
    lines::{End, Lines},
    slots,
};
use crate::domain::{Timestamp, WITHIN};

/// Events that count as one use of a credential: one a request.
const REQUESTS: [&str; 3] = ["tool.called", "tool.denied", "request.served"];

/// Which records are wanted. Everything that is given must fit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// The event's code; `token.*` for all that begin with `token.`.
    pub event: Option<String>,
    /// The principal's id.
    pub user: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// The request.
    pub request_id: Option<String>,
    /// The credential's own id.
    pub credential: Option<String>,
    /// Most records, the oldest ones; no end if `None`.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether this record is wanted.
    pub fn matches(&self, record: &Record) -> bool {
        let is = |wanted: &Option<String>, have: Option<&str>| wanted.is_none() || wanted.as_deref() == have;
        let who = record.principal.as_ref();
        // Every time has the same form, so text order is time order.
        self.since.is_none_or(|since| *record.time >= *since.to_string())
            && self.until.is_none_or(|until| *record.time < *until.to_string())
            && self.event.as_deref().is_none_or(|wanted| event_fits(wanted, &record.event))
            && is(&self.user, who.map(|who| who.id.as_str()))
            && is(&self.credential, who.map(|who| who.credential.as_str()))
            && is(&self.tool, record.tool.as_deref())
            && is(&self.outcome, Some(&record.outcome))
            && self.request_id.as_deref().is_none_or(|wanted| concerns(record, wanted))
    }
}

/// Whether `record` is of that request, or of a message that came in it, or sums several up of which it is one.
fn concerns(record: &Record, request_id: &str) -> bool {
    let within = record.detail.as_ref().and_then(|detail| detail.get(WITHIN)?.as_str());
    record.request_id.as_deref() == Some(request_id)
        || within == Some(request_id)
        || record.request_ids.iter().any(|id| id == request_id)
}

fn event_fits(wanted: &str, event: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => event.starts_with(prefix),
        None => event == wanted,
    }
}

/// The records that match, merged over the slots by time, oldest first. Lines that are no records are
/// passed over: they are for [`verify`](fn@super::verify) to find.
#[derive(Debug)]
pub struct Query {
    filter: Filter,
    left: usize,
    slots: Vec<SlotRecords>,
}

/// Searches the log below the data directory `dir`.
///
/// # Errors
/// [`AuditError::File`].
pub fn query(dir: &Path, filter: Filter) -> Result<Query, AuditError> {
    let mut all = Vec::new();
    for (_, segments) in slots(dir)? {
        let names = list(&segments).map_err(AuditError::file("read", &segments))?;
        let files = names.iter().map(|name| name.path(&segments)).collect();
        let mut slot = SlotRecords { files, open: None, next: None };
        slot.advance(&filter)?;
        all.push(slot);
    }
    Ok(Query { left: filter.limit.unwrap_or(usize::MAX), filter, slots: all })
}

impl Iterator for Query {
    type Item = Result<Found, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let oldest = self
            .slots
            .iter_mut()
            .filter(|slot| slot.next.is_some())
            .min_by(|one, other| one.time().cmp(&other.time()))?;
        let found = oldest.next.take()?;
        match oldest.advance(&self.filter) {
            Ok(()) => Some(Ok(found)),
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

/// What matches in one slot, one ahead.
#[derive(Debug)]
struct SlotRecords {
    files: VecDeque<PathBuf>,
    open: Option<(PathBuf, Lines)>,
    next: Option<Found>,
}

impl SlotRecords {
    fn time(&self) -> Option<&str> {
        self.next.as_ref().map(|found| found.record.time.as_str())
    }

    fn advance(&mut self, filter: &Filter) -> Result<(), AuditError> {
        loop {
            let Some((path, lines)) = &mut self.open else {
                let Some(path) = self.files.pop_front() else { return Ok(()) };
                let lines = Lines::open_listed(&path).map_err(AuditError::file("read", &path))?;
                self.open = lines.map(|lines| (path, lines));
                continue;
            };
            match lines.next().map_err(AuditError::file("read", path.as_path()))? {
                None => self.open = None,
                Some((line, End::Complete)) => {
                    self.next = Found::parse(line).filter(|found| filter.matches(&found.record));
                    if self.next.is_some() {
                        return Ok(());
                    }
                }
                Some((_, End::Unfinished | End::Overlong)) => {}
            }
        }
    }
}

/// How often a credential was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests with it.
    pub count: u64,
    /// Time of the last one, RFC 3339.
    pub last_used: Option<String>,
}

/// Counts the requests that the log below `dir` holds for one credential, by its own id.
///
/// # Errors
/// [`AuditError::File`].
pub fn usage(dir: &Path, credential: &str) -> Result<Usage, AuditError> {
    let filter = Filter { credential: Some(credential.into()), ..Filter::default() };
    let mut usage = Usage::default();
    for found in query(dir, filter)? {
        let record = found?.record;
        if REQUESTS.contains(&record.event.as_str()) {
            usage.count += 1;
            usage.last_used = usage.last_used.max(Some(record.time));
        }
    }
    Ok(usage)
}
