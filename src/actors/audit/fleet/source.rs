//! What there is to be sent: the committed records of every chain below a data directory, read from its files.
//!
//! How far a chain is committed its signed head says, which is written after the records are on disk. What stands
//! behind that may still be taken back, and is not looked at.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::super::{
    error::AuditError,
    head::SignedHead,
    keys::PublicKeys,
    reader::{End, Lines, slots, trusted_head},
    segment::{SegmentName, day, list},
};
use crate::domain::Timestamp;

/// Most records of one batch.
const MOST_ROWS: usize = 256;
/// Most bytes of one batch, and one record.
const MOST_BYTES: usize = 512 * 1024;
/// Most lines that are looked at for one batch.
const MOST_LINES: usize = 16_384;

/// What is to be sent of a chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Nothing of before.
    pub(super) since: Timestamp,
    /// Most records of one chain, the newest ones.
    pub(super) most: u64,
}

/// Records in the order of their chain.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Number, time and line of each.
    pub(super) rows: Vec<(u64, Timestamp, Vec<u8>)>,
    /// Those on the way to them that are not among them.
    pub(super) missed: Missed,
    /// Number of the last record that was looked at.
    pub(super) upto: u64,
    /// Whether nothing committed is behind them.
    pub(super) is_last: bool,
}

/// Records that are not sent though those before them were.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missed {
    /// They are not in the files.
    pub(super) gone: u64,
    /// They are too old.
    pub(super) too_old: u64,
    /// There are too many behind them.
    pub(super) too_many: u64,
}

/// A chain and how far it is committed.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) name: Arc<str>,
    pub(super) seq: u64,
}

/// The files.
#[derive(Debug)]
pub(super) struct Source {
    dir: PathBuf,
    spots: BTreeMap<u32, Spot>,
}

/// How far one slot is read.
#[derive(Debug)]
struct Spot {
    dir: PathBuf,
    chain: Chain,
    /// Number of the last record that was read.
    read: u64,
    /// The segment and the byte behind it; `None` if it has to be looked for.
    at: Option<(SegmentName, u64)>,
    clock: Clock,
}

/// Reads the times of records, thousands of which are of the same second.
#[derive(Debug, Default)]
struct Clock {
    /// The last second that was read, as text.
    second: Box<str>,
    start: Timestamp,
}

impl Clock {
    /// The time in our own form, `2027-01-31T12:00:00.000000Z`; `None` for anything else.
    fn read(&mut self, text: &str) -> Option<Timestamp> {
        let (second, rest) = text.split_at_checked("2027-01-31T12:00:00".len())?;
        let fraction = rest.strip_prefix('.')?.strip_suffix('Z')?;
        let is_whole = fraction.len() == 6 && fraction.bytes().all(|byte| byte.is_ascii_digit());
        let micros = fraction.parse().ok().filter(|_| is_whole)?;
        if *self.second != *second {
            self.start = Timestamp::from_rfc3339(&format!("{second}Z"))?;
            self.second = second.into();
        }
        Some(self.start.plus(Duration::from_micros(micros)))
    }
}

/// What is needed of a record: that with which every line of ours begins.
#[derive(Debug, PartialEq, Eq)]
struct Sent<'a> {
    chain: &'a [u8],
    seq: u64,
    time: &'a str,
}

impl<'a> Sent<'a> {
    /// Reads the beginning alone: to read all of it took as long as to send it, and what stands behind is for whoever
    /// reads the copy to judge.
    fn of(line: &'a [u8]) -> Option<Self> {
        let (chain, rest) = upto(line.strip_prefix(b"{\"chain\":\"")?, b"\",\"seq\":")?;
        let (seq, rest) = upto(rest, b",\"time\":\"")?;
        let (time, _) = upto(rest, b"\"")?;
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
        Some(Self { chain, seq: number(seq)?, time: std::str::from_utf8(time).ok()? })
    }
}

/// What stands before `mark`, and what stands behind it; neither member holds a quote or a comma.
fn upto<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let first = mark.first()?;
    let (before, rest) = text.split_at_checked(text.iter().position(|byte| byte == first)?)?;
    Some((before, rest.strip_prefix(mark)?))
}

