//! Records as they stand in Redis: found, put and taken away by their ids.

use deadpool_redis::redis;

use super::{
    db::Db,
    families,
    keys::{self, with_uses},
    names::Names,
    plan::Plan,
    quota,
    records::{self, FamilyRecord, KeyRecord, UserRecord},
    reports, revocations, rings,
    tasks::{self, TaskRecord},
    users,
};
use crate::{
    domain::{ApiKey, KeyDigest},
    store::{
        Report, StoreError,
        hex::unhex,
        moving::{Found, MOST_BYTES, Record, RecordKind, target_of},
    },
};

/// What an API key that does not read is.
const A_KEY: &str = "an API key";

/// The records with the first of these ids, as [`Moving::look_up`](crate::store::moving::Moving::look_up).
///
/// # Errors
/// [`StoreError`].
pub(super) async fn find(db: &Db, kind: RecordKind, ids: Vec<String>) -> Result<Found, StoreError> {
    let looked_for = ids.len();
    match kind {
        RecordKind::Key => Ok(Found { records: find_keys(db, &ids).await?, looked_for }),
        RecordKind::Report => Ok(Found { records: find_reports(db, &ids).await?, looked_for }),
        _ => find_texts(db, kind, &ids).await,
    }
}

/// Those that stand each under a name of its own.
async fn find_texts(db: &Db, kind: RecordKind, ids: &[String]) -> Result<Found, StoreError> {
    let names = ids.iter().map(|id| name(&db.names, kind, id)).collect::<Result<Vec<_>, _>>()?;
    let fitting = fitting(db, &names).await?;
    let texts = db.get_all(names.get(..fitting).unwrap_or(&names)).await?;
    let mut records = Vec::with_capacity(texts.len());
    for (id, text) in ids.iter().zip(texts) {
        if let Some(text) = text {
            records.push(read(kind, id, &text)?);
        }
    }
    Ok(Found { records, looked_for: fitting })
}

/// How many of the texts under `names` are read at a time: asked before they are read, since a task may hold much.
async fn fitting(db: &Db, names: &[String]) -> Result<usize, StoreError> {
    if names.is_empty() {
        return Ok(0);
    }
    let mut questions = redis::pipe();
    for name in names {
        questions.cmd("STRLEN").arg(name);
    }
    let sizes: Vec<usize> = db.together(&questions).await?;
    let mut bytes = 0;
    let fit = sizes.iter().take_while(|size| {
        bytes += **size;
        bytes <= MOST_BYTES
    });
    Ok(fit.count().max(1))
}

fn name(names: &Names, kind: RecordKind, id: &str) -> Result<String, StoreError> {
    Ok(match kind {
        RecordKind::Ring => names.ring(id),
        RecordKind::Revocation => names.revocation(&target_of(id)?),
        RecordKind::User => names.user(id),
        RecordKind::Key => names.key_id(id),
        RecordKind::Family => names.family(id),
        RecordKind::Level => names.level_of(id),
        RecordKind::Report => names.reports(),
        RecordKind::Task => names.task(id),
    })
}

fn read(kind: RecordKind, id: &str, text: &str) -> Result<Record, StoreError> {
    Ok(match kind {
        RecordKind::Ring => Record::Ring { name: id.to_owned(), secret: rings::read(text)? },
        RecordKind::Revocation => Record::Revocation(records::read(text, revocations::WHAT)?),
        RecordKind::User => {
            let (user, hash) = records::read::<UserRecord>(text, "an account")?.parts();
            Record::User { user, hash }
        }
        RecordKind::Family => {
            let whole = records::read::<FamilyRecord>(text, families::WHAT)?.whole()?;
            Record::Family(Box::new(whole))
        }
        RecordKind::Level => Record::Level(quota::read(text).ok_or(StoreError::Corrupt("a level"))?),
        RecordKind::Task => {
            let digest = unhex(id).ok_or(StoreError::Corrupt(tasks::WHAT))?;
            Record::Task(Box::new(records::read::<TaskRecord>(text, tasks::WHAT)?.row(digest)))
        }
        // These do not stand under names of their own.
        RecordKind::Key | RecordKind::Report => return Err(StoreError::Corrupt(kind.as_str())),
    })
}

async fn find_keys(db: &Db, ids: &[String]) -> Result<Vec<Record>, StoreError> {
    let pointers: Vec<String> = ids.iter().map(|id| db.names.key_id(id)).collect();
    let names: Vec<String> = db.get_all(&pointers).await?.into_iter().flatten().collect();
    let texts = db.get_all(&names).await?;
    let (mut rest, mut all): (Vec<_>, Vec<ApiKey>) = (Vec::new(), Vec::new());
    for (name, text) in names.iter().zip(texts) {
        let Some(text) = text else { continue };
        let digest = db.names.rest(name, "api_key:").and_then(unhex).ok_or(StoreError::Corrupt(A_KEY))?;
        let kept: KeyRecord = records::read(&text, A_KEY)?;
        rest.push((KeyDigest::from_bytes(digest), kept.told_ended));
        all.push(kept.into_key()?);
    }
    let all = with_uses(db, all).await?;
    let records = all.into_iter().zip(rest).map(|(key, (digest, told_ended))| Record::Key {
        digest,
        key: Box::new(key),
        told_ended,
    });
    Ok(records.collect())
}

