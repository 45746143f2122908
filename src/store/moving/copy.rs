//! Copies one store into another: a page at a time, again without harm, and verified at the end.
//!
//! What is there and equal is left; what differs is put; what the source has no more is dropped. So the same command
//! goes on wherever an earlier one ended.

use std::collections::{HashMap, HashSet};

use super::{Mark, Moving, Record, RecordKind, Tally, Traits, mark::OVERTAKEN};
use crate::{
    domain::Timestamp,
    store::{IDENTITY_RING, StoreError, identity},
};

/// Why nothing, or not all, was copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The store that is read fails.
    #[error("the store to copy from: {0}")]
    Source(StoreError),
    /// The store that is written fails.
    #[error("the store to copy to: {0}")]
    Target(StoreError),
    /// There is nothing to do.
    #[error("both are the same store")]
    Same,
    /// No server and no command has used the source: most likely it is not the one that was meant.
    #[error("the store to copy from has never been used; is it the right one, and store.key_prefix too?")]
    Unused,
    /// The source lacks something itself.
    #[error("the store to copy from is the unfinished copy of another one: finish that first")]
    Unfinished,
    /// Changes would be lost.
    #[error("{0} server(s) use the {1}: stop them, and run this again")]
    Served(u64, &'static str),
    /// It may be the original, gone on since, or somebody else's.
    #[error("the store to copy to is not empty; name another one, or empty it if nobody needs what it holds")]
    NotEmpty,
    /// Two stores would be mixed.
    #[error("the store to copy to is the unfinished copy of another store: finish that, or empty it")]
    OfAnother,
}

/// How a copy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Source and target hold the same.
    Verified,
    /// Somebody wrote to the source meanwhile.
    Changed,
    /// The target does not hold what the source does.
    Differs,
}

/// What came of one kind of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopiedKind {
    /// The kind.
    pub kind: RecordKind,
    /// What the source holds.
    pub source: Tally,
    /// What the target holds.
    pub target: Tally,
    /// Records that were written.
    pub written: u64,
    /// Records that were there before.
    pub kept: u64,
    /// Records that the source does not have any more.
    pub dropped: u64,
}

/// What came of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Whether an earlier run had begun it.
    pub resumed: bool,
    /// Each kind, in the order of [`RecordKind::ALL`].
    pub kinds: Vec<CopiedKind>,
    /// How it ended.
    pub verdict: Verdict,
}

/// Copies `from` into `to`, which has to be empty or what an earlier run has left; `tell` hears of each kind when its
/// turn comes. Until it is [`Verdict::Verified`], `to` carries a [`Mark`].
///
/// # Errors
/// [`CopyError`]; what was copied stays, and the mark too, but if there was nothing to go on with.
pub async fn copy(
    from: &dyn Moving,
    to: &dyn Moving,
    mut tell: impl FnMut(RecordKind),
) -> Result<Copied, CopyError> {
    let before = resting(from, to).await?;
    let mark = Mark::new(source_identity(from).await?);
    let resumed = take(to, &mark).await?;
    let mark = mark.begun();
    let move_ = Move { from, to, mark: &mark, now: Timestamp::now(), resumed };
    let mut kinds = Vec::with_capacity(RecordKind::ALL.len());
    for kind in RecordKind::ALL {
        tell(kind);
        kinds.push(move_.bring(kind).await?);
    }
    let verdict = move_.verify(&mut kinds, &before).await?;
    if verdict == Verdict::Verified {
        finish(to, &mark).await.map_err(CopyError::Target)?;
    }
    Ok(Copied { resumed, kinds, verdict })
}

/// Takes the mark away. If the answer is lost it is asked for: a whole copy without its mark would be refused as one
/// that is not empty.
async fn finish(to: &dyn Moving, mark: &Mark) -> Result<(), StoreError> {
    let done = to.unmark(mark).await;
    if matches!(done, Err(StoreError::Unavailable(_))) && to.mark().await? != Some(mark.clone()) {
        return Ok(());
    }
    done
}

