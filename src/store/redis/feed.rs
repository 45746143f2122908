//! The port [`Feed`] on Redis: a stream whose rows are written with the change they tell of.

use std::sync::{Arc, LazyLock, atomic::Ordering};

use deadpool_redis::redis::{self, Script};

use super::{Inner, Redis, db::Db};
use crate::{
    domain::Timestamp,
    store::{Change, ChangeKind, FEED_PAGE, Feed, FeedWatch, StoreError, StoreFuture, feed},
};

/// Tells everybody that rows are lost.
static HEAL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("heal.lua")));

/// A row as the server gives it: its id, and its members.
type Row = (String, Vec<String>);

impl Feed for Redis {
    fn changes_after(&self, last: u64) -> StoreFuture<'_, Vec<Change>> {
        self.ask(async move |db| after(&db, last).await)
    }

    fn latest(&self) -> StoreFuture<'_, u64> {
        self.ask(async move |db| {
            Ok(db.ask::<Option<u64>>(redis::cmd("GET").arg(db.names.feed_counter())).await?.unwrap_or(0))
        })
    }

    fn watch(&self, from: u64) -> Box<dyn FeedWatch> {
        let generation = self.0.watched.generation();
        Box::new(RedisWatch { inner: Arc::clone(&self.0), seen: Seen { last: from, row: None, generation } })
    }
}

/// The page of rows after `last`.
async fn after(db: &Db, last: u64) -> Result<Vec<Change>, StoreError> {
    let (latest, rows) = look(db, &format!("({last}-0"), FEED_PAGE).await?;
    if latest < last {
        return Err(feed::went_backwards());
    }
    Ok(feed::bridge(last, changes(&rows)?))
}

/// The counter, and at most `most` rows from `from` on. Rows are read after the counter, so there is one for what it
/// says.
async fn look(db: &Db, from: &str, most: usize) -> Result<(u64, Vec<Row>), StoreError> {
    let mut questions = redis::pipe();
    questions.get(db.names.generation()).get(db.names.feed_counter());
    questions.cmd("XRANGE").arg(db.names.feed()).arg(from).arg("+").arg("COUNT").arg(most);
    let (generation, latest, rows): (Option<String>, Option<u64>, Vec<Row>) =
        db.of_master(&questions).await?;
    db.recognise(generation.as_deref())?;
    Ok((latest.unwrap_or(0), rows))
}

/// What a watch has read last.
#[derive(Clone)]
struct Seen {
    last: u64,
    /// The members of that row, if it was there: after writes were lost another one may have its id.
    row: Option<Vec<String>>,
    /// Of which store.
    generation: Arc<String>,
}

impl Seen {
    /// Whether the row was lost, if this is now in its place.
    fn is_lost(&self, found: Option<&Vec<String>>) -> bool {
        match (&self.row, found) {
            (Some(row), Some(found)) => row != found,
            (Some(row), None) => at(row).is_none_or(|at| at.plus(feed::KEPT) > Timestamp::now()),
            (None, _) => false,
        }
    }
}

/// What came after what was `seen`. A store that has lost rows which were read (it went back to an older copy of
/// itself, or a node took over that had not heard of them) gets one that tells everybody to read all again.
async fn follow(db: &Db, seen: Seen) -> Result<(Vec<Change>, Seen), StoreError> {
    let last = seen.last;
    if seen.generation != db.generation() {
        // Its rows are counted anew, and whoever holds copies has those of another store.
        return heal(db, last).await;
    }
    let (latest, mut rows) = look(db, &format!("{last}-0"), FEED_PAGE + 1).await?;
    let is_whole = rows.len() <= FEED_PAGE;
    let newest = rows.last().and_then(id).unwrap_or(0);
    let found = (rows.first().and_then(id) == Some(last)).then(|| rows.remove(0).1);
    rows.truncate(FEED_PAGE);
    let told = feed::bridge(last, changes(&rows)?);
    let is_lost = latest < last || seen.is_lost(found.as_ref()) || (is_whole && newest < latest);
    // Whoever is told of something unknown reads all again anyway.
    if is_lost && told.iter().all(|change| change.what != ChangeKind::Unknown) {
        return heal(db, last).await;
    }
    let last = told.last().map_or(last, |newest| newest.id);
    let row = rows.pop().map(|(_, members)| members).or(found).or(seen.row);
    Ok((told, Seen { last, row, generation: seen.generation }))
}

/// Adds an unknown row above `last`, and gives it. What is between the two is read with all the rest.
async fn heal(db: &Db, last: u64) -> Result<(Vec<Change>, Seen), StoreError> {
    let (now, generation) = (Timestamp::now(), db.generation());
    let mut script = HEAL.prepare_invoke();
    script.key(db.names.feed()).key(db.names.feed_counter()).key(db.names.generation());
    script.arg(generation.as_str()).arg(last).arg(now.micros());
    let id: u64 = db.run(&script).await?;
    if id == 0 {
        return Err(StoreError::Replaced);
    }
    tracing::warn!(row = id, "the store has lost changes that were read: all copies of it are read again");
    let members = ["at", &now.micros().to_string(), "what", "?"].map(str::to_owned).to_vec();
    Ok((
        vec![Change { id, at: now, what: ChangeKind::Unknown }],
        Seen { last: id, row: Some(members), generation },
    ))
}

fn changes(rows: &[Row]) -> Result<Vec<Change>, StoreError> {
    rows.iter().map(change).collect::<Option<_>>().ok_or(StoreError::Corrupt("a change"))
}

fn change(row: &Row) -> Option<Change> {
    let what = member(&row.1, "what").map_or(ChangeKind::Unknown, |text| ChangeKind::from_row(text));
    Some(Change { id: id(row)?, at: at(&row.1)?, what })
}

fn id((id, _): &Row) -> Option<u64> {
    id.strip_suffix("-0")?.parse().ok()
}

fn at(members: &[String]) -> Option<Timestamp> {
    Some(Timestamp::from_micros(member(members, "at")?.parse().ok()?))
}

fn member<'a>(members: &'a [String], name: &str) -> Option<&'a String> {
    members.chunks_exact(2).find(|pair| pair.first().is_some_and(|n| n == name))?.get(1)
}

struct RedisWatch {
    inner: Arc<Inner>,
    seen: Seen,
}

impl FeedWatch for RedisWatch {
    fn poll(&mut self) -> Result<Vec<Change>, StoreError> {
        let (db, seen) = (Arc::clone(&self.inner.watched), self.seen.clone());
        let told = self.inner.runner.wait_for(async move || follow(&db, seen).await);
        self.inner.replaced.store(matches!(told, Err(StoreError::Replaced)), Ordering::Release);
        let (told, seen) = told?;
        self.seen = seen;
        Ok(told)
    }
}
