//! Where the insight stands in every slot's log, and how it goes on: by what the writer hands over, else by
//! reading. Every step is short, so that questions are answered in between.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    inbox::{End, News},
    pattern::Finding,
    review::{Range, Review},
    rollup::{Digest, HOURS, Rollup},
    sealed,
    share::{self, Told},
    sign::Seen,
    watch::Watch,
};
use crate::{
    actors::audit::{
        head::Head,
        reader::{self, End as LineEnd, Lines},
        segment::{SegmentName, day, list},
        shared::Shared,
    },
    domain::Timestamp,
};

/// Lines that are read in one step: about a millisecond.
const STEP_LINES: usize = 500;

/// Everything that is counted, and how far.
#[derive(Debug)]
pub(super) struct Book {
    shared: Arc<Shared>,
    /// Sealed segments of every slot.
    past: Rollup,
    /// Every slot by its directory.
    places: BTreeMap<PathBuf, Place>,
    /// The slot that this process writes.
    own: Option<PathBuf>,
    /// Up to where our slot is to be read: there is a hole between it and what was handed over.
    target: Option<End>,
    /// Sealed segments that are not counted yet.
    jobs: VecDeque<Job>,
    /// Whether the other slots were looked at.
    others_seen: bool,
    pub(super) watch: Watch,
}

/// How far one slot is counted.
#[derive(Debug, Default)]
struct Place {
    /// The open segment and the byte that was counted last.
    at: Option<(SegmentName, u64)>,
    /// In our slot the last record that was counted.
    head: Option<Head>,
    /// What the open segment came to.
    open: Rollup,
}

/// A sealed segment that is being counted.
#[derive(Debug)]
struct Job {
    dir: PathBuf,
    name: SegmentName,
    offset: u64,
    rollup: Rollup,
}

