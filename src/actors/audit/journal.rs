//! The log of one slot as its writer sees it: records go in, commits come out, and a failure leads back to
//! the last commit.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    config::AuditConfig,
    disk::Disk,
    encode::Encoder,
    error::AuditError,
    head::Head,
    home::Home,
    insight::End,
    keys::Signer,
    segment::{Begun, Segment, SegmentName, day, list},
    tail,
    takeover::{self, Found},
};
use crate::domain::{AuditEvent, EventCode, Outcome, Timestamp};

/// Bytes of records that are gathered before they are handed to the file.
const FLUSH_BYTES: usize = 1 << 20;

/// What a journal works with; outlives every actor that writes one.
#[derive(Debug)]
pub(super) struct Desk {
    /// The slot; another one if it was taken from us.
    home: Mutex<Arc<Home>>,
    /// Segments that this process began since its last commit: none else may be removed.
    begun: Mutex<Vec<Begun>>,
    /// Who vouches for checkpoints and heads.
    pub(super) signer: Signer,
    /// How bytes get to the disk.
    pub(super) disk: Arc<dyn Disk>,
    /// The rest of the settings.
    pub(super) config: AuditConfig,
}

impl Desk {
    pub(super) fn new(home: Home, signer: Signer, disk: Arc<dyn Disk>, config: AuditConfig) -> Self {
        Self { home: Mutex::new(Arc::new(home)), begun: Mutex::default(), signer, disk, config }
    }

    /// The slot that this process writes, or wrote until it was taken away.
    pub(super) fn home(&self) -> Arc<Home> {
        Arc::clone(&self.home.lock())
    }

    /// A slot that is ours: the one we had, else a new one.
    fn settle(&self) -> Result<Arc<Home>, AuditError> {
        let mut home = self.home.lock();
        if !home.is_ours().map_err(AuditError::file("read", home.segments()))? {
            home.release();
            *home = Arc::new(Home::claim(&self.config.dir)?);
        }
        Ok(Arc::clone(&home))
    }
}

/// The last point that is known to be on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// End of the chain there.
    pub(super) head: Head,
    /// Records since the last checkpoint.
    pub(super) since: u64,
    /// The segment and its length there; `None` if the next record begins one.
    pub(super) segment: Option<(SegmentName, u64)>,
}

/// Writes the log of one slot.
#[derive(Debug)]
pub(super) struct Journal {
    desk: Arc<Desk>,
    home: Arc<Home>,
    encoder: Encoder,
    buffer: Vec<u8>,
    segment: Option<Segment>,
    head: Head,
    since: u64,
    committed: Position,
}

impl Journal {
    /// Takes the slot's log over from whoever wrote it last, and commits what has to be said about it; takes
    /// another slot if that one was taken away.
    ///
    /// # Errors
    /// [`AuditError::File`]: a log that cannot be written at start is no log.
    pub(super) fn open(desk: Arc<Desk>, now: Timestamp) -> Result<Self, AuditError> {
        let home = desk.settle()?;
        // What we began in an earlier attempt may be the tail now.
        desk.begun.lock().clear();
        let dir = home.segments().to_path_buf();
        let look = || -> io::Result<Found> {
            let tail = tail::find(&dir)?;
            let promised = home.head().filter(|it| desk.signer.signed(it)).and_then(|it| it.said());
            let connected = match (&tail.last, &promised) {
                (Some(last), Some(promised)) => tail::connects(&dir, promised, &last.head)?,
                _ => false,
            };
            let newest = list(&dir)?.last().map_or(0, |segment| segment.first);
            Ok(Found { tail, promised, connected, newest })
        };
        let found = look().map_err(AuditError::file("read", &dir))?;
        let takeover = takeover::decide(found, &uuid::Uuid::now_v7().to_string(), now);
        let mut journal = Self::resume(desk, takeover.position);
        let mut begin = || -> io::Result<()> {
            journal.home.check()?;
            journal.home.write_head(&journal.desk.signer.sign(&journal.head))?;
            journal.home.sync_head()?;
            remove_torn(&dir, journal.head.seq)?;
            if takeover.signed {
                return Ok(());
            }
            journal.begin(now)?;
            takeover.findings.iter().try_for_each(|finding| journal.append(finding, now))?;
            journal.checkpoint(now);
            journal.commit()
        };
        begin().map_err(AuditError::file("write", &dir))?;
        Ok(journal)
    }

    /// Goes on from a commit of this process, whatever happened since.
    pub(super) fn resume(desk: Arc<Desk>, committed: Position) -> Self {
        Self {
            home: desk.home(),
            desk,
            encoder: Encoder::default(),
            buffer: Vec::new(),
            segment: None,
            head: committed.head.clone(),
            since: committed.since,
            committed,
        }
    }

