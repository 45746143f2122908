//! Every committed record arrives, once and in its order, whatever the store does meanwhile.

use std::{fs::OpenOptions, io::Write, path::Path, sync::atomic::Ordering::Relaxed};

use actix::Arbiter;
use proptest::prelude::*;

use super::{
    super::super::{Audit, AuditConfig, Filter, query, segment::list},
    *,
};
use crate::domain::{AuditEvent, EventCode, Outcome};

/// A log that is open, with a segment for every few records.
struct Log {
    audit: Audit,
    arbiter: Arbiter,
}

impl Log {
    async fn open(dir: &Path) -> Self {
        let mut config = AuditConfig::new(dir);
        (config.segment_bytes, config.checkpoint_every) = (4_000, 7);
        let arbiter = Arbiter::new();
        Self { audit: Audit::start(&arbiter.handle(), config).await.unwrap(), arbiter }
    }

    async fn record(&self, count: usize) {
        let event = || AuditEvent::new(Timestamp::now(), EventCode::ToolCalled, Outcome::Ok);
        for _ in 0..count {
            self.audit.record(event()).await.unwrap();
        }
    }

    async fn close(self) {
        self.audit.close().await.unwrap();
        self.arbiter.stop();
    }
}

/// The lines of the log below `dir`, in order.
fn lines(dir: &Path) -> Vec<Vec<u8>> {
    query(dir, Filter::default()).unwrap().map(|found| found.unwrap().line.into_bytes()).collect()
}

fn sent(books: &Books) -> Vec<Vec<u8>> {
    books.rows().into_iter().map(|row| row.line).collect()
}

#[actix::test]
async fn what_is_recorded_arrives_once_and_in_order_across_restarts_of_everything() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Arc::new(Books::default()));
    for round in 0..3 {
        let log = Log::open(dir.path()).await;
        let mut sending = sending(&books, dir.path(), RULES);
        for _ in 0..3 {
            log.record(20).await;
            sending.look().await.unwrap();
            assert_eq!(sent(&books), lines(dir.path()), "round {round}");
            assert_eq!(sending.shared().lag.load(Relaxed), 0);
        }
        log.record(5).await;
        log.close().await;
    }
    sending(&books, dir.path(), RULES).look().await.unwrap();
    assert_eq!(sent(&books), lines(dir.path()));
    assert!(list(&dir.path().join("audit/0")).unwrap().len() > 5, "over several segments");
}

#[actix::test]
async fn a_lost_answer_brings_nothing_twice_and_silence_is_waited_out() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Arc::new(Books::default()));
    let log = Log::open(dir.path()).await;
    let mut sending = sending(&books, dir.path(), RULES);
    log.record(30).await;
    for faults in [&[Fault::Silent][..], &[Fault::Unheard], &[Fault::Silent, Fault::Unheard, Fault::Silent]] {
        books.will(faults);
        log.record(30).await;
        for _ in faults {
            assert!(sending.look().await.is_err());
            assert!(sending.shared().lag.load(Relaxed) > 0, "it is known to be behind");
        }
        sending.look().await.unwrap();
        assert_eq!(sent(&books), lines(dir.path()));
    }
    log.close().await;
}

#[actix::test]
async fn a_store_that_lost_some_or_all_of_it_gets_it_again() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Arc::new(Books::default()));
    let log = Log::open(dir.path()).await;
    let mut sending = sending(&books, dir.path(), RULES);
    log.record(40).await;
    sending.look().await.unwrap();
    // A failover to a node that had not heard of the last rows.
    books.change(|end, rows| {
        rows.truncate(10);
        *end = 10;
    });
    log.record(1).await;
    sending.look().await.unwrap();
    assert_eq!(sent(&books), lines(dir.path()), "after some were lost");
    *books.0.lock() = State::default();
    log.record(1).await;
    sending.look().await.unwrap();
    assert_eq!(sent(&books), lines(dir.path()), "after all were lost");
    log.close().await;
}

#[actix::test]
async fn what_is_not_committed_is_not_sent() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Arc::new(Books::default()));
    let log = Log::open(dir.path()).await;
    log.record(3).await;
    let committed = lines(dir.path());
    let slot = dir.path().join("audit/0");
    let segment = list(&slot).unwrap().pop().unwrap().path(&slot);
    let next = String::from_utf8(committed[2].clone()).unwrap().replace("\"seq\":3,", "\"seq\":4,");
    let mut file = OpenOptions::new().append(true).open(segment).unwrap();
    writeln!(file, "{next}").unwrap();
    sending(&books, dir.path(), RULES).look().await.unwrap();
    assert_eq!(sent(&books), committed);
    assert_eq!(lines(dir.path()).len(), 4, "it stands there");
    log.arbiter.stop();
}