/// What tells the source from others, if the two are two and nobody serves from either.
async fn resting(from: &dyn Moving, to: &dyn Moving) -> Result<Traits, CopyError> {
    let source = from.traits().await.map_err(CopyError::Source)?;
    let target = to.traits().await.map_err(CopyError::Target)?;
    if source.place == target.place {
        return Err(CopyError::Same);
    }
    if from.mark().await.map_err(CopyError::Source)?.is_some() {
        return Err(CopyError::Unfinished);
    }
    match (source.servers, target.servers) {
        (0, 0) => Ok(source),
        (0, many) => Err(CopyError::Served(many, "store to copy to")),
        (many, _) => Err(CopyError::Served(many, "store to copy from")),
    }
}

async fn source_identity(from: &dyn Moving) -> Result<String, CopyError> {
    let ring = gather(from, RecordKind::Ring, vec![IDENTITY_RING.to_owned()]).await;
    match ring.map_err(CopyError::Source)?.first() {
        Some(Record::Ring { secret, .. }) => Ok(identity(secret)),
        _ => Err(CopyError::Unused),
    }
}

/// Marks the target, if it is empty or what an earlier run has left; says whether one had begun.
///
/// Wherever this ends, the store of somebody carries no mark that has begun: without one the next run looks again.
async fn take(to: &dyn Moving, mark: &Mark) -> Result<bool, CopyError> {
    let found = to.mark().await.map_err(CopyError::Target)?;
    if found.is_none() && !is_empty(to).await.map_err(CopyError::Target)? {
        return Err(CopyError::NotEmpty);
    }
    let before = to.mark_as(mark).await.map_err(CopyError::Target)?;
    if !mark.follows(before.as_ref()) {
        return Err(CopyError::OfAnother);
    }
    let resumed = before.is_some_and(|before| before.has_begun);
    if !resumed {
        still_empty(to, mark).await?;
        let begun = mark.begun();
        let before = to.mark_as(&begun).await.map_err(CopyError::Target)?;
        if !begun.follows(before.as_ref()) {
            return Err(CopyError::Target(OVERTAKEN));
        }
    }
    Ok(resumed)
}

/// Looks once more, under the mark: a server that starts now sees it, or has left its shared secrets before this.
async fn still_empty(to: &dyn Moving, mark: &Mark) -> Result<(), CopyError> {
    let empty = is_empty(to).await;
    if empty != Ok(true) {
        to.unmark(mark).await.map_err(CopyError::Target)?;
    }
    if empty.map_err(CopyError::Target)? { Ok(()) } else { Err(CopyError::NotEmpty) }
}

