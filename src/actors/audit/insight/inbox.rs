//! Between the log's writer and the insight: what was committed since the insight last looked, in bounded
//! memory. The writer never waits for anybody here and wakes nobody. What does not fit is left out; the
//! insight sees the hole and reads those records from the log.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use super::{rollup::Digest, sign::Seen};
use crate::{
    actors::audit::{head::Head, home::Home, journal::Position},
    domain::AuditEvent,
};

/// Most signs and most different minutes that wait: what a flood brings between two looks, 2 MiB.
pub(super) const MOST: (usize, usize) = (16_384, 64);

/// The end of what is committed.
#[derive(Debug, Clone)]
pub(in crate::actors::audit) struct End {
    /// In which slot.
    pub(in crate::actors::audit) home: Arc<Home>,
    /// Where in it.
    pub(in crate::actors::audit) position: Position,
}

/// What was committed since the last look.
#[derive(Debug, Default)]
pub(super) struct News {
    /// What stood before it; `None` if that is not known.
    pub(super) from: Option<Head>,
    pub(super) digest: Digest,
    /// Whether `digest` is all of it.
    pub(super) whole: bool,
}

/// Where news wait.
#[derive(Debug, Default)]
pub(in crate::actors::audit) struct Inbox {
    /// Whether anybody looks.
    open: AtomicBool,
    waiting: Mutex<(News, Option<End>)>,
}

impl Inbox {
    /// From now on somebody looks.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// The log ends there, without news: it was taken over.
    pub(in crate::actors::audit) fn stands(&self, end: End) {
        *self.waiting.lock() = (News::default(), Some(end));
    }

    /// `events` were committed behind `from`; the log ends at `end` now.
    pub(in crate::actors::audit) fn post(&self, from: Option<&Head>, events: &[AuditEvent], end: End) {
        let (news, stands) = &mut *self.waiting.lock();
        if stands.is_none() || news.from.is_none() {
            news.from = from.cloned();
            news.whole = true;
        }
        *stands = Some(end);
        news.whole &= self.open.load(Ordering::SeqCst);
        if !news.whole {
            return;
        }
        for event in events {
            news.digest.add(Seen::of(event));
        }
        let (signs, minutes) = news.digest.size();
        if signs > MOST.0 || minutes > MOST.1 {
            news.whole = false;
            news.digest = Digest::default();
        }
    }

    /// What has come, and where the log ends.
    pub(super) fn take(&self) -> (News, Option<End>) {
        let (news, end) = &mut *self.waiting.lock();
        (std::mem::take(news), end.clone())
    }
}

#[cfg(test)]
impl Inbox {
    /// Whether more has come since the last look than there was room for.
    pub(in crate::actors::audit) fn has_overflowed(&self) -> bool {
        let (news, end) = &*self.waiting.lock();
        end.is_some() && news.from.is_some() && !news.whole
    }
}
