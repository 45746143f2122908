//! The disk fails, the writer dies: nobody is told ok without a record, and nothing is written twice.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use parking_lot::Mutex;

use super::*;
use crate::{
    actors::audit::{AuditError, Durability, Status, segment::list},
    error::{Code, Coded},
};

/// A disk that fails on demand.
#[derive(Debug, Default)]
struct Flaky {
    /// Every append writes half of its bytes and then finds the disk full.
    full: AtomicBool,
    /// Every sync fails.
    broken: AtomicBool,
    /// Every sync whose number this divides fails; 0 for none.
    fails_every: AtomicU64,
    /// The next sync panics.
    panics: AtomicBool,
    syncs: AtomicU64,
    /// Whoever holds it holds every sync.
    hold: Mutex<()>,
}

impl Disk for Flaky {
    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let number = self.syncs.fetch_add(1, Ordering::SeqCst) + 1;
        drop(self.hold.lock());
        assert!(!self.panics.swap(false, Ordering::SeqCst), "an injected panic in the middle of a commit");
        let every = self.fails_every.load(Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) || (every > 0 && number.is_multiple_of(every)) {
            return Err(io::Error::from_raw_os_error(5));
        }
        file.sync_data()
    }
}

pub(super) async fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Tools recorded below `dir`, each of which must be there once.
fn tools_once(dir: &Path) -> HashSet<String> {
    let tools = tools(dir);
    let once: HashSet<_> = tools.iter().cloned().collect();
    assert_eq!(once.len(), tools.len(), "something was recorded twice");
    once
}

/// Holds every sync of a disk until dropped.
struct Held {
    let_go: std::sync::mpsc::Sender<()>,
}

impl Held {
    fn hold(disk: &Arc<Flaky>) -> Self {
        let (holds, held) = std::sync::mpsc::channel();
        let (let_go, dropped) = std::sync::mpsc::channel::<()>();
        let disk = Arc::clone(disk);
        std::thread::spawn(move || {
            let _held = disk.hold.lock();
            holds.send(()).unwrap();
            let _ = dropped.recv();
        });
        held.recv().unwrap();
        Self { let_go }
    }

    fn let_go(self) {
        self.let_go.send(()).unwrap();
    }
}

#[actix::test]
async fn no_receipt_is_ok_before_its_sync_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Flaky::default());
    let house = House::start_on(AuditConfig::new(dir.path()), disk.clone()).await;
    let held = Held::hold(&disk);
    let mut waits = Box::pin(house.audit.record(called("held")));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waits).await.is_err());
    held.let_go();
    waits.await.unwrap();
    assert_eq!(tools(dir.path()), ["held"]);
    house.close().await;
}

#[actix::test]
async fn what_was_written_so_far_is_waited_for_beside_whoever_waits_for_it_already() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Flaky::default());
    let house = House::start_on(AuditConfig::new(dir.path()), disk.clone()).await;
    let lane = house.audit.lane();
    lane.recorded().await.unwrap();
    let held = Held::hold(&disk);
    drop(lane.reserve().unwrap().write(called("dropped")));
    let own = lane.reserve().unwrap().write(called("own"));
    let mut all = Box::pin(join_all([lane.recorded(), lane.recorded()]));
    let mut own = Box::pin(own.committed());
    let mut both = Box::pin(futures_util::future::join(&mut all, &mut own));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut both).await.is_err());
    house.audit.lane().recorded().await.unwrap();
    let begun = Instant::now();
    held.let_go();
    let (all, own) = both.await;
    assert!(all.into_iter().chain([own]).all(|end| end.is_ok()) && begun.elapsed() < Duration::from_secs(1));
    assert_eq!(tools(dir.path()), ["dropped", "own"]);
    disk.broken.store(true, Ordering::SeqCst);
    drop(lane.reserve().unwrap().write(called("late")));
    assert!(matches!(lane.recorded().await, Err(AuditError::Unavailable)));
    disk.broken.store(false, Ordering::SeqCst);
    until("the recovery", || house.audit.status() == Status::Healthy).await;
    house.close().await;
}

#[actix::test]
async fn a_disk_that_hangs_is_waited_for_five_seconds_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Flaky::default());
    let house = House::start_on(AuditConfig::new(dir.path()), disk.clone()).await;
    let held = Held::hold(&disk);
    let begun = Instant::now();
    assert!(matches!(house.audit.record(called("late")).await, Err(AuditError::Unavailable)));
    assert!((5..7).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    held.let_go();
    house.audit.record(called("after")).await.unwrap();
    assert_eq!(tools(dir.path()), ["late", "after"]);
    house.close().await;
}

#[actix::test]
async fn buffered_mode_waits_for_no_disk_and_syncs_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Flaky::default());
    let config = AuditConfig { durability: Durability::Buffered, ..AuditConfig::new(dir.path()) };
    let house = House::start_on(config, disk.clone()).await;
    let synced = disk.syncs.load(Ordering::SeqCst);
    let begun = Instant::now();
    house.audit.record(called("buffered")).await.unwrap();
    until("the record in the file", || tools(dir.path()) == ["buffered"]).await;
    until("its sync", || disk.syncs.load(Ordering::SeqCst) > synced && house.audit.depth() == 0).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(house.audit.events_total(), 1);
    house.close().await;
}

