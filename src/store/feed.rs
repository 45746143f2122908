//! The change feed: how a change reaches every process that holds a copy of the store in memory.
//!
//! A write that others must learn of adds its row in the same transaction, so a change is never in
//! force without being told. To start without a hole: read [`Feed::latest`], then the tables, then
//! [`Feed::watch`] from there. A change may be seen twice; applying it must be idempotent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Report, Revocation, SessionDigest, StoreError, StoreFuture};
use crate::domain::{KeyId, Subject, Timestamp};

/// Rows of the feed that one read gives at most.
pub const FEED_PAGE: usize = 4_096;
/// Rows older than this are pruned. A reader that slept longer gets [`ChangeKind::Unknown`].
pub(super) const KEPT: Duration = Duration::from_hours(1);
/// Oldest rows that one write looks at for pruning: more than it adds, so the feed stays bounded, and
/// few, so that no write takes long.
pub(super) const PRUNED_PER_WRITE: u32 = 64;

/// One row of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place: from 1, without holes, in the order of the commits.
    pub id: u64,
    /// When it was written, by the writer's clock.
    pub at: Timestamp,
    /// What changed.
    pub what: ChangeKind,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "what", rename_all = "snake_case")]
pub enum ChangeKind {
    /// Credentials were taken back; the revocation as it now stands.
    Revoked(Revocation),
    /// The account of that name was made or changed.
    User(Subject),
    /// The API key of that id was changed, or ended before its time.
    Key(KeyId),
    /// A station has reported the weather.
    Weather(Report),
    /// A session that servers share was ended, or its client wants something else.
    Session(SessionDigest),
    /// A call of such a session is to end, wherever it runs.
    SessionCall {
        /// The session.
        session: SessionDigest,
        /// The call's id, JSON text.
        call: Box<str>,
    },
    /// A question of such a session was answered elsewhere than where it is waited for.
    SessionAnswer {
        /// The session.
        session: SessionDigest,
        /// The question's id.
        question: Box<str>,
    },
    /// Something that cannot be told: written by a newer version, unreadable, or pruned before this
    /// reader came by. Whoever holds copies reads them all again.
    #[serde(skip)]
    Unknown,
}

impl ChangeKind {
    /// The text of its row.
    pub(super) fn to_row(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|_unwritable| StoreError::Corrupt("a change"))
    }

    /// Never fails: what does not read is [`Unknown`](Self::Unknown), and that is acted on.
    pub(super) fn from_row(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(Self::Unknown)
    }
}

/// The feed.
pub trait Feed: Send + Sync {
    /// What came after row `last`, oldest first, at most [`FEED_PAGE`] rows: ask again from the last
    /// one until nothing comes. Rows that were pruned unread show as one [`ChangeKind::Unknown`].
    ///
    /// # Errors
    /// [`StoreError`]; `Unavailable` also if the feed ends before `last`: that is not the store that
    /// was read before.
    fn changes_after(&self, last: u64) -> StoreFuture<'_, Vec<Change>>;

    /// The newest row's id; 0 if there was never one.
    ///
    /// # Errors
    /// [`StoreError`].
    fn latest(&self) -> StoreFuture<'_, u64>;

    /// Follows the feed from row `from` on. Opens nothing yet: the first [`FeedWatch::poll`] does.
    fn watch(&self, from: u64) -> Box<dyn FeedWatch>;
}

/// Follows the feed on a connection of its own.
pub trait FeedWatch: Send {
    /// What is new since the last call, this process's own changes included, at most [`FEED_PAGE`] rows.
    ///
    /// Costs microseconds when nothing is new. Blocks when it reads, so it belongs on a thread of its
    /// own, every 100 ms. After an error it takes up where it was, so nothing is skipped.
    ///
    /// # Errors
    /// [`StoreError`]: what the caller holds may be stale from now on. A store that went away shows at
    /// the next poll if its file is gone or another, and within a second otherwise.
    fn poll(&mut self) -> Result<Vec<Change>, StoreError>;
}

/// Puts a [`ChangeKind::Unknown`] wherever rows are missing between `last` and the end of `rows`.
pub(super) fn bridge(last: u64, rows: Vec<Change>) -> Vec<Change> {
    let mut told = Vec::with_capacity(rows.len());
    let mut expected = last.saturating_add(1);
    for row in rows {
        if row.id > expected {
            told.push(Change { id: row.id.saturating_sub(1), at: row.at, what: ChangeKind::Unknown });
        }
        expected = row.id.saturating_add(1);
        told.push(row);
    }
    told
}

/// The refusal when the feed ends before a row that was read already.
pub(super) fn went_backwards() -> StoreError {
    StoreError::Unavailable("its change feed went backwards: it was replaced or restored".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RevocationTarget;

    fn row(id: u64) -> Change {
        Change { id, at: Timestamp::from_secs(id), what: ChangeKind::User("ann".parse().unwrap()) }
    }

    #[test]
    fn what_a_newer_version_wrote_is_unknown_and_not_an_error() {
        for text in [
            "",
            "{}",
            r#"{"kind":"key_rotated","what":7}"#,
            r#"{"kind":"unknown"}"#,
            r#"{"kind":"revoked","what":{"target":{"family":"f"},"at":1,"until":2}}"#,
            r#"{"kind":"user","what":"not a name"}"#,
        ] {
            assert_eq!(ChangeKind::from_row(text), ChangeKind::Unknown, "{text}");
        }
    }

    #[test]
    fn a_change_reads_as_it_was_written() {
        let (at, until) = (Timestamp::from_micros(1), Timestamp::from_micros(2));
        let revoked = Revocation { target: RevocationTarget::Client("c".into()), at, until };
        let text = ChangeKind::Revoked(revoked.clone()).to_row().unwrap();
        assert_eq!(text, r#"{"kind":"revoked","what":{"target":{"client":"c"},"at":1,"until":2}}"#);
        assert_eq!(ChangeKind::from_row(&text), ChangeKind::Revoked(revoked));
    }

    #[test]
    fn rows_that_are_missing_show_as_one_unknown_each_time() {
        let ids = |last, rows: &[u64]| -> Vec<(u64, bool)> {
            let rows = rows.iter().map(|&id| row(id)).collect();
            bridge(last, rows).iter().map(|c| (c.id, c.what == ChangeKind::Unknown)).collect()
        };
        assert_eq!(ids(3, &[]), []);
        assert_eq!(ids(3, &[4, 5]), [(4, false), (5, false)]);
        assert_eq!(ids(0, &[4, 7]), [(3, true), (4, false), (6, true), (7, false)]);
    }
}
