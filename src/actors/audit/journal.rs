//! The log of one slot as its writer sees it: records go in, commits come out, and a failure leads back to
//! the last commit.

use std::{
    fs,
    io::{self, ErrorKind},
    sync::Arc,
};

use super::{
    config::AuditConfig,
    disk::Disk,
    encode::Encoder,
    error::AuditError,
    head::Head,
    home::Home,
    keys::Signer,
    segment::{Segment, SegmentName, day, list},
    tail,
    takeover::{self, Found},
};
use crate::domain::{AuditEvent, EventCode, Outcome, Timestamp};

/// Bytes of records that are gathered before they are handed to the file.
const FLUSH_BYTES: usize = 1 << 20;

/// What a journal works with; outlives every actor that writes one.
#[derive(Debug)]
pub(super) struct Desk {
    /// The slot.
    pub(super) home: Home,
    /// Who vouches for checkpoints and heads.
    pub(super) signer: Signer,
    /// How bytes get to the disk.
    pub(super) disk: Arc<dyn Disk>,
    /// The rest of the settings.
    pub(super) config: AuditConfig,
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
    encoder: Encoder,
    buffer: Vec<u8>,
    segment: Option<Segment>,
    head: Head,
    since: u64,
    committed: Position,
}

impl Journal {
    /// Takes the slot's log over from whoever wrote it last, and commits what has to be said about it.
    ///
    /// # Errors
    /// [`AuditError::File`]: a log that cannot be written at start is no log.
    pub(super) fn open(desk: Arc<Desk>, now: Timestamp) -> Result<Self, AuditError> {
        let dir = desk.home.segments().to_path_buf();
        let look = || -> io::Result<Found> {
            let tail = tail::find(&dir)?;
            let promised = desk.home.head().filter(|it| desk.signer.signed(it)).and_then(|it| it.said());
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
            journal.desk.home.write_head(&journal.desk.signer.sign(&journal.head))?;
            journal.desk.home.sync_head()?;
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
        let (head, since) = (committed.head.clone(), committed.since);
        Self { desk, encoder: Encoder::default(), buffer: Vec::new(), segment: None, head, since, committed }
    }

    /// The last commit.
    pub(super) fn committed(&self) -> &Position {
        &self.committed
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
        segment.check()?;
        self.desk.home.write_head(&self.desk.signer.sign(&self.head))?;
        let segment = Some((segment.name().clone(), segment.len()));
        self.committed = Position { head: self.head.clone(), since: self.since, segment };
        Ok(())
    }

    /// Whether the file that holds the last commit is still there.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(super) fn check(&self) -> io::Result<()> {
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
        self.segment = Some(Segment::create(self.desk.home.segments(), name, Arc::clone(&self.desk.disk))?);
        Ok(())
    }

    /// Opens the committed segment at its committed length, or begins a new one if it is no longer as it was.
    fn reopen(&mut self, now: Timestamp) -> io::Result<()> {
        let dir = self.desk.home.segments();
        for name in list(dir)? {
            // Begun since the last commit: all of it will be written again.
            if name.first > self.committed.head.seq {
                fs::remove_file(name.path(dir))?;
            }
        }
        let Some((name, len)) = self.committed.segment.clone() else { return self.create(now) };
        match Segment::reopen(dir, name, len, Arc::clone(&self.desk.disk)) {
            Ok(segment) => {
                self.segment = Some(segment);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
                self.create(now)
            }
            Err(error) => Err(error),
        }
    }
}
