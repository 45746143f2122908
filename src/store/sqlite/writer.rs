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