impl Book {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            past: Rollup::default(),
            places: BTreeMap::new(),
            own: None,
            target: None,
            jobs: VecDeque::new(),
            others_seen: false,
            watch: Watch::default(),
        }
    }

    /// Goes one step on; says whether another one is due.
    ///
    /// # Errors
    /// Whatever the file system says; the same step is tried again.
    pub(super) fn step(&mut self, now: Timestamp) -> io::Result<bool> {
        self.take(now)?;
        if let Some(target) = self.target.clone() {
            if self.read_own(&target, now)? {
                self.target = None;
            }
            return Ok(true);
        }
        if let Some(mut job) = self.jobs.pop_front() {
            let done = self.count(&mut job, now);
            if !matches!(done, Ok(true)) {
                self.jobs.push_front(job);
            }
            return done.map(|_| true);
        }
        if !self.others_seen {
            self.others_seen = !self.look_at_others(now)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Has the other slots looked at again.
    pub(super) fn forget_others(&mut self) {
        self.others_seen = false;
    }

    /// Whether our own slot is counted up to what was handed over last.
    pub(super) fn is_current(&self) -> bool {
        self.target.is_none()
    }

    /// What there is to say about `range`, of this node and of what `others` have told.
    pub(super) fn review(&self, range: Range, now: Timestamp, others: &[Told]) -> Review {
        let rollups: Vec<_> = self.rollups().chain(others.iter().map(|told| &told.rollup)).collect();
        let complete = self.is_whole() && others.iter().all(|told| told.whole);
        Review { complete, ..Review::of(range, now, &rollups, &self.watch) }
    }

    /// What this node has counted, to be told to others: everything, or only what changes all the time.
    pub(super) fn tell(&self, now: Timestamp, all: bool) -> Vec<(String, String)> {
        share::tell(&self.rollups().collect::<Vec<_>>(), now, self.is_whole(), all)
    }

    fn rollups(&self) -> impl Iterator<Item = &Rollup> {
        std::iter::once(&self.past).chain(self.places.values().map(|place| &place.open))
    }

    /// Whether everything in the log is counted.
    fn is_whole(&self) -> bool {
        self.is_current() && self.jobs.is_empty() && self.others_seen
    }

    /// Counts what was handed over, if it follows what is counted; else our slot is to be read.
    fn take(&mut self, now: Timestamp) -> io::Result<()> {
        if self.target.is_some() {
            return Ok(());
        }
        let (news, end) = self.shared.inbox.take();
        let Some(end) = end else { return Ok(()) };
        if self.own.as_deref() != Some(end.home.segments()) {
            self.adopt(&end, now)?;
        }
        let Some(place) = self.own.as_ref().and_then(|own| self.places.get_mut(own)) else { return Ok(()) };
        if place.continues(&news, &end) {
            place.at.clone_from(&end.position.segment);
            place.head = Some(end.position.head);
            place.open.add(&news.digest);
            follow(&mut self.watch, &news.digest, true);
        } else if place.head.as_ref() != Some(&end.position.head) {
            self.target = Some(end);
        }
        Ok(())
    }

    /// Our slot is another one than before, or known for the first time.
    fn adopt(&mut self, end: &End, now: Timestamp) -> io::Result<()> {
        let dir = end.home.segments().to_path_buf();
        if !self.places.contains_key(&dir) {
            let at = end.position.segment.as_ref().map(|(name, _)| (name.clone(), 0));
            let committed = end.position.head.seq;
            let sealed = list(&dir)?.into_iter().filter(|name| name.first <= committed).collect();
            self.add_jobs(&dir, sealed, at.as_ref().map(|(name, _)| name), now);
            self.places.insert(dir.clone(), Place { at, ..Place::default() });
        }
        self.own = Some(dir);
        Ok(())
    }

    /// Has all of `names` but `open` counted, the newest first, as far as they are of our days.
    fn add_jobs(&mut self, dir: &Path, names: Vec<SegmentName>, open: Option<&SegmentName>, now: Timestamp) {
        let oldest = day(now.minus(std::time::Duration::from_secs((HOURS + 48) * 3_600)));
        // Whatever is in a segment is older than the day on which the next one was begun.
        let next_days: Vec<u32> = names.iter().skip(1).map(|name| name.day).chain([u32::MAX]).collect();
        let wanted =
            names.into_iter().zip(next_days).filter(|(name, next)| Some(name) != open && *next >= oldest);
        let jobs =
            wanted.map(|(name, _)| Job { dir: dir.into(), name, offset: 0, rollup: Rollup::default() });
        let jobs: Vec<_> = jobs.collect();
        self.jobs.extend(jobs.into_iter().rev());
    }

    /// Reads our slot towards `target`; true once it is there.
    fn read_own(&mut self, target: &End, now: Timestamp) -> io::Result<bool> {
        let dir = target.home.segments().to_path_buf();
        let Some(place) = self.places.get_mut(&dir) else { return Ok(true) };
        let goal = target.position.segment.clone();
        let known = place.head.as_ref();
        let other_chain = known.is_some_and(|head| head.chain != target.position.head.chain);
        let beyond = place.at.as_ref().zip(goal.as_ref()).is_some_and(|(at, goal)| at.0 > goal.0);
        if other_chain || beyond {
            // The slot was made anew. What was counted of the old one stays.
            self.past.merge(&std::mem::take(&mut place.open), now);
            (place.at, place.head) = (goal.as_ref().map(|(name, _)| (name.clone(), 0)), None);
        }
        let counted = place.head.as_ref().map_or(0, |head| head.seq);
        let Some((name, offset)) = place.at.clone() else {
            place.at = match &goal {
                Some((goal, _)) => next(&dir, |name| name.first > counted && name <= goal)?.map(|it| (it, 0)),
                None => None,
            };
            return Ok(place.at.is_none() && place.arrive(target));
        };
        let is_goal = goal.as_ref().is_some_and(|goal| goal.0 == name);
        let upto = goal.filter(|_| is_goal).map(|(_, len)| len);
        let (digest, offset, ended) = read(&name.path(&dir), offset, upto)?;
        place.open.add(&digest);
        place.at = Some((name.clone(), offset));
        follow(&mut self.watch, &digest, true);
        if !ended {
            return Ok(false);
        }
        if is_goal {
            return Ok(place.arrive(target));
        }
        let last = target.position.head.seq;
        let following = next(&dir, |other| *other > name && other.first <= last)?;
        // If even the last one is gone, that is found when it is to be read.
        let following = following.or(target.position.segment.as_ref().map(|(goal, _)| goal.clone()));
        self.seal(&dir, &name, following, now);
        Ok(false)
    }

    /// The open segment of a slot is full; `following` is the next one.
    fn seal(&mut self, dir: &Path, name: &SegmentName, following: Option<SegmentName>, now: Timestamp) {
        let Some(place) = self.places.get_mut(dir) else { return };
        let rollup = std::mem::take(&mut place.open);
        place.at = following.map(|name| (name, 0));
        self.keep(dir, name, &rollup);
        self.past.merge(&rollup, now);
    }

    /// Puts a roll-up beside its segment.
    fn keep(&self, dir: &Path, name: &SegmentName, rollup: &Rollup) {
        match sealed::store(dir, name, rollup, &self.shared.desk.signer) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "what a sealed segment of the audit log counts could not be kept");
            }
            _ => {}
        }
    }

    /// Counts one sealed segment, or goes on with it; true once it is done.
    fn count(&mut self, job: &mut Job, now: Timestamp) -> io::Result<bool> {
        let kept = match job.offset {
            0 => sealed::load(&job.dir, &job.name, &self.shared.desk.signer),
            _ => Ok(None),
        };
        let kept = match kept {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            other => other?,
        };
        if let Some(rollup) = kept {
            job.rollup = rollup;
        } else {
            let (digest, offset, ended) = read(&job.name.path(&job.dir), job.offset, None)?;
            job.rollup.add(&digest);
            job.offset = offset;
            if !ended {
                return Ok(false);
            }
            self.keep(&job.dir, &job.name, &job.rollup);
        }
        for note in &job.rollup.notes.patterns {
            note.finding().iter().for_each(|finding| self.watch.told(finding, note.time));
        }
        self.past.merge(&std::mem::take(&mut job.rollup), now);
        Ok(true)
    }

    /// Reads what other processes wrote since the last look, one step; true while there is more.
    fn look_at_others(&mut self, now: Timestamp) -> io::Result<bool> {
        let mut more = false;
        for (_, dir) in reader::slots(&self.shared.desk.config.dir).map_err(io::Error::other)? {
            if self.own.as_ref() == Some(&dir) {
                continue;
            }
            if !self.places.contains_key(&dir) {
                let names = list(&dir)?;
                let last = names.last().cloned();
                self.add_jobs(&dir, names, last.as_ref(), now);
                let at = last.map(|name| (name, 0));
                self.places.insert(dir.clone(), Place { at, ..Place::default() });
                more = true;
            }
            more |= self.read_other(&dir, now)?;
        }
        Ok(more)
    }

    fn read_other(&mut self, dir: &Path, now: Timestamp) -> io::Result<bool> {
        let Some(place) = self.places.get_mut(dir) else { return Ok(false) };
        let Some((name, offset)) = place.at.clone() else {
            place.at = next(dir, |_| true)?.map(|name| (name, 0));
            return Ok(place.at.is_some());
        };
        // Asked before the end is looked for: whatever stands there then is all of it.
        let following = next(dir, |other| *other > name)?;
        let (digest, offset, ended) = read(&name.path(dir), offset, None)?;
        place.open.add(&digest);
        place.at = Some((name.clone(), offset));
        follow(&mut self.watch, &digest, false);
        if ended && following.is_some() {
            self.seal(dir, &name, following, now);
            return Ok(true);
        }
        Ok(!ended)
    }
}

