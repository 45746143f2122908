//! The port [`Feed`] on Redis: a stream whose rows are written with the change they tell of.

use std::sync::Arc;

use deadpool_redis::redis;

use super::{Inner, Redis, db::Db};
use crate::{
    domain::Timestamp,
    store::{Change, ChangeKind, FEED_PAGE, Feed, FeedWatch, StoreError, StoreFuture, feed},
};

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
        Box::new(RedisWatch { inner: Arc::clone(&self.0), last: from })
    }
}

/// The page of rows after `last`.
async fn after(db: &Db, last: u64) -> Result<Vec<Change>, StoreError> {
    let mut questions = redis::pipe();
    questions.get(db.names.generation()).get(db.names.feed_counter());
    questions
        .cmd("XRANGE")
        .arg(db.names.feed())
        .arg(format!("({last}-0"))
        .arg("+")
        .arg("COUNT")
        .arg(FEED_PAGE);
    let (generation, latest, rows): (Option<String>, Option<u64>, Vec<Row>) = db.together(&questions).await?;
    db.recognise(generation.as_deref())?;
    if latest.unwrap_or(0) < last {
        return Err(feed::went_backwards());
    }
    let changes = rows.iter().map(change).collect::<Option<_>>().ok_or(StoreError::Corrupt("a change"))?;
    Ok(feed::bridge(last, changes))
}

fn change((id, members): &Row) -> Option<Change> {
    let member =
        |name: &str| members.chunks_exact(2).find(|pair| pair.first().is_some_and(|n| n == name))?.get(1);
    Some(Change {
        id: id.strip_suffix("-0")?.parse().ok()?,
        at: Timestamp::from_micros(member("at")?.parse().ok()?),
        what: member("what").map_or(ChangeKind::Unknown, |text| ChangeKind::from_row(text)),
    })
}

struct RedisWatch {
    inner: Arc<Inner>,
    last: u64,
}

impl FeedWatch for RedisWatch {
    fn poll(&mut self) -> Result<Vec<Change>, StoreError> {
        let (db, last) = (Arc::clone(&self.inner.db), self.last);
        let changes = self.inner.runner.wait_for(async move || after(&db, last).await)?;
        self.last = changes.last().map_or(self.last, |newest| newest.id);
        Ok(changes)
    }
}
