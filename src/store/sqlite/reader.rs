//! The reader: answers questions one after the other, off the threads that serve.

use rusqlite::Connection;

use super::{place::Place, worker::Jobs};

/// Serves until the last handle is gone.
#[expect(clippy::needless_pass_by_value, reason = "the connection closes with its thread")]
pub(super) fn read(place: &Place, conn: Connection, jobs: &Jobs) {
    for mut job in jobs {
        let reachable = place.check();
        if reachable.is_ok() {
            job.run(&conn);
        }
        job.reply(reachable);
    }
}
