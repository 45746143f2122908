//! Segments end by size and by day; the chain does not.

use std::{path::Path, sync::Arc, time::Duration};

use super::{assert_verifies, called, tools};
use crate::{
    actors::audit::{
        AuditConfig,
        disk::RealDisk,
        home::Home,
        journal::{Desk, Journal},
        keys::Signer,
        segment::list,
        verify,
    },
    domain::Timestamp,
};

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn journal(config: AuditConfig, now: Timestamp) -> Journal {
    let signer = Signer::load_or_generate(&config.dir).unwrap();
    let home = Home::claim(&config.dir).unwrap();
    Journal::open(Arc::new(Desk::new(home, signer, Arc::new(RealDisk), config)), now).unwrap()
}

fn commit(journal: &mut Journal, tool: &str, now: Timestamp) {
    journal.begin(now).unwrap();
    journal.append(&called(tool), now).unwrap();
    journal.commit().unwrap();
}

fn names(dir: &Path) -> Vec<(u64, u32)> {
    list(&dir.join("audit/0")).unwrap().into_iter().map(|name| (name.first, name.day)).collect()
}

#[test]
fn a_new_day_begins_a_new_segment_and_a_clock_that_goes_back_does_not() {
    let dir = tempfile::tempdir().unwrap();
    // 2026-11-22T23:59:59Z.
    let evening = Timestamp::from_secs(1_795_391_999);
    let mut journal = journal(AuditConfig::new(dir.path()), evening);
    commit(&mut journal, "evening", evening);
    commit(&mut journal, "morning", evening.plus(Duration::from_secs(1)));
    commit(&mut journal, "clock set back", evening);
    commit(&mut journal, "next week", evening.plus(DAY * 7));
    drop(journal);

    assert_eq!(names(dir.path()), [(1, 20_261_122), (2, 20_261_123), (4, 20_261_129)]);
    assert_eq!(tools(dir.path()), ["evening", "morning", "clock set back", "next week"]);
    assert_verifies(dir.path());
}

#[test]
fn a_full_segment_is_followed_by_the_next_within_one_batch() {
    let dir = tempfile::tempdir().unwrap();
    let config = AuditConfig { segment_bytes: 2_000, checkpoint_every: 7, ..AuditConfig::new(dir.path()) };
    let now = Timestamp::now();
    let mut first = journal(config.clone(), now);
    first.begin(now).unwrap();
    for number in 0..100 {
        first.append(&called(&number.to_string()), now).unwrap();
    }
    first.commit().unwrap();
    drop(first);
    let before = names(dir.path());
    assert!(before.len() > 20, "{before:?}");
    let size = |at: usize| {
        let slot = dir.path().join("audit/0");
        std::fs::metadata(list(&slot).unwrap()[at].path(&slot)).unwrap().len()
    };
    assert!((0..before.len() - 1).all(|at| (2_000..4_000).contains(&size(at))));

    let mut second = journal(config, now);
    commit(&mut second, "after", now);
    drop(second);
    assert_eq!(tools(dir.path()).len(), 101);
    let report = verify(dir.path(), None).unwrap();
    assert!(report.ok(), "{:#?}", report.problems);
    assert!(report.slots[0].checkpoints >= 101 / 7);
}

#[test]
fn what_was_rewound_is_written_again_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let config = AuditConfig { segment_bytes: 1_500, ..AuditConfig::new(dir.path()) };
    let now = Timestamp::now();
    let mut journal = journal(config, now);
    commit(&mut journal, "kept", now);
    for _ in 0..3 {
        journal.begin(now).unwrap();
        for number in 0..20 {
            journal.append(&called(&number.to_string()), now).unwrap();
        }
        journal.flush().unwrap();
        assert!(journal.is_dirty() && names(dir.path()).len() > 2);
        journal.rewind();
        assert!(!journal.is_dirty());
    }
    commit(&mut journal, "after", now);
    drop(journal);
    assert_eq!(tools(dir.path()), ["kept", "after"]);
    assert_eq!(names(dir.path()).len(), 1);
    assert_verifies(dir.path());
}
