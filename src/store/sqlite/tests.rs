//! What can happen to the file: other processes, loose rights, damage, age, disappearance.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::Sqlite;
use crate::{
    domain::Timestamp,
    store::{ChangeKind, Feed, Revocation, RevocationTarget, Revocations, Rings, StoreError, Users},
};

struct Fixture {
    store: Sqlite,
    path: PathBuf,
    runtime: Runtime,
    _dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/deep/p.db");
        let store = Sqlite::open(path.to_str().unwrap()).unwrap();
        Self { store, path, runtime: Builder::new_current_thread().build().unwrap(), _dir: dir }
    }

    fn revoke(&self, jti: &str) -> Result<(), StoreError> {
        let target = RevocationTarget::Jti(jti.into());
        let revocation = Revocation { target, at: Timestamp::default(), until: Timestamp::from_secs(9) };
        self.runtime.block_on(self.store.revoke(&revocation))
    }

    fn live(&self) -> Result<Vec<Revocation>, StoreError> {
        self.runtime.block_on(self.store.live(Timestamp::default()))
    }

    /// Somebody with `sqlite3` in hand.
    fn tamper(&self, sql: &str) {
        let conn = Connection::open(&self.path).unwrap();
        conn.execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {sql}")).unwrap();
    }
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn unavailable<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

#[test]
fn nobody_else_may_read_the_file_or_its_log_even_if_they_could_before() {
    let f = Fixture::new();
    f.revoke("a").unwrap();
    let path = f.path.to_str().unwrap();
    assert_eq!(mode(f.path.parent().unwrap().to_str().unwrap()), 0o700);
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&format!("{path}{suffix}")), 0o600, "{suffix}");
        fs::set_permissions(format!("{path}{suffix}"), Permissions::from_mode(0o644)).unwrap();
    }
    let _second = Sqlite::open(path).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&format!("{path}{suffix}")), 0o600, "{suffix} tightened");
    }
}

#[test]
fn a_file_that_goes_away_is_noticed_and_its_return_too() {
    let f = Fixture::new();
    let mut watch = f.store.watch(0);
    f.revoke("a").unwrap();
    assert_eq!(watch.poll().unwrap().len(), 1);
    let aside = f.path.with_extension("aside");
    fs::rename(&f.path, &aside).unwrap();
    assert!(unavailable(f.revoke("b")) && unavailable(f.live()) && unavailable(watch.poll()), "gone");
    fs::copy(&aside, &f.path).unwrap();
    assert!(unavailable(f.revoke("b")) && unavailable(f.live()) && unavailable(watch.poll()), "replaced");
    fs::rename(&aside, &f.path).unwrap();
    f.revoke("c").unwrap();
    assert_eq!(f.live().unwrap().len(), 2);
    assert_eq!(watch.poll().unwrap().len(), 1);
}

