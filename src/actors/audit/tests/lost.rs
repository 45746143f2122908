//! The slot is removed from under its writer: nobody else's record pays for it, and it goes on elsewhere.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{
    disk::{join, load, until},
    *,
};
use crate::actors::audit::{Durability, Report, Status, verify};

/// Longest time until the writer has found and filled another slot, alone.
const HEALS_WITHIN: Duration = Duration::from_secs(2);

async fn healed(audit: &Audit, events: u64) {
    let begun = Instant::now();
    until("the new slot", || audit.status() == Status::Healthy && audit.events_total() >= events).await;
    assert!(begun.elapsed() < HEALS_WITHIN, "{:?}", begun.elapsed());
}

/// What `verify` says, told by slot: its records and what is wrong with it.
fn told(dir: &Path) -> Vec<(u64, Vec<String>)> {
    let Report { slots, problems, .. } = verify(dir, None).unwrap();
    let of = |slot| problems.iter().filter(move |it| it.slot == slot).map(|it| it.what.clone()).collect();
    slots.iter().map(|it| (it.records, of(it.slot))).collect()
}

#[actix::test]
async fn a_removed_slot_is_made_anew_without_anybody_asking() {
    // With the head file, with the directory, and with everything: also the heads.
    for removed in ["audit/0", "audit"] {
        let dir = tempfile::tempdir().unwrap();
        let house = House::start(AuditConfig::new(dir.path())).await;
        house.audit.record(called("removed")).await.unwrap();
        fs::remove_dir_all(dir.path().join(removed)).unwrap();

        healed(&house.audit, 2).await;
        house.audit.record(called("after")).await.unwrap();
        assert_eq!(tools(dir.path()), ["after"]);
        house.close().await;

        let reasons = alerts(dir.path());
        let told = told(dir.path());
        if removed == "audit" {
            assert_eq!(reasons, ["slot_lost"]);
            assert_eq!(told, [(3, vec![])], "a chain of its own");
        } else {
            assert_eq!(reasons, ["chain_broken", "slot_lost"]);
            assert_eq!((told[0].0, told[0].1.len()), (5, 1), "only what was removed is missing: {told:?}");
        }
    }
}

#[actix::test]
async fn the_alert_says_what_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(AuditConfig::new(dir.path())).await;
    house.audit.record(called("removed")).await.unwrap();
    let before = verify(dir.path(), None).unwrap();
    fs::remove_dir_all(dir.path().join("audit")).unwrap();
    healed(&house.audit, 2).await;
    house.close().await;
    let filter = super::super::Filter { event: Some("alert.raised".into()), ..Default::default() };
    let alert = super::super::query(dir.path(), filter).unwrap().next().unwrap().unwrap();
    let detail = alert.record.detail.unwrap();
    assert_eq!(detail["chain"], before.slots[0].chain.as_deref().unwrap());
    assert_eq!(detail["seq"], 1);
    assert_eq!(detail["head"], before.slots[0].last_hash.as_deref().unwrap());
}

#[actix::test]
async fn a_slot_that_another_process_took_meanwhile_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let one = House::start(AuditConfig::new(dir.path())).await;
    fs::remove_dir_all(dir.path().join("audit/0")).unwrap();
    let two = House::start(AuditConfig::new(dir.path())).await;
    two.audit.record(called("two")).await.unwrap();
    let late = one.audit.record(called("one")).await;
    two.audit.record(called("two again")).await.unwrap();
    healed(&one.audit, 1).await;
    one.audit.record(called("one again")).await.unwrap();
    two.audit.record(called("two at last")).await.unwrap();
    one.close().await;
    two.close().await;

    assert_verifies(dir.path());
    let mut tools = tools(dir.path());
    tools.sort_unstable();
    assert_eq!(tools, ["one", "one again", "two", "two again", "two at last"], "{late:?}");
    assert_eq!(alerts(dir.path()), ["slot_lost"]);
    assert_eq!(verify(dir.path(), None).unwrap().slots.len(), 2);
}

#[actix::test]
async fn a_slot_that_another_process_took_and_left_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let one = House::start(AuditConfig::new(dir.path())).await;
    fs::remove_dir_all(dir.path().join("audit/0")).unwrap();
    let two = House::start(AuditConfig::new(dir.path())).await;
    two.audit.record(called("two")).await.unwrap();
    two.close().await;
    healed(&one.audit, 1).await;
    one.audit.record(called("one")).await.unwrap();
    one.close().await;

    assert_verifies(dir.path());
    assert_eq!(tools(dir.path()), ["two", "one"]);
    assert_eq!(verify(dir.path(), None).unwrap().slots.len(), 1);
}

