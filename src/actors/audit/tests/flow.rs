//! Events go in on many threads and come out of the files, each once, each lane in order.

use std::time::Duration;

use super::*;
use crate::actors::audit::{AuditError, Durability, LANE_CAPACITY, Status};

#[actix::test]
async fn what_is_recorded_is_on_disk_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(AuditConfig::new(dir.path())).await;
    assert_eq!(house.audit.status(), Status::Healthy);

    house.audit.record(called("one")).await.unwrap();
    let slot = house.audit.lane().reserve().unwrap();
    slot.write(called("two")).committed().await.unwrap();

    assert_eq!(tools(dir.path()), ["one", "two"]);
    assert_verifies(dir.path());
    assert_eq!((house.audit.depth(), house.audit.events_total()), (0, 2));
    house.close().await;
    let report = crate::actors::audit::verify(dir.path(), None).unwrap();
    assert!(report.ok(), "{:#?}", report.problems);
    assert_eq!((report.records(), report.slots[0].checkpoints), (3, 1));
}

#[actix::test]
async fn eight_threads_lose_nothing_and_keep_their_order() {
    for durability in [Durability::Durable, Durability::Buffered] {
        let dir = tempfile::tempdir().unwrap();
        let config = AuditConfig { durability, segment_bytes: 4 << 20, ..AuditConfig::new(dir.path()) };
        let house = House::start(config).await;
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let lane = house.audit.lane();
                std::thread::spawn(move || {
                    for number in 0..10_000 {
                        drop(lane.reserve().unwrap().write(called(&format!("{thread} {number}"))));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        house.close().await;

        let mut next = [0; 8];
        for tool in tools(dir.path()) {
            let (thread, number) = tool.split_once(' ').unwrap();
            let expected = &mut next[thread.parse::<usize>().unwrap()];
            assert_eq!(number.parse::<usize>().unwrap(), *expected, "thread {thread}");
            *expected += 1;
        }
        assert_eq!(next, [10_000; 8]);
        assert_verifies(dir.path());
    }
}

#[actix::test]
async fn many_waiters_of_one_lane_are_all_released() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(AuditConfig::new(dir.path())).await;
    let lane = house.audit.lane();
    for round in 0..20 {
        let waits: Vec<_> = (0..256)
            .map(|n| lane.reserve().unwrap().write(called(&format!("{round} {n}"))).committed())
            .collect();
        for end in futures_util::future::join_all(waits).await {
            end.unwrap();
        }
    }
    assert_eq!(house.audit.events_total(), 20 * 256);
    house.close().await;
}

#[actix::test]
async fn a_waiter_that_leaves_does_not_strand_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(AuditConfig::new(dir.path())).await;
    let lane = house.audit.lane();
    for _ in 0..50 {
        let leaving = lane.reserve().unwrap().write(called("leaves")).committed();
        let staying = lane.reserve().unwrap().write(called("stays")).committed();
        let left = tokio::time::timeout(Duration::from_micros(300), leaving);
        let (_, stayed) = futures_util::future::join(left, staying).await;
        stayed.unwrap();
    }
    house.close().await;
}

#[actix::test]
async fn a_lane_at_its_limit_is_full_and_a_dropped_slot_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(AuditConfig::new(dir.path())).await;
    let lane = house.audit.lane();
    let mut slots: Vec<_> = (0..LANE_CAPACITY).map(|_| lane.reserve().unwrap()).collect();
    assert!(matches!(lane.reserve(), Err(AuditError::Full)));
    assert!(house.audit.lane().reserve().is_ok(), "another lane is not full");
    drop(slots.pop());
    assert!(lane.reserve().is_ok());
    slots.pop().unwrap().write(called("last")).committed().await.unwrap();
    assert!(lane.reserve().is_ok());
    house.close().await;
}

#[actix::test]
async fn two_logs_on_one_directory_take_two_slots() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) =
        (House::start(AuditConfig::new(dir.path())).await, House::start(AuditConfig::new(dir.path())).await);
    for number in 0..50 {
        one.audit.record(called(&format!("{number} a"))).await.unwrap();
        two.audit.record(called(&format!("{number} b"))).await.unwrap();
    }
    one.close().await;
    two.close().await;

    let report = crate::actors::audit::verify(dir.path(), None).unwrap();
    assert!(report.ok(), "{:#?}", report.problems);
    assert_eq!(report.slots.iter().map(|slot| slot.records).collect::<Vec<_>>(), [51, 51]);
    assert_ne!(report.slots[0].chain, report.slots[1].chain);
    let merged: Vec<_> = (0..50).flat_map(|n| [format!("{n} a"), format!("{n} b")]).collect();
    assert_eq!(tools(dir.path()), merged, "merged by time");
}

#[actix::test]
async fn after_the_close_nothing_is_let_in_and_the_slot_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::start(AuditConfig::new(dir.path())).await;
    let audit = house.audit.clone();
    house.close().await;
    assert_eq!(audit.status(), Status::Down);
    assert!(matches!(audit.record(called("late")).await, Err(AuditError::Unavailable)));
    let next = House::start(AuditConfig::new(dir.path())).await;
    next.audit.record(called("next")).await.unwrap();
    next.close().await;
    assert_eq!(crate::actors::audit::verify(dir.path(), None).unwrap().slots.len(), 1);
    assert_verifies(dir.path());
}

#[actix::test]
async fn the_log_is_settled_when_the_last_slow_task_has_its_record_on_disk() {
    for durability in [Durability::Durable, Durability::Buffered] {
        let dir = tempfile::tempdir().unwrap();
        let config = AuditConfig { durability, ..AuditConfig::new(dir.path()) };
        let house = House::start(config).await;
        assert!(house.audit.settled(Duration::ZERO).await, "nothing is on its way");
        let slot = house.audit.lane().reserve().unwrap();
        assert!(!house.audit.settled(Duration::from_millis(50)).await, "a place is held");

        actix::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(slot.write(called("slow")));
        });
        assert!(house.audit.settled(Duration::from_secs(5)).await);
        assert_eq!(tools(dir.path()), ["slow"]);
        assert_eq!(house.audit.events_total(), 1, "committed, not only written");

        let unused = house.audit.lane().reserve().unwrap();
        assert!(!house.audit.settled(Duration::from_millis(20)).await);
        drop(unused);
        assert!(house.audit.settled(Duration::from_secs(5)).await, "a place given back holds nothing up");
        house.close().await;
    }
}
