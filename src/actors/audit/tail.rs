//! Finds out how a log ends when a process takes it over.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use serde::Deserialize;

use super::{
    head::{Head, link},
    segment::{SegmentName, list},
    text::parse_hex32,
};

/// How much of a segment's end is looked at: start is fast, the whole log is `verify`'s.
const WINDOW: u64 = 64 * 1024;
/// Longest writer id that we take over.
const MAX_CHAIN: usize = 64;
/// What follows the hashed part of a line: `,"hash":"` 64 digits `"}`.
const HASH_MEMBER: usize = 75;

/// How the log of one slot ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The last good record, if there is any.
    pub(super) last: Option<Last>,
    /// Bytes behind it that are no record: what a crash leaves, or a hand.
    pub(super) rest: u64,
}

/// The last good record of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Last {
    /// Its place in the chain.
    pub(super) head: Head,
    /// The segment that holds it.
    pub(super) segment: SegmentName,
    /// Where it ends, bytes from the segment's start.
    pub(super) end: u64,
    /// Whether it is a checkpoint.
    pub(super) signed: bool,
}

/// The members that link a record to its chain.
#[derive(Debug, Deserialize)]
pub(super) struct Linked<'a> {
    pub(super) chain: &'a str,
    pub(super) seq: u64,
    pub(super) event: &'a str,
    pub(super) prev: &'a str,
    pub(super) hash: &'a str,
}

/// The part of a line that its hash covers.
pub(super) fn hashed_part(line: &[u8]) -> Option<&[u8]> {
    let (body, member) = line.split_at_checked(line.len().checked_sub(HASH_MEMBER)?)?;
    member.starts_with(b",\"hash\":\"").then_some(body)
}

/// Reads how the log in `dir` ends.
///
/// # Errors
/// Whatever the file system says.
pub(super) fn find(dir: &Path) -> io::Result<Tail> {
    let mut rest = 0;
    for segment in list(dir)?.into_iter().rev() {
        let (start, window) = end_of(File::open(segment.path(dir))?)?;
        if let Some((end, good)) = last_good(&window) {
            rest += (window.len() - end) as u64;
            let last = Last { head: good.head, segment, end: start + end as u64, signed: good.signed };
            return Ok(Tail { last: Some(last), rest });
        }
        rest += start + window.len() as u64;
    }
    Ok(Tail { last: None, rest })
}

/// The last good record of one segment.
///
/// # Errors
/// Whatever the file system says.
pub(super) fn last_in(path: &Path) -> io::Result<Option<Head>> {
    let (_, window) = end_of(File::open(path)?)?;
    Ok(last_good(&window).map(|(_, good)| good.head))
}

/// The end of a file, and where it begins.
fn end_of(mut file: File) -> io::Result<(u64, Vec<u8>)> {
    let start = file.metadata()?.len().saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(start))?;
    let mut window = Vec::new();
    file.take(WINDOW).read_to_end(&mut window)?;
    Ok((start, window))
}

/// Whether the log in `dir` holds the record `from`, and an unbroken chain from there to `to`.
///
/// # Errors
/// Whatever the file system says.
pub(super) fn connects(dir: &Path, from: &Head, to: &Head) -> io::Result<bool> {
    let mut at = (from.seq == 0).then(|| from.clone());
    let segments = list(dir)?;
    let first = segments.iter().rposition(|segment| segment.first <= from.seq.max(1)).unwrap_or(0);
    for segment in segments.iter().skip(first) {
        let mut reader = BufReader::new(File::open(segment.path(dir))?);
        let mut line = Vec::new();
        while at.as_ref().is_none_or(|at| at.seq < to.seq) {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let next = line.strip_suffix(b"\n").and_then(good).map(|good| good.head);
            match (&at, next) {
                (None, Some(next)) if next.seq == from.seq => at = Some(next).filter(|next| next == from),
                (None, _) => continue,
                (Some(before), Some(next)) if follows(before, &next, &line) => at = Some(next),
                (Some(_), _) => return Ok(false),
            }
            if at.is_none() {
                return Ok(false);
            }
        }
    }
    Ok(at.as_ref() == Some(to))
}

fn follows(before: &Head, next: &Head, line: &[u8]) -> bool {
    let prev = serde_json::from_slice::<Linked<'_>>(line).ok().and_then(|it| parse_hex32(it.prev.as_bytes()));
    next.chain == before.chain && Some(next.seq) == before.seq.checked_add(1) && prev == Some(before.hash)
}

struct Good {
    head: Head,
    signed: bool,
}

/// The last line of `window` that is a record with the right hash, and where it ends.
fn last_good(window: &[u8]) -> Option<(usize, Good)> {
    let mut end = window.len();
    loop {
        let complete = window.get(..end)?.iter().rposition(|&byte| byte == b'\n')?;
        let begin = window.get(..complete)?.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if let Some(good) = good(window.get(begin..complete)?) {
            return Some((complete + 1, good));
        }
        end = complete;
    }
}

fn good(line: &[u8]) -> Option<Good> {
    let record: Linked<'_> = serde_json::from_slice(line).ok()?;
    let prev = parse_hex32(record.prev.as_bytes())?;
    let hash = parse_hex32(record.hash.as_bytes())?;
    let fits = record.chain.len() <= MAX_CHAIN && link(&prev, hashed_part(line)?) == hash;
    let head = Head { chain: record.chain.into(), seq: record.seq, hash };
    fits.then_some(Good { head, signed: record.event == "audit.checkpoint" })
}
