//! The end of the log, and what is added to it while somebody looks.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::{Path, PathBuf},
};

use super::{
    super::{
        error::AuditError,
        segment::{SegmentName, list},
    },
    Found,
    lines::{End, Lines},
    slots,
};

/// How much of a file's end is looked at first, bytes.
const FIRST_WINDOW: u64 = 64 * 1024;

/// The last `count` records of all slots, merged by time, oldest first.
///
/// # Errors
/// [`AuditError::File`].
pub fn tail(dir: &Path, count: usize) -> Result<Vec<Found>, AuditError> {
    Follower::open(dir, count).map(|(last, _)| last)
}

/// Gives the records that were added since it was last asked, over all slots and segments.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    seen: BTreeMap<PathBuf, Seen>,
}

/// How far one slot was read.
#[derive(Debug)]
struct Seen {
    segment: SegmentName,
    offset: u64,
}

impl Follower {
    /// The last `count` records below `dir`, and a follower that goes on right behind them.
    ///
    /// # Errors
    /// [`AuditError::File`].
    pub fn open(dir: &Path, count: usize) -> Result<(Vec<Found>, Self), AuditError> {
        let mut follower = Self { dir: dir.into(), seen: BTreeMap::new() };
        let mut all = Vec::new();
        for (_, slot) in slots(dir)? {
            let mut last = VecDeque::new();
            for segment in names(&slot)?.into_iter().rev() {
                let (mut older, offset) = last_lines(&segment.path(&slot), count - last.len())?;
                follower.seen.entry(slot.clone()).or_insert(Seen { segment, offset });
                older.extend(last);
                last = older;
                if last.len() >= count {
                    break;
                }
            }
            all.extend(last);
        }
        all.sort_by(|one: &Found, other| one.record.time.cmp(&other.record.time));
        let surplus = all.len().saturating_sub(count);
        Ok((all.split_off(surplus), follower))
    }

    /// What was added since, merged by time.
    ///
    /// # Errors
    /// [`AuditError::File`]; asking again goes on where this stopped.
    pub fn poll(&mut self) -> Result<Vec<Found>, AuditError> {
        let mut fresh = Vec::new();
        for (_, slot) in slots(&self.dir)? {
            for segment in names(&slot)? {
                let from = match self.seen.get(&slot) {
                    Some(seen) if segment < seen.segment => continue,
                    Some(seen) if segment == seen.segment => seen.offset,
                    _ => 0,
                };
                let offset = read_from(&segment.path(&slot), from, &mut |found| fresh.push(found))?;
                self.seen.insert(slot.clone(), Seen { segment, offset });
            }
        }
        fresh.sort_by(|one, other| one.record.time.cmp(&other.record.time));
        Ok(fresh)
    }
}

fn names(slot: &Path) -> Result<Vec<SegmentName>, AuditError> {
    list(slot).map_err(AuditError::file("read", slot))
}

/// The last `count` records of a file, and where its last complete line ends.
///
/// Looks at ever more of its end until that is enough.
fn last_lines(path: &Path, count: usize) -> Result<(VecDeque<Found>, u64), AuditError> {
    let failed = || AuditError::file("read", path);
    let len = fs::metadata(path).map_err(failed())?.len();
    let mut window = FIRST_WINDOW;
    loop {
        let start = len.saturating_sub(window);
        let mut lines = Lines::open(path, start).map_err(failed())?;
        let mut last = VecDeque::new();
        while let Some((line, end)) = lines.next().map_err(failed())? {
            if end == End::Complete {
                last.push_back(line.to_vec());
            }
            if last.len() > count + 1 {
                last.pop_front();
            }
        }
        if start == 0 || last.len() > count {
            // What a window begins with is the end of a line.
            let surplus = last.len().saturating_sub(count);
            let found = last.iter().skip(surplus).filter_map(|line| Found::parse(line)).collect();
            return Ok((found, lines.offset()));
        }
        window = window.saturating_mul(4);
    }
}

/// Gives every record behind `offset`; says where the last complete line ends.
fn read_from(path: &Path, offset: u64, give: &mut impl FnMut(Found)) -> Result<u64, AuditError> {
    let failed = || AuditError::file("read", path);
    let len = fs::metadata(path).map_err(failed())?.len();
    if len <= offset {
        // The writer went back behind a record that it could not commit.
        return Ok(len);
    }
    let mut lines = Lines::open(path, offset).map_err(failed())?;
    while let Some((line, end)) = lines.next().map_err(failed())? {
        if end == End::Complete {
            Found::parse(line).into_iter().for_each(&mut *give);
        }
    }
    Ok(lines.offset())
}
