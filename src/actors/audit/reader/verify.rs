//! Checks a whole log against itself, its signatures, its head files and an anchor kept elsewhere.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    super::{
        error::AuditError,
        head::{SignedHead, hex},
        home::{audit_dir, head_path, is_live, read_head},
        keys::PublicKeys,
        segment::list,
    },
    check::{Check, Expected, Place, Problems},
    lines::{End, Lines},
    slots,
};

/// How often a head file that is being rewritten is read again before it counts as damaged.
const HEAD_ATTEMPTS: usize = 20;

/// What `verify` found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Each slot's chain.
    pub slots: Vec<SlotReport>,
    /// What does not fit, in the order of the log; at most a hundred.
    pub problems: Vec<Problem>,
    /// How many things do not fit, those not told included.
    pub problem_count: u64,
}

impl Report {
    /// Whether everything fits.
    pub fn ok(&self) -> bool {
        self.problem_count == 0
    }

    /// Records in all slots.
    pub fn records(&self) -> u64 {
        self.slots.iter().map(|slot| slot.records).sum()
    }
}

/// One slot's chain.
#[derive(Debug, Clone, Serialize)]
pub struct SlotReport {
    /// The slot's number.
    pub slot: u32,
    /// The writer's id, if there is a record.
    pub chain: Option<String>,
    /// Records in it.
    pub records: u64,
    /// Checkpoints among them.
    pub checkpoints: u64,
    /// Number of the last record.
    pub last_seq: u64,
    /// Hash of the last record, hexadecimal.
    pub last_hash: Option<String>,
}

/// Something that does not fit.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// Which slot.
    pub slot: u32,
    /// Which file.
    pub file: PathBuf,
    /// Which line of it, from 1; 0 for the file as a whole.
    pub line: u64,
    /// Which record, if that can be said.
    pub seq: Option<u64>,
    /// What is wrong with it: the rest of a sentence about the record.
    pub what: String,
}

/// Checks every slot below the data directory `dir`, and that the log holds what `anchor` vouches for.
///
/// `anchor` is a file of checkpoint records or copies of head files, one a line, kept where whoever writes
/// the log could not change it. Only such a file finds a log that was put back to an older state whole.
///
/// # Errors
/// [`AuditError::File`] if something cannot be read. What does not fit is in the [`Report`].
pub fn verify(dir: &Path, anchor: Option<&Path>) -> Result<Report, AuditError> {
    let keys = PublicKeys::load(dir)?;
    let mut problems = Problems::default();
    let mut anchors = match anchor {
        Some(path) => read_anchor(path, &keys, &mut problems)?,
        None => Vec::new(),
    };
    let mut report = Report::default();
    for slot in all_slots(dir)? {
        report.slots.push(verify_slot(dir, slot, &keys, (&mut anchors, &mut problems))?);
    }
    if let Some(path) = anchor {
        for missing in anchors.iter().filter(|expected| !expected.met) {
            let place = Place { slot: 0, file: path.into(), line: 0 };
            problems.add(&place, Some(missing.head.seq), format!("of chain {} is gone", missing.head.chain));
        }
    }
    report.problems = problems.told;
    report.problem_count = problems.count;
    Ok(report)
}