#[actix::test]
async fn only_so_many_stay_and_those_that_had_to_go_are_counted() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Arc::new(Books::default()));
    let log = Log::open(dir.path()).await;
    let mut sending = sending(&books, dir.path(), FleetRules { records: 20, ..RULES });
    log.record(30).await;
    sending.look().await.unwrap();
    let all = lines(dir.path()).len() as u64;
    assert_eq!(books.numbers(), (all - 19..=all).collect::<Vec<_>>(), "the newest");
    assert_eq!(sending.shared().too_many.load(Relaxed), 0, "of what was there before nothing was promised");
    log.record(5).await;
    sending.look().await.unwrap();
    let went = lines(dir.path()).len() as u64 - all;
    assert_eq!((books.numbers().len(), sending.shared().too_many.load(Relaxed)), (20, went));
    // While the store is away more come than it has room for.
    log.record(40).await;
    let more = lines(dir.path()).len() as u64 - all;
    sending.look().await.unwrap();
    assert_eq!((books.numbers().len(), sending.shared().too_many.load(Relaxed)), (20, more));
    log.close().await;
}

#[actix::test]
async fn records_that_are_gone_from_the_files_or_too_old_are_counted() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Arc::new(Books::default()));
    let log = Log::open(dir.path()).await;
    let mut sending = sending(&books, dir.path(), RULES);
    log.record(5).await;
    sending.look().await.unwrap();
    let before = books.numbers().len() as u64;
    log.record(40).await;
    let slot = dir.path().join("audit/0");
    let names = list(&slot).unwrap();
    let gone = &names[names.len() - 3..names.len() - 1];
    let lacking = names[names.len() - 1].first - gone[0].first;
    gone.iter().for_each(|name| std::fs::remove_file(name.path(&slot)).unwrap());
    sending.look().await.unwrap();
    assert_eq!(sending.shared().gone.load(Relaxed), lacking);
    assert_eq!(sent(&books), lines(dir.path()));
    assert!(before > 0 && lacking > 0);

    log.record(5).await;
    let late = lines(dir.path()).len() as u64 - books.numbers().len() as u64;
    // Nothing is young enough any more when it could be sent.
    sending.rules.retention = Duration::ZERO;
    sending.look().await.unwrap();
    assert_eq!(sending.shared().too_old.load(Relaxed), late);
    log.close().await;
}

#[actix::test]
async fn a_chain_that_is_not_what_we_wrote_is_replaced_but_not_over_and_over() {
    let (dir, books) = (tempfile::tempdir().unwrap(), Arc::new(Books::default()));
    let log = Log::open(dir.path()).await;
    log.record(10).await;
    let mut sender = sending(&books, dir.path(), RULES);
    sender.look().await.unwrap();
    let forge = || books.change(|_, rows| rows.last_mut().unwrap().line.push(b' '));
    let advance = || {
        books.change(|end, rows| {
            *end = 1_000_000;
            rows.push(FleetRow { id: "1000000-0".into(), seq: Some(1_000_000), line: b"x".to_vec() });
        });
    };
    for disturb in [&forge as &dyn Fn(), &advance] {
        disturb();
        log.record(1).await;
        // Whoever starts looks at the end; whoever runs finds that it is elsewhere.
        sender = sending(&books, dir.path(), RULES);
        sender.look().await.unwrap();
        assert_eq!(sent(&books), lines(dir.path()));
    }
    advance();
    log.record(1).await;
    sender.look().await.unwrap();
    assert_eq!(books.numbers().last(), Some(&1_000_000), "left alone for a while");
    assert!(sender.shared().lag.load(Relaxed) > 0);
    log.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_fails_when_everything_is_there_once_in_the_end(
        steps in prop::collection::vec((0_usize..40, 0_u8..5), 1..12)
    ) {
        actix::System::new().block_on(async {
            let (dir, books) = (tempfile::tempdir().unwrap(), Arc::new(Books::default()));
            let log = Log::open(dir.path()).await;
            let mut sender = sending(&books, dir.path(), RULES);
            for (count, what) in steps {
                log.record(count).await;
                match what {
                    0 => books.will(&[Fault::Silent]),
                    1 => books.will(&[Fault::Unheard]),
                    2 => books.change(|end, rows| {
                        rows.truncate(rows.len() / 2);
                        *end = rows.last().and_then(|row| row.seq).unwrap_or(0);
                    }),
                    3 => sender = sending(&books, dir.path(), RULES),
                    _ => {}
                }
                drop(sender.look().await);
            }
            books.0.lock().faults.clear();
            log.record(1).await;
            sender.look().await.unwrap();
            assert_eq!(sent(&books), lines(dir.path()));
            log.close().await;
        });
    }
}
