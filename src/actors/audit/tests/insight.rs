//! The insight on a whole log: it loses nothing over restarts, panics, full inboxes and damaged roll-ups.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{super::insight::*, rotation::journal, *};
use crate::actors::audit::{Lane, segment::list};

/// Longest wait for what is done in the background.
const SOON: Duration = Duration::from_secs(20);

/// A log with somebody who reads it.
struct Watched {
    house: House,
    insight: Insight,
    arbiter: Arbiter,
}

impl Watched {
    async fn start(config: &AuditConfig) -> Self {
        let house = House::start(config.clone()).await;
        let (insight, arbiter) = (Insight::default(), Arbiter::new());
        insight.start(&arbiter.handle(), &house.audit).await.unwrap();
        Self { house, insight, arbiter }
    }

    /// What happened in `range`, once all of it is counted.
    async fn review(&self, range: Range) -> Review {
        let asked = Instant::now();
        loop {
            match self.insight.review(range).await {
                Ok(review) if review.complete => return review,
                // Being rebuilt, or still reading.
                _ => assert!(asked.elapsed() < SOON, "never complete"),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn close(self) {
        self.house.close().await;
        self.arbiter.stop();
        self.arbiter.join().unwrap();
    }
}

fn small(dir: &Path) -> AuditConfig {
    AuditConfig { segment_bytes: 20_000, ..AuditConfig::new(dir) }
}

fn failure(address: u32, time: Timestamp) -> AuditEvent {
    let ip = Some(Ipv4Addr::from_bits(0xcb00_7100 + address).into());
    let reason = Some("invalid_token");
    AuditEvent { ip, reason, ..AuditEvent::new(time, EventCode::AuthFailed, Outcome::Denied) }
}

/// Writes failures of a few addresses and waits for the disk.
async fn fail(lane: &Lane, count: u32) {
    let mut receipts = Vec::new();
    for n in 0..count {
        receipts.push(lane.reserve().unwrap().write(failure(n % 7, Timestamp::now())).committed());
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
}

/// The files of that ending, oldest first.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join("audit/0")).unwrap().map(|it| it.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == ending));
    files.sort();
    files
}

/// A closed log of several sealed segments, each with its roll-up, and how many failures it holds.
async fn sealed() -> (tempfile::TempDir, u64) {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::start(&small(dir.path())).await;
    let lane = watched.house.audit.lane();
    for _ in 0..10 {
        fail(&lane, 100).await;
    }
    assert_eq!(watched.review(Range::Day).await.totals.failed_authentications, 1_000);
    watched.close().await;
    let stems = |ending: &str| -> Vec<_> {
        files(dir.path(), ending).iter().map(|path| path.file_stem().unwrap().to_owned()).collect()
    };
    // Each but the last one, which is open.
    let mut segments = stems("jsonl");
    assert!(segments.len() > 10 && segments.pop().is_some());
    assert_eq!(stems("rollup"), segments);
    (dir, 1_000)
}

#[actix::test]
async fn what_was_committed_is_counted_at_the_next_question() {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::start(&AuditConfig::new(dir.path())).await;
    watched.review(Range::Hour).await;
    let lane = watched.house.audit.lane();
    for n in 1..=50 {
        fail(&lane, 1).await;
        let review = watched.insight.review(Range::Hour).await.unwrap();
        assert_eq!((review.totals.failed_authentications, review.complete), (n, true));
    }
    assert_eq!(watched.insight.vitals().restarts, 0);
    watched.close().await;
}

#[actix::test]
async fn a_restart_keeps_the_numbers_and_the_patterns_that_were_told() {
    let (dir, count) = sealed().await;
    let told = alerts(dir.path());
    assert!(!told.is_empty() && told.iter().all(|reason| reason == "repeated_auth_failures"));
    for _ in 0..2 {
        let watched = Watched::start(&small(dir.path())).await;
        for range in [Range::Hour, Range::Day, Range::Week] {
            let review = watched.review(range).await;
            assert_eq!(review.totals.failed_authentications, count);
            assert_eq!(review.totals.unusual, 7);
            assert_eq!(review.unusual.len(), 7);
            assert!(review.unusual.iter().all(|it| it.lasts));
            assert_eq!(review.offences.iter().map(|it| it.count).sum::<u64>(), count);
        }
        watched.close().await;
    }
    assert_eq!(alerts(dir.path()), told, "each is told once while it lasts, over restarts too");
}

#[actix::test]
async fn a_sealed_segment_is_not_read_again() {
    let (dir, count) = sealed().await;
    // Its end stays as it was; what is before does not count a second time.
    for path in files(dir.path(), "jsonl").iter().rev().skip(1) {
        let text = fs::read_to_string(path).unwrap();
        let last = text.trim_end().rfind('\n').unwrap() + 1;
        fs::write(path, format!("{}\n{}", "x".repeat(last - 1), &text[last..])).unwrap();
    }
    let watched = Watched::start(&small(dir.path())).await;
    assert_eq!(watched.review(Range::Day).await.totals.failed_authentications, count);
    watched.close().await;
}

#[actix::test]
async fn a_torn_a_forged_and_a_foreign_rollup_are_made_anew() {
    let (dir, count) = sealed().await;
    let rollups = files(dir.path(), "rollup");
    let good: Vec<_> = rollups.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let (body, signature) = good[0].split_once('\n').unwrap();
    let fewer = body.replace("\"count\":", "\"count\":1");
    assert_ne!(fewer, body);
    for (what, text) in [
        ("torn", good[0][..good[0].len() / 2].to_owned()),
        ("torn in its signature", good[0][..good[0].len() - 10].to_owned()),
        ("empty", String::new()),
        ("forged", format!("{fewer}\n{signature}")),
        ("of another segment", good[1].clone()),
        ("no text", "\0\u{1b}".to_owned()),
    ] {
        fs::write(&rollups[0], text).unwrap();
        let watched = Watched::start(&small(dir.path())).await;
        let review = watched.review(Range::Day).await;
        assert_eq!(review.totals.failed_authentications, count, "{what}");
        assert_eq!(review.offences.iter().map(|it| it.count).sum::<u64>(), count, "{what}");
        watched.close().await;
        assert_eq!(fs::read_to_string(&rollups[0]).unwrap(), good[0], "{what}");
    }
}

#[actix::test]
async fn a_rollup_of_a_segment_that_was_changed_is_stale() {
    let (dir, _) = sealed().await;
    let segment = &files(dir.path(), "jsonl")[0];
    let text = fs::read_to_string(segment).unwrap();
    let kept: String = text.split_inclusive('\n').take(10).collect();
    let (gone, left) = (text.matches("auth.failed").count(), kept.matches("auth.failed").count());
    fs::write(segment, kept).unwrap();
    let watched = Watched::start(&small(dir.path())).await;
    let counted = watched.review(Range::Day).await.totals.failed_authentications;
    assert_eq!(
        counted,
        1_000 - gone as u64 + left as u64,
        "as the log is now; what is missing is for verify"
    );
    watched.close().await;
}

#[actix::test]
async fn panics_under_load_lose_no_count() {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::start(&small(dir.path())).await;
    let lane = watched.house.audit.lane();
    for round in 1..=10_u64 {
        fail(&lane, 40).await;
        watched.insight.fault().unwrap();
        fail(&lane, 40).await;
        let begun = Instant::now();
        while watched.insight.vitals().restarts < round || !watched.insight.vitals().alive {
            assert!(begun.elapsed() < SOON, "it is not rebuilt");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        fail(&lane, 20).await;
        assert_eq!(watched.review(Range::Hour).await.totals.failed_authentications, round * 100);
    }
    // The writer's own panics leave no hole either.
    watched.house.audit.fault().unwrap();
    let begun = Instant::now();
    while watched.house.audit.restarts() == 0 {
        assert!(begun.elapsed() < SOON, "it is not rebuilt");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fail(&lane, 100).await;
    assert_eq!(watched.review(Range::Hour).await.totals.failed_authentications, 1_100);
    watched.close().await;
    assert_verifies(dir.path());
}

#[actix::test]
async fn what_does_not_fit_into_the_inbox_is_read_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::start(&AuditConfig::new(dir.path())).await;
    watched.review(Range::Hour).await;
    // Nobody looks while more comes than there is room for: its thread is kept busy.
    let (release, busy) = std::sync::mpsc::channel::<()>();
    assert!(watched.arbiter.spawn_fn(move || _ = busy.recv()));
    let (shared, now) = (watched.house.audit.shared_for_tests(), Timestamp::now());
    let lane = watched.house.audit.lane();
    let mut last = None;
    for n in 0..20_000 {
        last = Some(lane.reserve().unwrap().write(failure(n % 7, now)));
    }
    last.unwrap().committed().await.unwrap();
    let end = { shared.work.lock().committed.clone().unwrap() };
    assert!(end.head.seq >= 20_000);
    assert!(shared.inbox.has_overflowed());
    drop(release);
    assert_eq!(watched.review(Range::Hour).await.totals.failed_authentications, 20_000);
    watched.close().await;
}

#[actix::test]
async fn a_slot_that_another_process_writes_counts_too() {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::start(&AuditConfig::new(dir.path())).await;
    let other = House::start(small(dir.path())).await;
    let lane = other.audit.lane();
    for round in 1..=5 {
        fail(&lane, 100).await;
        assert_eq!(watched.review(Range::Hour).await.totals.failed_authentications, round * 100);
    }
    other.close().await;
    watched.close().await;
    assert!(alerts(dir.path()).is_empty(), "who writes them tells of them");
}

/// How many records there are, and how large a segment is.
fn many() -> (u64, u64) {
    let full = std::env::var_os("PORTCULLIS_FULL").is_some_and(|value| value != "0" && !value.is_empty());
    if full { (1_000_000, 16 << 20) } else { (100_000, 2 << 20) }
}

#[actix::test]
async fn seven_days_of_a_large_log_are_answered_in_under_a_second_at_once_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let (count, segment_bytes) = many();
    let config = AuditConfig { segment_bytes, ..AuditConfig::new(dir.path()) };
    let now = Timestamp::now();
    let week = 7 * 24 * 3_600_000_000_u64;
    let mut writer = journal(config.clone(), now);
    writer.begin(now).unwrap();
    for n in 0..count {
        let time = now.minus(Duration::from_micros(week - week / count * n));
        let event = if n % 10 == 0 { failure((n % 70) as u32, time) } else { called("get_weather") };
        writer.append(&AuditEvent { time, ..event }, now).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);

    // The first start reads all of it, behind its back: it answers at once, and says that this is not all.
    let begun = Instant::now();
    let watched = Watched::start(&config).await;
    let first = watched.insight.review(Range::Week).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let counted = first.totals.failed_authentications;
    assert!(counted < count / 10 && !first.complete || !cfg!(debug_assertions), "{counted}");
    assert_eq!(watched.review(Range::Week).await.totals.failed_authentications, count / 10);
    watched.close().await;

    // From then on it is there at once. The best of three, since others use this machine too.
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        let watched = Watched::start(&config).await;
        let review = watched.review(Range::Week).await;
        best = best.min(begun.elapsed());
        assert_eq!((review.totals.failed_authentications, review.series.len()), (count / 10, 169));
        let asked = Instant::now();
        watched.review(Range::Week).await;
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        watched.close().await;
    }
    println!("{count} records: all of it is told {best:?} after the start");
    assert!(best < Duration::from_secs(1), "{best:?}");
    assert_eq!(list(&dir.path().join("audit/0")).unwrap().len(), files(dir.path(), "rollup").len() + 1);
}