/// Slots that have a directory or a head file: neither can be removed without the other telling.
fn all_slots(dir: &Path) -> Result<Vec<u32>, AuditError> {
    let mut all: Vec<u32> = slots(dir)?.into_iter().map(|(slot, _)| slot).collect();
    let heads = audit_dir(dir).join("heads");
    if let Ok(entries) = std::fs::read_dir(&heads) {
        for entry in entries.flatten() {
            let name = entry.file_name();
            all.extend(name.to_str().and_then(|it| it.strip_suffix(".json")?.parse::<u32>().ok()));
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn verify_slot(
    dir: &Path,
    slot: u32,
    keys: &PublicKeys,
    (anchors, problems): (&mut Vec<Expected>, &mut Problems),
) -> Result<SlotReport, AuditError> {
    let segments = audit_dir(dir).join(slot.to_string());
    // The head is read before the log: the log only grows, so it must reach that far.
    let head = trusted_head(dir, slot, keys)?;
    let at = anchors.len();
    anchors.extend(
        head.iter().filter_map(SignedHead::said).filter(|head| head.seq > 0).map(|head| Expected {
            head,
            by: "the head file",
            met: false,
        }),
    );
    let mut check = Check::new(keys, anchors);
    let mut place = Place { slot, file: segments.clone(), line: 0 };
    let names = list(&segments).map_err(AuditError::file("read", &segments))?;
    for (index, name) in names.iter().enumerate() {
        place.file = name.path(&segments);
        let is_last = index + 1 == names.len();
        walk(&mut check, &mut place, problems, is_last.then_some(segments.as_path()))?;
    }
    let report = SlotReport {
        slot,
        chain: check.head().map(|head| head.chain.as_ref().into()),
        records: check.records,
        checkpoints: check.checkpoints,
        last_seq: check.head().map_or(0, |head| head.seq),
        last_hash: check.head().map(|head| hex(&head.hash)),
    };
    let place = Place { slot, file: head_path(dir, slot), line: 0 };
    match anchors.drain(at..).next() {
        Some(expected) if !expected.met => {
            let what =
                format!("should be there, but the log ends with {}: its tail was cut", report.last_seq);
            problems.add(&place, Some(expected.head.seq), what);
        }
        None if head.is_none() && report.records > 0 => {
            problems.add(&place, None, "is missing or damaged: a cut tail would go unseen".into());
        }
        _ => {}
    }
    Ok(report)
}

/// Checks one segment. `live` is the slot's directory for its last segment, where a running writer may be
/// in the middle of a line.
fn walk(
    check: &mut Check<'_>,
    place: &mut Place,
    problems: &mut Problems,
    live: Option<&Path>,
) -> Result<(), AuditError> {
    let opened = Lines::open_listed(&place.file).map_err(AuditError::file("read", &place.file))?;
    let Some(mut lines) = opened else { return Ok(()) };
    loop {
        place.line = lines.number() + 1;
        match lines.next().map_err(AuditError::file("read", &place.file))? {
            None => return Ok(()),
            Some((line, End::Complete)) => check.line(line, place, problems),
            Some((_, End::Overlong)) => problems.add(place, None, "is longer than any record".into()),
            Some((_, End::Unfinished)) if live.is_some_and(is_live) => {}
            Some((_, End::Unfinished)) => {
                let seq = check.head().and_then(|head| head.seq.checked_add(1));
                problems.add(place, seq, "is torn: its line has no end".into());
            }
        }
    }
}

/// The slot's head if its signature holds. A reader may see half of a rewrite, so it looks again.
///
/// # Errors
/// [`AuditError::File`].
pub(in crate::actors::audit) fn trusted_head(
    dir: &Path,
    slot: u32,
    keys: &PublicKeys,
) -> Result<Option<SignedHead>, AuditError> {
    let path = head_path(dir, slot);
    for _ in 0..HEAD_ATTEMPTS {
        let head = read_head(&path).map_err(AuditError::file("read", &path))?;
        if let Some(head) = head.filter(|head| keys.vouch_for(head)) {
            return Ok(Some(head));
        }
        if !path.exists() {
            break;
        }
    }
    Ok(None)
}

/// A line of an anchor file: a checkpoint record, or a head file's text.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Anchor {
    Record { checkpoint: SignedHead },
    Head(SignedHead),
}

fn read_anchor(path: &Path, keys: &PublicKeys, problems: &mut Problems) -> Result<Vec<Expected>, AuditError> {
    let file = File::open(path).map_err(AuditError::file("read", path))?;
    let mut anchors = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(AuditError::file("read", path))?;
        if line.trim().is_empty() {
            continue;
        }
        let place = Place { slot: 0, file: path.into(), line: number };
        let Ok(Anchor::Record { checkpoint: signed } | Anchor::Head(signed)) = serde_json::from_str(&line)
        else {
            problems.add(&place, None, "is no checkpoint".into());
            continue;
        };
        match signed.said().filter(|_| keys.vouch_for(&signed)) {
            Some(head) if head.seq > 0 => anchors.push(Expected { head, by: "the anchor", met: false }),
            Some(_) => {}
            None => problems.add(&place, Some(signed.seq), "is vouched for by no key of this log".into()),
        }
    }
    Ok(anchors)
}