#[actix::test]
async fn a_failing_disk_refuses_promptly_and_heals_alone() {
    for full in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Flaky::default());
        let house = House::start_on(AuditConfig::new(dir.path()), disk.clone()).await;
        house.audit.record(called("before")).await.unwrap();
        let lane = house.audit.lane();
        let late = lane.reserve().unwrap();
        let switch = if full { &disk.full } else { &disk.broken };

        switch.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        let refused = lane.reserve().unwrap().write(called("during")).committed().await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(refused.code(), Code::AuditUnavailable);
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
        assert_eq!(house.audit.status(), Status::Failing);
        assert!(matches!(lane.reserve(), Err(AuditError::Unavailable)));
        late.write(called("late")).committed().await.unwrap_err();

        switch.store(false, Ordering::SeqCst);
        until("the recovery", || house.audit.status() == Status::Healthy).await;
        lane.reserve().unwrap().write(called("after")).committed().await.unwrap();
        house.close().await;
        assert_eq!(tools(dir.path()), ["before", "during", "late", "after"]);
        assert_eq!(alerts(dir.path()), ["audit_write_failed"]);
        assert_verifies(dir.path());
    }
}

#[actix::test]
async fn a_removed_or_emptied_segment_is_noticed_and_the_chain_goes_on_in_a_new_one() {
    for removed in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let house = House::start(AuditConfig::new(dir.path())).await;
        house.audit.record(called("lost")).await.unwrap();
        let slot = dir.path().join("audit/0");
        let path = list(&slot).unwrap()[0].path(&slot);
        if removed {
            fs::remove_file(&path).unwrap()
        } else {
            File::create(&path).map(drop).unwrap()
        }

        house.audit.record(called("kept")).await.unwrap_err();
        until("the recovery", || house.audit.status() == Status::Healthy).await;
        house.audit.record(called("after")).await.unwrap();
        house.close().await;

        assert_eq!(tools(dir.path()), ["kept", "after"]);
        let report = crate::actors::audit::verify(dir.path(), None).unwrap();
        let first = &report.problems[0];
        assert_eq!((report.problem_count, first.line, first.seq), (1, 1, Some(2)), "{:#?}", report.problems);
    }
}

/// Four threads that write and wait; gives what was told ok and what was refused.
pub(super) fn load(audit: &Audit, events: usize) -> Vec<std::thread::JoinHandle<(Vec<String>, Vec<String>)>> {
    let worker = move |thread: usize, audit: Audit| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (lane, mut told, mut refused) = (audit.lane(), Vec::new(), Vec::new());
            for batch in 0..events / 10 {
                let mut waits = Vec::new();
                while waits.len() < 10 {
                    match lane.reserve() {
                        Ok(slot) => {
                            let tool = format!("{thread}-{batch}-{}", waits.len());
                            let receipt = slot.write(called(&tool));
                            waits.push(async move { (tool, receipt.committed().await.is_ok()) });
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                    }
                }
                for (tool, ok) in futures_util::future::join_all(waits).await {
                    if ok { told.push(tool) } else { refused.push(tool) }
                }
            }
            (told, refused)
        })
    };
    (0..4)
        .map(|thread| (thread, audit.clone()))
        .map(|(n, audit)| std::thread::spawn(move || worker(n, audit)))
        .collect()
}

pub(super) async fn join(
    threads: Vec<std::thread::JoinHandle<(Vec<String>, Vec<String>)>>,
) -> (Vec<String>, Vec<String>) {
    let (mut told, mut refused) = (Vec::new(), Vec::new());
    for thread in threads {
        let ended = actix_web::web::block(move || thread.join().unwrap()).await.unwrap();
        told.extend(ended.0);
        refused.extend(ended.1);
    }
    (told, refused)
}

#[actix::test]
async fn a_writer_that_dies_under_load_loses_nothing_and_doubles_nothing() {
    for durability in [Durability::Durable, Durability::Buffered] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Flaky::default());
        let config = AuditConfig { durability, checkpoint_every: 50, ..AuditConfig::new(dir.path()) };
        let house = House::start_on(config, disk.clone()).await;
        let threads = load(&house.audit, 2_000);
        for death in 1..=6 {
            if death % 2 == 0 {
                // In the middle of a commit, everything already in the file.
                disk.panics.store(true, Ordering::SeqCst);
            } else {
                house.audit.fault().unwrap();
            }
            until("the rebuilt writer", || house.audit.restarts() == death && house.audit.is_alive()).await;
        }
        let (told, refused) = join(threads).await;
        house.close().await;

        assert!(refused.is_empty(), "a rebuild is no refusal: {} of them", refused.len());
        let recorded = tools_once(dir.path());
        assert_eq!(recorded, told.into_iter().collect());
        assert_eq!(recorded.len(), 8_000);
        assert_verifies(dir.path());
    }
}

#[actix::test]
async fn a_disk_that_fails_again_and_again_under_load_keeps_its_word() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Flaky::default());
    let config = AuditConfig { checkpoint_every: 17, segment_bytes: 8 << 10, ..AuditConfig::new(dir.path()) };
    let house = House::start_on(config, disk.clone()).await;
    disk.fails_every.store(9, Ordering::SeqCst);
    let (told, refused) = join(load(&house.audit, 200)).await;
    disk.fails_every.store(0, Ordering::SeqCst);
    until("the recovery", || house.audit.status() == Status::Healthy).await;
    house.close().await;

    assert!(!refused.is_empty(), "the disk did fail");
    let recorded = tools_once(dir.path());
    assert!(told.iter().all(|tool| recorded.contains(tool)));
    assert_eq!(recorded.len(), 800, "what was refused late is recorded all the same");
    assert!(list(&dir.path().join("audit/0")).unwrap().len() > 20);
    assert_verifies(dir.path());
}

#[actix::test]
async fn a_close_on_a_broken_disk_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Flaky::default());
    let house = House::start_on(AuditConfig::new(dir.path()), disk.clone()).await;
    disk.broken.store(true, Ordering::SeqCst);
    drop(house.audit.lane().reserve().unwrap().write(called("x")));
    assert!(matches!(house.audit.close().await, Err(AuditError::Unavailable)));
}