    /// Whether the slot was taken away: then this journal can write nothing more, and another one
    /// [moves](Self::move_out).
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.home.is_ours(), Ok(false))
    }

    /// Goes on in another slot, or in the same one made anew.
    ///
    /// # Errors
    /// As [`open`](Self::open); it can be tried again.
    pub(super) fn move_out(&mut self, now: Timestamp) -> Result<Self, AuditError> {
        self.rewind();
        // With only the lock gone the records are still there: those that were never committed will be
        // written again, so whoever takes the slot next must not find them.
        if self.home.is_alone().unwrap_or(false) {
            self.cut().map_err(AuditError::file("cut", self.home.segments()))?;
        }
        Self::open(Arc::clone(&self.desk), now)
    }

    /// Where it ends, and in which slot.
    pub(super) fn end(&self) -> End {
        End { home: Arc::clone(&self.home), position: self.committed.clone() }
    }

    /// Whether there are records since the last commit.
    pub(super) fn is_dirty(&self) -> bool {
        self.head.seq != self.committed.head.seq
    }

    /// Makes the segment ready for a batch: opened, still ours, of this day.
    ///
    /// # Errors
    /// Whatever the disk says; [`rewind`](Self::rewind) then.
    pub(super) fn begin(&mut self, now: Timestamp) -> io::Result<()> {
        self.home.check()?;
        match &self.segment {
            None => self.reopen(now),
            Some(segment) => {
                segment.check()?;
                if segment.len() > 0 && day(now) > segment.name().day { self.rotate(now) } else { Ok(()) }
            }
        }
    }

    /// Adds one record, and a checkpoint if one is due.
    ///
    /// # Errors
    /// Whatever the disk says; [`rewind`](Self::rewind) then.
    pub(super) fn append(&mut self, event: &AuditEvent, now: Timestamp) -> io::Result<()> {
        let full = self.desk.config.segment_bytes;
        if self.segment.as_ref().is_none_or(|segment| segment.len() + self.buffer.len() as u64 >= full) {
            self.rotate(now)?;
        }
        self.encoder.record(&mut self.buffer, &mut self.head, event, None);
        self.since += 1;
        if self.since >= self.desk.config.checkpoint_every {
            self.checkpoint(now);
        }
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Adds a record that vouches for everything before it, unless the last one does already.
    pub(super) fn checkpoint(&mut self, now: Timestamp) {
        let signed = self.desk.signer.sign(&self.head);
        let event = AuditEvent::new(now, EventCode::AuditCheckpoint, Outcome::Ok);
        self.encoder.record(&mut self.buffer, &mut self.head, &event, Some(&signed));
        self.since = 0;
    }

    /// Whether records stand behind the last checkpoint.
    pub(super) fn is_unsigned(&self) -> bool {
        self.since > 0
    }

    /// Hands everything so far to the operating system.
    ///
    /// # Errors
    /// Whatever the disk says; [`rewind`](Self::rewind) then.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let segment = self.segment.as_mut().ok_or(ErrorKind::NotConnected)?;
        segment.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Returns once everything so far is on disk, and the head file says so.
    ///
    /// # Errors
    /// Whatever the disk says; [`rewind`](Self::rewind) then.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        self.flush()?;
        let segment = self.segment.as_ref().ok_or(ErrorKind::NotConnected)?;
        segment.sync()?;
        // Asked when the records are there: whoever takes the slot from now on finds them.
        self.home.check()?;
        segment.check()?;
        self.home.write_head(&self.desk.signer.sign(&self.head))?;
        self.desk.begun.lock().clear();
        let segment = Some((segment.name().clone(), segment.len()));
        self.committed = Position { head: self.head.clone(), since: self.since, segment };
        Ok(())
    }

    /// Whether the slot is still ours and the file that holds the last commit still there.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(super) fn check(&self) -> io::Result<()> {
        self.home.check()?;
        self.segment.as_ref().map_or(Ok(()), Segment::check)
    }

    /// Forgets everything since the last commit; whoever has the events appends them again.
    ///
    /// The file is closed too: after a failed fdatasync the page cache says nothing about the disk.
    pub(super) fn rewind(&mut self) {
        self.segment = None;
        self.buffer.clear();
        self.head = self.committed.head.clone();
        self.since = self.committed.since;
    }

    /// Closes the segment, on disk, and begins the next.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        self.flush()?;
        if let Some(full) = self.segment.take() {
            full.sync()?;
        }
        self.create(now)
    }

    fn create(&mut self, now: Timestamp) -> io::Result<()> {
        let name = SegmentName::new(self.head.seq + 1, now);
        let segment = Segment::create(&self.home, name, Arc::clone(&self.desk.disk))?;
        self.desk.begun.lock().push(segment.claim()?);
        self.segment = Some(segment);
        Ok(())
    }

    /// Opens the committed segment at its committed length, or begins a new one if it is no longer as it was.
    fn reopen(&mut self, now: Timestamp) -> io::Result<()> {
        self.segment = self.cut()?;
        if self.segment.is_none() { self.create(now) } else { Ok(()) }
    }

    /// Takes everything since the last commit out of the files; gives the segment that ends with it, `None`
    /// if there is none or it is no longer as it was.
    fn cut(&self) -> io::Result<Option<Segment>> {
        let mut begun = self.desk.begun.lock();
        begun.iter().try_for_each(Begun::remove)?;
        begun.clear();
        let Some((name, len)) = self.committed.segment.clone() else { return Ok(None) };
        match Segment::reopen(&self.home, name, len, Arc::clone(&self.desk.disk)) {
            Ok(segment) => Ok(Some(segment)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Removes segments behind the last good record that a takeover goes on from: a crash left them without
/// one good record of their own.
fn remove_torn(dir: &Path, last: u64) -> io::Result<()> {
    let mut torn = list(dir)?.into_iter().filter(|name| name.first > last);
    torn.try_for_each(|name| fs::remove_file(name.path(dir)))
}