impl Place {
    /// Whether `news` are what comes right behind what is counted, in the same segment.
    fn continues(&self, news: &News, end: &End) -> bool {
        let segment = |at: &Option<(SegmentName, u64)>| at.as_ref().map(|(name, _)| name.clone());
        news.whole
            && self.head.is_some()
            && self.head == news.from
            && self.at.is_some()
            && segment(&self.at) == segment(&end.position.segment)
    }

    /// Everything up to `target` is counted.
    fn arrive(&mut self, target: &End) -> bool {
        self.at.clone_from(&target.position.segment);
        self.head = Some(target.position.head.clone());
        true
    }
}

/// The oldest segment in `dir` that is wanted.
fn next(dir: &Path, wanted: impl Fn(&SegmentName) -> bool) -> io::Result<Option<SegmentName>> {
    Ok(list(dir)?.into_iter().find(|name| wanted(name)))
}

/// Tells `watch` of the signs; of those that are not of our own log only what was told already.
fn follow(watch: &mut Watch, digest: &Digest, ours: bool) {
    for sign in &digest.signs {
        if let Some((finding, time)) = Finding::told_by(sign) {
            watch.told(&finding, time);
        } else if ours {
            watch.see(sign);
        }
    }
}

/// Reads records from the byte `offset` on, at most one step and not beyond `upto`. Says where it stopped,
/// and whether that is the end.
fn read(path: &Path, offset: u64, upto: Option<u64>) -> io::Result<(Digest, u64, bool)> {
    let mut digest = Digest::default();
    let upto = upto.unwrap_or(u64::MAX);
    let mut lines = match Lines::open(path, offset) {
        // Taken back by its writer, or removed: whether something is missing is for `verify` to say.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((digest, offset, true)),
        opened => opened?,
    };
    for _ in 0..STEP_LINES {
        if lines.offset() >= upto {
            return Ok((digest, lines.offset(), true));
        }
        match lines.next()? {
            None | Some((_, LineEnd::Unfinished)) => return Ok((digest, lines.offset(), true)),
            Some((line, LineEnd::Complete)) => {
                Seen::parse(line).into_iter().for_each(|seen| digest.add(seen))
            }
            Some((_, LineEnd::Overlong)) => {}
        }
    }
    Ok((digest, lines.offset(), false))
}