impl Source {
    /// Those below `dir`; nothing is read yet.
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.into(), spots: BTreeMap::new() }
    }

    /// Looks how far each chain is committed.
    ///
    /// # Errors
    /// [`AuditError::File`].
    pub(super) fn refresh(&mut self) -> Result<(), AuditError> {
        let keys = PublicKeys::load(&self.dir)?;
        for (slot, dir) in slots(&self.dir)? {
            let head = trusted_head(&self.dir, slot, &keys)?;
            // One that is just being made says nothing yet.
            let Some(head) = head.as_ref().and_then(SignedHead::said) else { continue };
            let chain = Chain { name: head.chain, seq: head.seq };
            match self.spots.get_mut(&slot).filter(|spot| spot.chain.name == chain.name) {
                Some(spot) => spot.chain.seq = chain.seq,
                // A slot that was made anew has another chain.
                None => {
                    _ = self
                        .spots
                        .insert(slot, Spot { dir, chain, read: 0, at: None, clock: Clock::default() })
                }
            }
        }
        Ok(())
    }

    /// The slots that have a chain.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        self.spots.keys().copied()
    }

    /// The chain of a slot.
    pub(super) fn chain(&self, slot: u32) -> Option<Chain> {
        self.spots.get(&slot).map(|spot| spot.chain.clone())
    }

    /// Has the next batch begin behind the record with that number.
    pub(super) fn rewind(&mut self, slot: u32, seq: u64) {
        if let Some(spot) = self.spots.get_mut(&slot).filter(|spot| spot.read != seq) {
            (spot.read, spot.at) = (seq, None);
        }
    }

    /// What comes next in a slot, if `end` is the last record that was sent.
    ///
    /// # Errors
    /// [`AuditError::File`].
    pub(super) fn read(&mut self, slot: u32, end: u64, limits: Limits) -> Result<Batch, AuditError> {
        let Some(spot) = self.spots.get_mut(&slot) else {
            return Ok(Batch { is_last: true, ..Batch::default() });
        };
        let mut batch = spot.read(limits).map_err(AuditError::file("read", &spot.dir))?;
        batch.upto = spot.read;
        if end == 0 {
            // Before the first one nothing was promised.
            batch.missed = Missed::default();
        }
        Ok(batch)
    }

    /// The line of one record; `None` if it is not in the files.
    ///
    /// # Errors
    /// [`AuditError::File`].
    pub(super) fn line(&self, slot: u32, seq: u64) -> Result<Option<Vec<u8>>, AuditError> {
        let Some(spot) = self.spots.get(&slot) else { return Ok(None) };
        spot.line(seq).map_err(AuditError::file("read", &spot.dir))
    }
}

