//! What is revoked, on this machine's own disk: for the day when a store that several servers share is emptied.
//!
//! A thread of its own writes what the feed brings, a line each, and now and then what matters still. It is a copy: the
//! store is asked first in everything, and a disk that is full costs this copy alone.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    feed::{Listener, Reloaded, Upto},
    freshness::Freshness,
    kit::ActorError,
};
use crate::{
    domain::Timestamp,
    files,
    store::{Change, ChangeKind, Revocation, RevocationTarget, Stores},
};

/// Lines that may be there beside those that matter before it is written anew.
const ROOM: usize = 4_096;
/// After how long what could not be written is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Most revocations that wait for a disk that takes none: what is more comes with the next reading of all.
const MOST_WAITING: usize = 65_536;

/// Where it is in a data directory.
pub fn place(data_dir: &Path) -> PathBuf {
    data_dir.join("keys/revocations")
}

/// What is kept in `place` and matters at `now`. A line that was cut off by a crash is passed over: what it said is in the
/// store.
///
/// # Errors
/// Whatever the system says; a file that is not there is an empty one.
pub fn read(place: &Path, now: Timestamp) -> io::Result<Vec<Revocation>> {
    let text = match fs::read_to_string(place) {
        Ok(text) => text,
        Err(fault) if fault.kind() == ErrorKind::NotFound => String::new(),
        Err(fault) => return Err(fault),
    };
    let mut all: BTreeMap<RevocationTarget, Revocation> = BTreeMap::new();
    let (mut lines, mut unreadable) = (0_u64, 0_u64);
    for line in text.lines() {
        lines += 1;
        match serde_json::from_str::<Revocation>(line) {
            Ok(one) => all.entry(one.target.clone()).or_insert_with(|| one.clone()).widen(&one),
            Err(_) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        tracing::warn!(lines, unreadable, "some revocations kept on this disk do not read");
    }
    Ok(all.into_values().filter(|one| one.is_live(now)).collect())
}

/// A handle to the copy. Dropping it waits until what was brought is written.
#[derive(Debug)]
pub struct Keepsake {
    fresh: Freshness,
    lines: Option<Sender<Vec<Revocation>>>,
    thread: Option<JoinHandle<()>>,
    stores: Stores,
}

impl Keepsake {
    /// Writes what is known: what is in `place` already, and what the store has, which was read up to row `from`.
    ///
    /// # Errors
    /// Whatever the system says, the store's failures among it.
    pub async fn start(place: PathBuf, (stores, from): (&Stores, u64)) -> io::Result<Self> {
        let now = Timestamp::now();
        let live = stores.revocations.live(now).await.map_err(io::Error::other)?;
        let mut paper = Paper { place, file: None, room: 0 };
        paper.rewrite(&live)?;
        let (lines, brought) = mpsc::channel();
        let thread = thread::Builder::new().name("keepsake".into()).spawn(move || paper.keep(&brought))?;
        Ok(Self {
            fresh: Freshness::new(from),
            lines: Some(lines),
            thread: Some(thread),
            stores: stores.clone(),
        })
    }

    fn bring(&self, revocations: Vec<Revocation>) -> Result<(), ActorError> {
        match &self.lines {
            Some(lines) if !revocations.is_empty() => {
                lines.send(revocations).map_err(|_gone| ActorError::Stopped("keepsake"))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Keepsake {
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(thread) = self.thread.take() {
            // An error is a panic that was reported when it happened.
            drop(thread.join());
        }
    }
}

impl Listener for Keepsake {
    fn applied(&self) -> u64 {
        self.fresh.applied()
    }

    fn deliver(&self, changes: &[Change], upto: Upto) -> Result<(), ActorError> {
        let revoked = changes.iter().filter_map(|change| match &change.what {
            ChangeKind::Revoked(revocation) => Some(revocation.clone()),
            _ => None,
        });
        self.bring(revoked.collect())?;
        self.fresh.mark(upto);
        Ok(())
    }

    fn reload(&self, upto: Upto) -> Reloaded<'_> {
        Box::pin(async move {
            let live = self.stores.revocations.live(Timestamp::now()).await?;
            if let Err(error) = self.bring(live) {
                tracing::debug!(%error, "nobody keeps revocations on this disk any more");
            }
            self.fresh.mark(upto);
            Ok(())
        })
    }
}

/// The file.
struct Paper {
    place: PathBuf,
    file: Option<File>,
    /// Lines that may be added before it is written anew.
    room: usize,
}

impl Paper {
    /// Writes what is brought until nobody brings any more.
    fn keep(mut self, brought: &Receiver<Vec<Revocation>>) {
        let mut waiting: Vec<Revocation> = Vec::new();
        let mut complained: Option<Instant> = None;
        loop {
            let patience = if waiting.is_empty() { Duration::MAX } else { AGAIN_AFTER };
            let is_over = match recv(brought, patience) {
                Ok(more) => {
                    waiting.extend(more.into_iter().chain(brought.try_iter().flatten()));
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            match self.add(&waiting) {
                Ok(()) => (waiting, complained) = (Vec::new(), None),
                Err(error) => {
                    waiting.truncate(MOST_WAITING);
                    self.file = None;
                    if complained.is_none() {
                        tracing::error!(%error, "revocations cannot be kept on this disk beside the store");
                        complained = Some(Instant::now());
                    }
                }
            }
            if is_over {
                return;
            }
        }
    }

    /// Adds a line for each, and has them on disk.
    fn add(&mut self, revocations: &[Revocation]) -> io::Result<()> {
        if revocations.is_empty() {
            return Ok(());
        }
        if revocations.len() > self.room || self.file.is_none() {
            return self.rewrite(revocations);
        }
        self.room -= revocations.len();
        if let Some(file) = &mut self.file {
            file.write_all(&lines(revocations)?)?;
            file.sync_data()?;
        }
        Ok(())
    }

    /// Writes what is there, as far as it matters, and `more`.
    fn rewrite(&mut self, more: &[Revocation]) -> io::Result<()> {
        let now = Timestamp::now();
        let mut all = read(&self.place, now)?;
        all.extend(more.iter().filter(|one| one.is_live(now)).cloned());
        if let Some(folder) = self.place.parent() {
            files::private_dir(folder)?;
        }
        files::replace(&self.place, &lines(&all)?)?;
        self.room = all.len() + ROOM;
        self.file = Some(OpenOptions::new().append(true).mode(0o600).open(&self.place)?);
        Ok(())
    }
}

fn recv(
    brought: &Receiver<Vec<Revocation>>,
    patience: Duration,
) -> Result<Vec<Revocation>, RecvTimeoutError> {
    if patience == Duration::MAX {
        return brought.recv().map_err(|_gone| RecvTimeoutError::Disconnected);
    }
    brought.recv_timeout(patience)
}

fn lines(revocations: &[Revocation]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for one in revocations {
        serde_json::to_writer(&mut text, one)?;
        text.push(b'\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store;

    fn revocation(name: &str, until: Duration) -> Revocation {
        let at = Timestamp::now();
        Revocation { target: RevocationTarget::Jti(name.into()), at, until: at.plus(until) }
    }

    fn upto(row: u64) -> Upto {
        Upto { row, at: Instant::now() }
    }

    fn names(place: &Path) -> Vec<RevocationTarget> {
        read(place, Timestamp::now()).unwrap().into_iter().map(|one| one.target).collect()
    }

    fn target(name: &str) -> RevocationTarget {
        RevocationTarget::Jti(name.into())
    }

    #[tokio::test]
    async fn what_the_feed_brings_is_there_after_a_restart_and_nobody_else_reads_it() {
        let data = tempfile::tempdir().unwrap();
        let stores = store::open("memory:").unwrap();
        let before = revocation("before", Duration::from_secs(60));
        stores.revocations.revoke(&before).await.unwrap();
        let place = place(data.path());
        assert_eq!(names(&place), [], "nothing is kept yet");
        let keepsake = Keepsake::start(place.clone(), (&stores, 1)).await.unwrap();
        let changes = ["b", "c", "b"].map(|name| {
            let what = ChangeKind::Revoked(revocation(name, Duration::from_secs(60)));
            Change { id: 2, at: Timestamp::now(), what }
        });
        keepsake.deliver(&changes, upto(4)).unwrap();
        assert_eq!(keepsake.applied(), 4);
        drop(keepsake);
        assert_eq!(names(&place), ["b", "before", "c"].map(target));
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        drop(Keepsake::start(place.clone(), (&stores, 1)).await.unwrap());
        assert_eq!(
            fs::read_to_string(&place).unwrap().lines().count(),
            4,
            "each once, and what the store has"
        );
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_and_what_has_ended_are_passed_over() {
        let data = tempfile::tempdir().unwrap();
        let place = place(data.path());
        files::private_dir(place.parent().unwrap()).unwrap();
        let kept = lines(&[revocation("a", Duration::from_secs(60)), revocation("over", Duration::ZERO)]);
        fs::write(&place, [kept.unwrap(), b"{\"target\":{\"jti\":\"torn".to_vec()].concat()).unwrap();
        assert_eq!(names(&place), [target("a")]);
        let stores = store::open("memory:").unwrap();
        let keepsake = Keepsake::start(place.clone(), (&stores, 0)).await.unwrap();
        keepsake.bring(vec![revocation("b", Duration::from_secs(60))]).unwrap();
        drop(keepsake);
        assert_eq!(names(&place), [target("a"), target("b")]);
    }

    #[tokio::test]
    async fn it_does_not_grow_with_what_has_ended() {
        let data = tempfile::tempdir().unwrap();
        let stores = store::open("memory:").unwrap();
        let place = place(data.path());
        let keepsake = Keepsake::start(place.clone(), (&stores, 0)).await.unwrap();
        for _ in 0..4 {
            let many = (0..ROOM).map(|_| revocation("short", Duration::from_micros(1)));
            keepsake.bring(many.collect()).unwrap();
        }
        keepsake.bring(vec![revocation("long", Duration::from_secs(60))]).unwrap();
        drop(keepsake);
        assert!(fs::read_to_string(&place).unwrap().lines().count() <= 2 * ROOM + 1);
        assert_eq!(names(&place), [target("long")]);
    }

    #[tokio::test]
    async fn all_that_matters_is_kept_however_much_is_brought_at_once() {
        let data = tempfile::tempdir().unwrap();
        let stores = store::open("memory:").unwrap();
        let place = place(data.path());
        let keepsake = Keepsake::start(place.clone(), (&stores, 0)).await.unwrap();
        // As the store gives them: those that end last are the last ones.
        let all = (0..=MOST_WAITING as u64).map(|n| revocation(&n.to_string(), Duration::from_secs(60 + n)));
        keepsake.bring(all.collect()).unwrap();
        drop(keepsake);
        let kept = names(&place);
        assert_eq!(kept.len(), MOST_WAITING + 1);
        assert!(kept.contains(&target(&MOST_WAITING.to_string())), "the one that ends last");
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_written_is_tried_again() {
        let data = tempfile::tempdir().unwrap();
        let stores = store::open("memory:").unwrap();
        let place = place(data.path());
        let keepsake = Keepsake::start(place.clone(), (&stores, 0)).await.unwrap();
        let mut paper = Paper { place: place.join("below a file"), file: None, room: 0 };
        assert!(paper.add(&[revocation("a", Duration::from_secs(60))]).is_err());
        drop(keepsake);
        paper.place = place.clone();
        paper.add(&[revocation("a", Duration::from_secs(60))]).unwrap();
        assert_eq!(names(&place), [target("a")]);
    }
}
