//! The writer: groups what waits into one transaction, and leaves gaps for other processes.

use std::{
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    place::Place,
    worker::{Job, Jobs},
};
use crate::store::StoreError;

/// Most jobs in one transaction.
const GROUP: usize = 256;
/// Shortest and longest pause after a commit. SQLite's lock is not fair: back to back, our commits
/// starved those of another process (seen). In between, the pause is as long as the commit took.
const REST: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Serves until the last handle is gone, then folds the log into the file.
pub(super) fn write(place: &Place, conn: Connection, jobs: &Jobs) {
    let mut rests_until = Instant::now();
    while let Ok(first) = jobs.recv() {
        let group = gather(first, jobs, rests_until);
        let started = Instant::now();
        answer(place, &conn, group);
        let ended = Instant::now();
        rests_until = ended + (ended - started).clamp(REST.0, REST.1);
    }
    close(conn);
}

/// Takes in what arrives during the pause, so that the pause costs no throughput.
fn gather(first: Box<dyn Job>, jobs: &Jobs, rests_until: Instant) -> Vec<Box<dyn Job>> {
    let mut group = vec![first];
    loop {
        let pause = rests_until.saturating_duration_since(Instant::now());
        if group.len() < GROUP {
            // A pause of zero still takes what is waiting.
            let Ok(job) = jobs.recv_timeout(pause) else { return group };
            group.push(job);
        } else if pause.is_zero() {
            return group;
        } else {
            thread::park_timeout(pause);
        }
    }
}

/// Nobody hears of success before the commit is on disk.
fn answer(place: &Place, conn: &Connection, mut group: Vec<Box<dyn Job>>) {
    let committed = commit(place, conn, &mut group);
    for job in group {
        job.reply(committed.clone());
    }
}

fn commit(place: &Place, conn: &Connection, group: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    place.check()?;
    // Rolled back when dropped without a commit.
    let whole = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    for job in group {
        run_alone(&whole, job.as_mut())?;
    }
    whole.commit()?;
    // A file that was taken away meanwhile took the commit with it.
    place.check()
}

/// Runs one job so that its failure undoes its own writes and nobody else's.
fn run_alone(conn: &Connection, job: &mut dyn Job) -> Result<(), StoreError> {
    conn.prepare_cached("SAVEPOINT job")?.execute([])?;
    let went_well = job.run(conn);
    if conn.is_autocommit() {
        // A full disk or a failed write made SQLite give up the whole transaction.
        return Err(StoreError::Unavailable("the transaction was given up".into()));
    }
    if !went_well {
        conn.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    conn.prepare_cached("RELEASE job")?.execute([])?;
    Ok(())
}

fn close(conn: Connection) {
    // Passive: does not wait for readers of other processes. Closing does the rest if we are the last.
    let folded = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = folded.and_then(|()| conn.close().map_err(|(_, error)| error)) {
        let error = StoreError::from(error);
        tracing::warn!(%error, "the store closed without folding its log; the next start does it");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::{Path, PathBuf},
        pin::Pin,
        sync::mpsc,
        task::{Context, Poll, Waker},
    };

    use futures_util::future::join_all;
    use tempfile::TempDir;
    use tokio::runtime::Builder;

    use super::*;
    use crate::store::{
        StoreFuture,
        sqlite::{connection, worker::Worker},
    };

    fn start(dir: &TempDir) -> (Worker, PathBuf) {
        let place = Place::prepare(&dir.path().join("p.db")).unwrap();
        let conn = connection::for_writing(&place).unwrap();
        conn.execute_batch("CREATE TABLE t (n INTEGER)").unwrap();
        let path = place.path().to_owned();
        (Worker::start("writer-of-a-test", place, conn, write).unwrap(), path)
    }

    fn insert(conn: &Connection, n: i64) -> Result<(), StoreError> {
        conn.execute("INSERT INTO t VALUES (?1)", [n])?;
        Ok(())
    }

    fn committed(path: &Path) -> Vec<i64> {
        let conn = Connection::open(path).unwrap();
        let mut all = conn.prepare("SELECT n FROM t ORDER BY n").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Asks for a job that holds the writer until the sender is dropped, and lets it begin.
    fn hold(writer: &Worker) -> (StoreFuture<'_, ()>, mpsc::Sender<()>) {
        let (release, held) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let mut holding = writer.ask(move |conn| {
            begin.send(()).unwrap();
            // An error is the event: the sender was dropped.
            let _released = held.recv();
            insert(conn, 0)
        });
        assert!(holding.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        begun.recv().unwrap();
        (holding, release)
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn what_waits_is_one_transaction_in_which_each_job_fails_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, path) = start(&dir);
        let (holding, release) = hold(&writer);
        let jobs = (1..=9).map(|n| {
            let path = path.clone();
            writer.ask(move |conn| {
                insert(conn, n)?;
                match n {
                    3 => panic!("on purpose"),
                    6 => Err(StoreError::Taken("six")),
                    _ => Ok(committed(&path)),
                }
            })
        });
        let mut all = join_all(jobs);
        assert!(Pin::new(&mut all).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(release);
        wait(holding).unwrap();
        for (n, answer) in (1..).zip(wait(all)) {
            match n {
                3 => assert!(matches!(answer, Err(StoreError::Unavailable(_)))),
                6 => assert_eq!(answer, Err(StoreError::Taken("six"))),
                _ => assert_eq!(answer, Ok(vec![0]), "{n}: nothing of its group was committed before it"),
            }
        }
        assert_eq!(committed(&path), [0, 1, 2, 4, 5, 7, 8, 9]);
    }

    #[test]
    fn a_full_queue_refuses_and_what_it_took_in_is_done_before_it_closes() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, path) = start(&dir);
        let (holding, release) = hold(&writer);
        let mut taken = 0;
        let refusal = loop {
            let mut asked = writer.ask(|conn| insert(conn, 1));
            match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => break answer,
                Poll::Pending => taken += 1,
            }
            assert!(taken < 10_000, "unbounded");
        };
        assert_eq!(refusal, Err(StoreError::Busy));
        drop((holding, release));
        drop(writer);
        assert_eq!(committed(&path).len(), taken + 1, "although nobody waited for the answers");
    }

    #[test]
    fn a_transaction_that_sqlite_gives_up_fails_everybody_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, path) = start(&dir);
        let (holding, release) = hold(&writer);
        let jobs = [1, 2, 3].map(|n| {
            writer.ask(move |conn| {
                insert(conn, n)?;
                if n == 2 {
                    conn.execute_batch("ROLLBACK")?;
                }
                Ok(())
            })
        });
        let mut all = join_all(jobs);
        assert!(Pin::new(&mut all).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(release);
        wait(holding).unwrap();
        assert!(wait(all).iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))));
        assert_eq!(wait(writer.ask(|conn| insert(conn, 4))), Ok(()));
        assert_eq!(committed(&path), [0, 4]);
    }
}