#[test]
fn a_file_that_no_longer_reads_is_noticed_by_an_idle_watch() {
    let f = Fixture::new();
    let mut watch = f.store.watch(0);
    f.revoke("a").unwrap();
    assert_eq!(watch.poll().unwrap().len(), 1);
    f.tamper("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_eq!(watch.poll(), Ok(vec![]));
    File::options().write(true).open(&f.path).unwrap().write_all(&[0xA5; 64 * 1024]).unwrap();
    let spoilt = Instant::now();
    while watch.poll().is_ok() {
        assert!(spoilt.elapsed() < Duration::from_millis(1_500), "not noticed");
        thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_record_that_does_not_read_is_an_error_and_never_a_gap() {
    let f = Fixture::new();
    let corrupt = |answer: Result<(), StoreError>| assert!(matches!(answer, Err(StoreError::Corrupt(_))));
    for values in [
        "('ann', 'no uuid', '[]', 1, 1, NULL, NULL)",
        "('ann', '01980000-0000-7000-8000-000000000000', '[7]', 1, 1, NULL, NULL)",
        "('ann', '01980000-0000-7000-8000-000000000000', '[', 1, 1, NULL, NULL)",
        "('ann', '01980000-0000-7000-8000-000000000000', '[]', 1, -1, NULL, NULL)",
        "('ann', '01980000-0000-7000-8000-000000000000', '[]', 1, 1, -1, NULL)",
        "('ann', CAST(x'ff' AS TEXT), '[]', 1, 1, NULL, NULL)",
    ] {
        f.tamper(&format!("DELETE FROM users; INSERT INTO users VALUES {values}"));
        corrupt(f.runtime.block_on(f.store.find(&"ann".parse().unwrap())).map(drop));
        // Among others it is as one that is disabled, and keeps none of them out.
        let (shown, named) = f.runtime.block_on(f.store.page(1, 10)).unwrap();
        let after = f.runtime.block_on(f.store.after(None)).unwrap();
        assert!(shown == after && named == 1, "{values}");
        let names: Vec<_> = shown.iter().map(|one| (one.username.as_str(), one.active)).collect();
        assert_eq!(names, [("ann", false)], "{values}");
    }
    f.revoke("good").unwrap();
    for values in ["('family', 'x', 1, 9)", "('jti', 'x', -1, 9)", "('jti', CAST(x'ff' AS TEXT), 1, 9)"] {
        f.tamper(&format!("DELETE FROM revocations; INSERT INTO revocations VALUES {values}"));
        corrupt(f.live().map(drop));
    }
    f.tamper("INSERT INTO rings VALUES ('digests', x'00')");
    corrupt(f.runtime.block_on(f.store.secret("digests")).map(drop));
}

#[test]
fn a_change_that_does_not_read_is_told_as_unknown() {
    let f = Fixture::new();
    f.tamper("INSERT INTO feed (at, what) VALUES (1, '{\"kind\":\"key\"}'), (1, CAST(x'ff' AS TEXT))");
    let told = f.runtime.block_on(f.store.changes_after(0)).unwrap();
    let kinds: Vec<_> = told.into_iter().map(|change| (change.id, change.what)).collect();
    assert_eq!(kinds, [(1, ChangeKind::Unknown), (2, ChangeKind::Unknown)]);
}

#[test]
fn old_changes_are_pruned_a_few_at_a_time_and_a_late_reader_is_told() {
    let f = Fixture::new();
    (0..100).for_each(|n| f.revoke(&n.to_string()).unwrap());
    f.tamper("UPDATE feed SET at = at - 3_700_000_000 WHERE id <= 90");
    let first = |after| f.runtime.block_on(f.store.changes_after(after)).unwrap().remove(0);
    f.revoke("x").unwrap();
    assert_eq!((first(0).id, first(0).what), (64, ChangeKind::Unknown), "64 of 90 went");
    f.revoke("y").unwrap();
    assert_eq!((first(0).id, first(0).what), (90, ChangeKind::Unknown), "the rest went, the young stayed");
    assert_ne!(first(90).what, ChangeKind::Unknown);
}

#[test]
fn more_revocations_than_one_step_drops_are_all_forgotten() {
    let f = Fixture::new();
    f.tamper(
        "INSERT INTO revocations WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
         SELECT 'jti', n, 1, 2 FROM n",
    );
    let forget = || f.runtime.block_on(f.store.forget_ended(Timestamp::from_micros(2)));
    assert_eq!((forget(), forget(), f.live()), (Ok(2_500), Ok(0), Ok(vec![])));
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &PathBuf| Sqlite::open(path.to_str().unwrap()).map(drop);
    assert!(matches!(open(&dir.path().to_owned()), Err(StoreError::Config(_))), "a directory");
    let text = dir.path().join("text");
    fs::write(&text, "no database ".repeat(100)).unwrap();
    assert!(matches!(open(&text), Err(StoreError::Corrupt(_))));
    assert!(matches!(open(&text.join("p.db")), Err(StoreError::Config(_))), "below a file");

    let newer = dir.path().join("newer");
    open(&newer).unwrap();
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&newer).unwrap();
    assert_eq!(open(&newer), Err(StoreError::Newer { found: 99, known: super::migrations::KNOWN }));
    assert_eq!(fs::read(&newer).unwrap(), before);
}

#[test]
fn a_lock_that_another_program_holds_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.db");
    let holder = Connection::open(&path).unwrap();
    // SQLite itself does not wait for this one when it turns WAL on.
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|threads| {
        let opened = threads.spawn(|| Sqlite::open(path.to_str().unwrap()).map(drop));
        thread::park_timeout(Duration::from_millis(100));
        assert!(!opened.is_finished());
        holder.execute_batch("ROLLBACK").unwrap();
        assert_eq!(opened.join().unwrap(), Ok(()));
    });
}

/// Runs this very test in other processes, which open the file that the variable names.
#[test]
fn processes_that_open_a_new_file_at_once_all_succeed() {
    const FILE: &str = "PORTCULLIS_TEST_STORE";
    let secret = |path: &str| {
        let store = Sqlite::open(path).unwrap();
        Builder::new_current_thread().build().unwrap().block_on(store.secret("digests")).unwrap()
    };
    if let Ok(path) = std::env::var(FILE) {
        secret(&path);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let this = "store::sqlite::tests::processes_that_open_a_new_file_at_once_all_succeed";
    for round in 0..5 {
        let path = dir.path().join(format!("{round}/p.db")).to_str().unwrap().to_owned();
        let start = || {
            let mut other = Command::new(std::env::current_exe().unwrap());
            other.args(["--exact", this]).env(FILE, &path).stdout(Stdio::null()).spawn().unwrap()
        };
        let others: Vec<_> = (0..4).map(|_| start()).collect();
        let ours: Vec<_> = thread::scope(|threads| {
            let opened: Vec<_> = (0..4).map(|_| threads.spawn(|| secret(&path))).collect();
            opened.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ours.iter().all(|one| *one == secret(&path)), "round {round}");
        for mut other in others {
            assert!(other.wait().unwrap().success(), "round {round}");
        }
    }
}