impl Spot {
    fn read(&mut self, Limits { since, most }: Limits) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let floor = (self.chain.seq + 1).saturating_sub(most);
        if self.read + 1 < floor {
            batch.missed.too_many += floor - 1 - self.read;
            (self.read, self.at) = (floor - 1, None);
        }
        let (mut bytes, mut looked) = (0, 0);
        while batch.rows.len() < MOST_ROWS && bytes < MOST_BYTES && looked < MOST_LINES {
            if self.read >= self.chain.seq {
                batch.is_last = true;
                break;
            }
            let Some((name, offset)) = self.place(since, &mut batch.missed)? else {
                // The files end before the head does: what is missing is missing.
                batch.missed.gone += self.chain.seq - self.read;
                self.read = self.chain.seq;
                continue;
            };
            let ended = self.read_segment((&name, offset), since, &mut batch, (&mut bytes, &mut looked))?;
            if ended {
                self.at = list(&self.dir)?.into_iter().find(|next| *next > name).map(|next| (next, 0));
                if self.at.is_none() && self.read < self.chain.seq {
                    batch.missed.gone += self.chain.seq - self.read;
                    self.read = self.chain.seq;
                }
            }
        }
        Ok(batch)
    }

    /// Where to go on; `None` if there is nothing behind.
    fn place(&mut self, since: Timestamp, missed: &mut Missed) -> io::Result<Option<(SegmentName, u64)>> {
        if self.at.is_none() {
            let names = list(&self.dir)?;
            let holder = names.iter().rposition(|name| name.first <= self.read + 1).unwrap_or(0);
            // Whatever is in a segment is older than the day on which the next one was begun.
            let is_old = |next: &SegmentName| next.day < day(since) && next.first <= self.chain.seq;
            let old = names.iter().skip(holder + 1).take_while(|next| is_old(next)).count();
            self.at = names.get(holder + old).map(|name| (name.clone(), 0));
            let before = self.at.as_ref().map_or(0, |(name, _)| name.first.saturating_sub(1));
            if old > 0 && before > self.read {
                missed.too_old += before - self.read;
                self.read = before;
            }
        }
        Ok(self.at.clone())
    }

    /// Reads on in one segment; true at its end.
    fn read_segment(
        &mut self,
        (name, offset): (&SegmentName, u64),
        since: Timestamp,
        batch: &mut Batch,
        (bytes, looked): (&mut usize, &mut usize),
    ) -> io::Result<bool> {
        let mut lines = match Lines::open(&name.path(&self.dir), offset) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            opened => opened?,
        };
        while batch.rows.len() < MOST_ROWS && *bytes < MOST_BYTES && *looked < MOST_LINES {
            if self.read >= self.chain.seq {
                return Ok(false);
            }
            let Some((line, end)) = lines.next()? else { return Ok(true) };
            *looked += 1;
            if end == End::Unfinished {
                return Ok(true);
            }
            // What is no record is for `verify` to complain about; that one is missing shows at the next.
            if let Some(sent) = Sent::of(line).filter(|_| end == End::Complete)
                && *sent.chain == *self.chain.name.as_bytes()
                && sent.seq > self.read
                && sent.seq <= self.chain.seq
            {
                batch.missed.gone += sent.seq - self.read - 1;
                self.read = sent.seq;
                let time = self.clock.read(sent.time).unwrap_or_else(Timestamp::now);
                if time < since {
                    batch.missed.too_old += 1;
                } else {
                    *bytes += line.len();
                    batch.rows.push((sent.seq, time, line.to_vec()));
                }
            }
            if let Some((_, at)) = &mut self.at {
                *at = lines.offset();
            }
        }
        Ok(false)
    }

    fn line(&self, seq: u64) -> io::Result<Option<Vec<u8>>> {
        let holder = list(&self.dir)?.into_iter().rev().find(|name| name.first <= seq);
        let Some(mut lines) = holder.map(|name| Lines::open(&name.path(&self.dir), 0)).transpose()? else {
            return Ok(None);
        };
        while let Some((line, end)) = lines.next()? {
            let sent = Sent::of(line).filter(|_| end == End::Complete);
            if sent.is_some_and(|sent| sent.seq == seq && *sent.chain == *self.chain.name.as_bytes()) {
                return Ok(Some(line.to_vec()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_reads_our_own_times_and_no_others() {
        let mut clock = Clock::default();
        for (text, micros) in [
            ("2027-01-31T12:00:00.000000Z", 0),
            ("2027-01-31T12:00:00.999999Z", 999_999),
            ("2027-01-31T12:00:01.000001Z", 1_000_001),
            ("2027-01-31T11:59:59.000000Z", -1_000_000),
        ] {
            let read = clock.read(text).map(|time| time.micros().cast_signed());
            assert_eq!(read, Some(1_801_396_800_000_000 + micros), "{text}");
        }
        for text in [
            "",
            "2027-01-31T12:00:00Z",
            "2027-01-31T12:00:00.00000Z",
            "2027-01-31T12:00:00.+00000Z",
            "2027-01-31T12:00:00.000000+00:00",
            "2027-01-32T12:00:00.000000Z",
            "2027-01-31T12:00:0\u{e9}.000000Z",
        ] {
            assert_eq!(clock.read(text), None, "{text}");
        }
    }

    #[test]
    fn a_record_is_known_by_its_beginning_and_by_nothing_less() {
        let line = br#"{"chain":"01a2","seq":448,"time":"2026-11-23T15:17:45.863570Z","event":"tool.called","x":{"seq":1}}"#;
        let sent = Sent { chain: b"01a2", seq: 448, time: "2026-11-23T15:17:45.863570Z" };
        assert_eq!(Sent::of(line), Some(sent));
        for other in [
            "",
            "{}",
            r#"{"seq":448,"chain":"01a2","time":"t"}"#,
            r#"{"chain":"01a2","seq":"448","time":"t"}"#,
            r#"{"chain":"01a2","seq":-1,"time":"t"}"#,
            r#"{"chain":"01a2","seq":18446744073709551616,"time":"t"}"#,
            r#"{"chain":"01a2","seq":448,"event":"x"}"#,
            r#"{"chain":"01a2","seq":448,"time":"2026"#,
        ] {
            assert_eq!(Sent::of(other.as_bytes()), None, "{other}");
        }
    }
}