#[actix::test]
async fn a_lost_lock_alone_costs_and_doubles_no_record() {
    for durability in [Durability::Durable, Durability::Buffered] {
        let dir = tempfile::tempdir().unwrap();
        let config = AuditConfig { durability, ..AuditConfig::new(dir.path()) };
        let house = House::start(config).await;
        house.audit.record(called("before")).await.unwrap();
        until("the record in the file", || tools(dir.path()) == ["before"]).await;
        fs::remove_file(dir.path().join("audit/0/lock")).unwrap();
        until("the alert", || alerts(dir.path()) == ["slot_lost"]).await;
        healed(&house.audit, 2).await;
        house.audit.record(called("after")).await.unwrap();
        house.close().await;
        assert_eq!(tools(dir.path()), ["before", "after"]);
        assert_verifies(dir.path());
    }
}

#[actix::test]
async fn a_slot_lost_at_the_very_end_does_not_keep_the_last_records_from_being_written() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(AuditConfig::new(dir.path())).await;
    fs::remove_dir_all(dir.path().join("audit")).unwrap();
    drop(house.audit.lane().reserve().unwrap().write(called("last")));
    house.close().await;
    assert_eq!(tools(dir.path()), ["last"]);
    assert_verifies(dir.path());
}

#[actix::test]
async fn records_that_were_written_and_not_on_disk_when_the_slot_was_lost_at_the_very_end_are_written_again()
{
    for (removed, left) in [("audit", vec![]), ("audit/0/lock", vec!["first"])] {
        let dir = tempfile::tempdir().unwrap();
        let config = AuditConfig { durability: Durability::Buffered, ..AuditConfig::new(dir.path()) };
        let house = House::start(config).await;
        house.audit.record(called("first")).await.unwrap();
        until("its commit, behind which there is half a second", || house.audit.events_total() == 1).await;
        for tool in ["second", "third"] {
            house.audit.record(called(tool)).await.unwrap();
        }
        until("both in the file", || tools(dir.path()).len() == 3).await;
        let lost = dir.path().join(removed);
        if lost.is_dir() { fs::remove_dir_all(lost) } else { fs::remove_file(lost) }.unwrap();
        house.close().await;
        assert_eq!(tools(dir.path()), [left, vec!["second", "third"]].concat());
        assert_eq!(alerts(dir.path()), ["slot_lost"]);
        assert_verifies(dir.path());
    }
}

#[actix::test]
async fn locks_that_are_removed_again_and_again_under_load_cost_and_double_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let config = AuditConfig { segment_bytes: 8 << 10, checkpoint_every: 17, ..AuditConfig::new(dir.path()) };
    let (one, two) = (House::start(config.clone()).await, House::start(config).await);
    let threads = [load(&one.audit, 200), load(&two.audit, 200)];
    for round in 1..=3 {
        for slot in 0..2 {
            fs::remove_file(dir.path().join(format!("audit/{slot}/lock"))).unwrap();
        }
        until("two alerts", || {
            alerts(dir.path()).iter().filter(|it| *it == "slot_lost").count() == 2 * round
        })
        .await;
        until("two locks", || (0..2).all(|slot| dir.path().join(format!("audit/{slot}/lock")).exists()))
            .await;
    }
    for threads in threads {
        join(threads).await;
    }
    one.close().await;
    two.close().await;

    assert_verifies(dir.path());
    // Both wrote events of the same names: each was recorded once by each.
    let mut recorded = tools(dir.path());
    recorded.sort_unstable();
    assert_eq!(recorded.len(), 2 * 800);
    assert!(recorded.chunks(2).all(|pair| pair[0] == pair[1]), "nothing twice, nothing lost");
}

#[actix::test]
async fn whoever_takes_the_removed_slot_of_a_busy_writer_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = AuditConfig { segment_bytes: 8 << 10, ..AuditConfig::new(dir.path()) };
    let one = House::start(config.clone()).await;
    let busy = load(&one.audit, 200);
    until("some records", || one.audit.events_total() > 50).await;
    fs::rename(dir.path().join("audit/0"), dir.path().join("audit/moved away")).unwrap();
    let two = House::start(config).await;
    for number in 0..100 {
        two.audit.record(called(&format!("two {number}"))).await.unwrap();
    }
    join(busy).await;
    one.close().await;
    two.close().await;

    let recorded = tools(dir.path());
    for number in 0..100 {
        assert_eq!(recorded.iter().filter(|tool| **tool == format!("two {number}")).count(), 1, "{number}");
    }
    let problems = verify(dir.path(), None).unwrap().problems;
    assert!(problems.len() <= 1, "only what was moved away may be missing: {problems:#?}");
}