async fn is_empty(store: &dyn Moving) -> Result<bool, StoreError> {
    for kind in RecordKind::ALL {
        if !store.list(kind, None, Timestamp::default()).await?.ids.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// All records with these ids, which are those of a page.
async fn gather(
    store: &dyn Moving,
    kind: RecordKind,
    mut ids: Vec<String>,
) -> Result<Vec<Record>, StoreError> {
    let mut all = Vec::with_capacity(ids.len());
    while !ids.is_empty() {
        let found = store.look_up(kind, ids.clone()).await?;
        ids.drain(..found.looked_for.clamp(1, ids.len()));
        all.extend(found.records);
    }
    Ok(all)
}

/// One copy under way.
struct Move<'a> {
    from: &'a dyn Moving,
    to: &'a dyn Moving,
    mark: &'a Mark,
    /// What has ended by then is not copied.
    now: Timestamp,
    resumed: bool,
}

impl Move<'_> {
    /// Brings all records of a kind over.
    async fn bring(&self, kind: RecordKind) -> Result<CopiedKind, CopyError> {
        let (source, target) = (Tally::default(), Tally::default());
        let mut sum = CopiedKind { kind, source, target, written: 0, kept: 0, dropped: 0 };
        let mut after = None;
        loop {
            let page = self.from.list(kind, after, self.now).await.map_err(CopyError::Source)?;
            let mut ids = page.ids;
            while !ids.is_empty() {
                let found = self.from.look_up(kind, ids.clone()).await.map_err(CopyError::Source)?;
                let looked_for: Vec<String> = ids.drain(..found.looked_for.clamp(1, ids.len())).collect();
                self.bring_some(&mut sum, looked_for, found.records).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(sum);
            }
        }
    }

    async fn bring_some(
        &self,
        sum: &mut CopiedKind,
        ids: Vec<String>,
        records: Vec<Record>,
    ) -> Result<(), CopyError> {
        // These never go by themselves: what is listed and not there was lost.
        let stays = matches!(sum.kind, RecordKind::Ring | RecordKind::User | RecordKind::Key);
        if stays && records.len() < ids.len() {
            return Err(CopyError::Source(StoreError::Corrupt("a record that its index names")));
        }
        records.iter().for_each(|record| sum.source.add(record));
        let there = if self.resumed { gather(self.to, sum.kind, ids).await } else { Ok(Vec::new()) };
        let there = there.map_err(CopyError::Target)?.into_iter().map(|record| (record.id(), record));
        let there: HashMap<String, Record> = there.collect();
        let all = records.len() as u64;
        let new: Vec<_> =
            records.into_iter().filter(|record| there.get(&record.id()) != Some(record)).collect();
        sum.written += new.len() as u64;
        sum.kept += all - new.len() as u64;
        if new.is_empty() {
            return Ok(());
        }
        self.to.put_all(self.mark, new).await.map_err(CopyError::Target)
    }

    /// Reads both once more.
    async fn verify(&self, kinds: &mut [CopiedKind], before: &Traits) -> Result<Verdict, CopyError> {
        let mut verdict = Verdict::Verified;
        for sum in kinds {
            sum.target = tally(self.to, sum.kind, self.now).await.map_err(CopyError::Target)?;
            if sum.target.count() > sum.source.count() {
                sum.dropped = self.prune(sum.kind).await?;
                sum.target = tally(self.to, sum.kind, self.now).await.map_err(CopyError::Target)?;
            }
            let again = tally(self.from, sum.kind, self.now).await.map_err(CopyError::Source)?;
            if again != sum.source {
                verdict = Verdict::Changed;
            } else if sum.target != sum.source && verdict == Verdict::Verified {
                verdict = Verdict::Differs;
            }
            sum.source = again;
        }
        let after = self.from.traits().await.map_err(CopyError::Source)?;
        Ok(if after == *before { verdict } else { Verdict::Changed })
    }

    /// Drops what the target has and the source has not; says how much.
    async fn prune(&self, kind: RecordKind) -> Result<u64, CopyError> {
        let mut dropped = 0;
        loop {
            let gone = self.prune_once(kind).await?;
            dropped += gone;
            // What is dropped moves what comes after it, so a pass may have missed some.
            if gone == 0 {
                return Ok(dropped);
            }
        }
    }

    async fn prune_once(&self, kind: RecordKind) -> Result<u64, CopyError> {
        let (mut dropped, mut after) = (0, None);
        loop {
            let page = self.to.list(kind, after, self.now).await.map_err(CopyError::Target)?;
            let mut gone = page.ids;
            let known = gather(self.from, kind, gone.clone()).await.map_err(CopyError::Source)?;
            let known: HashSet<String> = known.iter().map(Record::id).collect();
            gone.retain(|id| !known.contains(id));
            dropped += gone.len() as u64;
            if !gone.is_empty() {
                self.to.drop_all(self.mark, kind, gone).await.map_err(CopyError::Target)?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(dropped);
            }
        }
    }
}

/// What a store holds of a kind.
async fn tally(store: &dyn Moving, kind: RecordKind, now: Timestamp) -> Result<Tally, StoreError> {
    let (mut tally, mut after) = (Tally::default(), None);
    loop {
        let page = store.list(kind, after, now).await?;
        let mut ids = page.ids;
        while !ids.is_empty() {
            let found = store.look_up(kind, ids.clone()).await?;
            ids.drain(..found.looked_for.clamp(1, ids.len()));
            found.records.iter().for_each(|record| tally.add(record));
        }
        after = page.next;
        if after.is_none() {
            return Ok(tally);
        }
    }
}
