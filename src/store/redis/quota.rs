//! The port [`Quota`] on Redis.

use deadpool_redis::redis;

use super::{Redis, db::Db};
use crate::{
    domain::Timestamp,
    store::{Level, Quota, StoreError, StoreFuture},
};

/// What a record that does not read is.
const WHAT: &str = "a level";
/// How many are read, written or dropped in one go.
const STEP: usize = 512;

impl Quota for Redis {
    fn save(&self, levels: Vec<Level>, now: Timestamp) -> StoreFuture<'_, ()> {
        self.ask(async move |db| save(&db, &levels, now).await)
    }

    fn levels(&self) -> StoreFuture<'_, Vec<Level>> {
        self.ask(async move |db| {
            let names: Vec<String> =
                db.ask(redis::cmd("ZRANGE").arg(db.names.levels()).arg(0).arg(-1)).await?;
            let mut all = Vec::with_capacity(names.len());
            for some in names.chunks(STEP) {
                // One that has ended by itself meanwhile is full again.
                for text in db.get_all(some).await?.into_iter().flatten() {
                    all.push(read(&text).ok_or(StoreError::Corrupt(WHAT))?);
                }
            }
            Ok(all)
        })
    }
}

async fn save(db: &Db, levels: &[Level], now: Timestamp) -> Result<(), StoreError> {
    let index = db.names.levels();
    db.settle(async |mut plan| {
        for name in plan.db().due(&index, now, STEP).await? {
            plan.then(["ZREM", &index, &name]);
            plan.delete(name);
        }
        Ok((plan, ()))
    })
    .await?;
    for some in levels.chunks(STEP) {
        db.settle(async |mut plan| {
            for level in some {
                let name = db.names.level(&level.scope, &level.id);
                plan.then(["ZADD", &index, &level.until.micros().to_string(), &name]);
                plan.set(name, write(level), Some(level.until));
            }
            Ok((plan, ()))
        })
        .await?;
    }
    Ok(())
}

/// `VERSION SCOPE ID SPENT AT UNTIL`, times in microseconds.
pub(super) fn write(level: &Level) -> String {
    let Level { scope, id, spent, at, until } = level;
    format!("1 {scope} {:032x} {spent} {} {}", u128::from_be_bytes(*id), at.micros(), until.micros())
}

/// The level of a text.
pub(super) fn read(text: &str) -> Option<Level> {
    let mut words = text.split(' ');
    let mut next = || words.next();
    if next()? != "1" {
        return None;
    }
    Some(Level {
        scope: next()?.to_owned(),
        id: u128::from_str_radix(next()?, 16).ok()?.to_be_bytes(),
        spent: next()?.parse().ok()?,
        at: Timestamp::from_micros(next()?.parse().ok()?),
        until: Timestamp::from_micros(next()?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_reads_as_it_was_written() {
        let (at, until) = (Timestamp::from_micros(8), Timestamp::from_micros(9));
        let level = Level { scope: "user".into(), id: [7; 16], spent: u64::MAX, at, until };
        assert_eq!(read(&write(&level)), Some(level));
        for text in ["", "1", "2 user 07 1 8 9", "1 user zz 1 8 9", "1 user 07 x 8 9"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