async fn find_reports(db: &Db, ids: &[String]) -> Result<Vec<Record>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let texts: Vec<Option<String>> = db.ask(redis::cmd("HMGET").arg(db.names.reports()).arg(ids)).await?;
    let read = |text: String| records::read::<Report>(&text, reports::WHAT).map(Record::Report);
    texts.into_iter().flatten().map(read).collect()
}

/// Puts records, each in the place of the one of its id.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn put(plan: &mut Plan<'_>, all: &[Record]) -> Result<(), StoreError> {
    let names = plan.names();
    // What is there is read in one go.
    let known = all.iter().filter(|record| {
        matches!(record.kind(), RecordKind::User | RecordKind::Key | RecordKind::Family | RecordKind::Task)
    });
    let known =
        known.map(|record| name(names, record.kind(), &record.id())).collect::<Result<Vec<_>, _>>()?;
    plan.look_at(known).await?;
    let ids = all.iter().filter_map(|record| match record {
        Record::User { user, .. } => Some(names.user_id(user.id)),
        _ => None,
    });
    plan.look_at(ids.collect()).await?;
    for record in all {
        put_one(plan, record).await?;
    }
    Ok(())
}

async fn put_one(plan: &mut Plan<'_>, record: &Record) -> Result<(), StoreError> {
    let names = plan.names();
    match record {
        Record::Ring { name, secret } => {
            plan.then(["SADD", &names.rings(), name]);
            plan.set(names.ring(name), rings::write(secret), None);
            Ok(())
        }
        Record::Revocation(revocation) => revocations::keep(plan, revocation),
        Record::User { user, hash } => users::place(plan, user, hash.clone()).await,
        Record::Key { digest, key, told_ended } => put_key(plan, digest, key, *told_ended).await,
        Record::Family(whole) => {
            if let Some(kept) = families::read(plan, &whole.family.id).await? {
                families::drop_family(plan, &kept);
            }
            families::enter(plan, &FamilyRecord::of(whole))
        }
        Record::Level(level) => {
            let (place, index) = (names.level(&level.scope, &level.id), names.levels());
            plan.set(place.clone(), quota::write(level), Some(level.until));
            plan.then(["ZADD", &index, &level.until.micros().to_string(), &place]);
            Ok(())
        }
        Record::Report(report) => {
            let key = report.key();
            plan.then(["HSET", &names.reports(), &key, &records::write(report, reports::WHAT)?]);
            plan.then(["ZADD", &names.reports_by_age(), &report.at.micros().to_string(), &key]);
            Ok(())
        }
        Record::Task(row) => {
            tasks::remove(plan, &record.id()).await?;
            tasks::enter(plan, row)
        }
    }
}

async fn put_key(
    plan: &mut Plan<'_>,
    digest: &KeyDigest,
    key: &ApiKey,
    told_ended: bool,
) -> Result<(), StoreError> {
    let (names, id) = (plan.names(), key.id.to_string());
    remove_key(plan, &id).await?;
    let place = names.key(digest.as_bytes());
    plan.set(names.key_id(&id), place.clone(), None);
    plan.then(["ZADD", &names.keys(), "0", &id]);
    keys::keep(plan, place, key, told_ended)
}

/// Takes the record of that kind and id away.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn remove(plan: &mut Plan<'_>, kind: RecordKind, id: &str) -> Result<(), StoreError> {
    let names = plan.names();
    let place = name(names, kind, id)?;
    match kind {
        RecordKind::Key => return remove_key(plan, id).await,
        RecordKind::Task => return tasks::remove(plan, id).await.map(drop),
        RecordKind::Family => {
            if let Some(kept) = families::read(plan, id).await? {
                families::drop_family(plan, &kept);
            }
            return Ok(());
        }
        RecordKind::Report => {
            plan.then(["HDEL", &place, id]);
            plan.then(["ZREM", &names.reports_by_age(), id]);
            return Ok(());
        }
        RecordKind::User => {
            if let Some(text) = plan.get(&place).await? {
                let (user, _) = records::read::<UserRecord>(&text, "an account")?.parts();
                plan.delete(names.user_id(user.id));
            }
            plan.then(["ZREM", &names.users(), id]);
            plan.then(["INCR", &names.users_version()]);
        }
        RecordKind::Ring => plan.then(["SREM", &names.rings(), id]),
        RecordKind::Revocation => plan.then(["ZREM", &names.revocations(), &place]),
        RecordKind::Level => plan.then(["ZREM", &names.levels(), &place]),
    }
    plan.delete(place);
    Ok(())
}

async fn remove_key(plan: &mut Plan<'_>, id: &str) -> Result<(), StoreError> {
    let (names, pointer) = (plan.names(), plan.names().key_id(id));
    if let Some(place) = plan.get(&pointer).await? {
        plan.delete(place);
        plan.delete(pointer);
    }
    plan.then(["ZREM", &names.keys(), id]);
    plan.then(["ZREM", &names.keys_ends(), id]);
    // What was counted here is in the record that comes, or nobody's any more.
    plan.then(["HDEL", &names.keys_uses(), &format!("{id}:count"), &format!("{id}:last")]);
    Ok(())
}
