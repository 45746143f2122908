//! The port [`Keys`] on Redis.

use std::sync::LazyLock;

use deadpool_redis::redis::{self, Script};

use super::{
    Redis,
    db::Db,
    plan::Plan,
    records::{self, KeyRecord},
};
use crate::{
    domain::{ApiKey, KeyDigest, KeyId, KeyState, Timestamp},
    store::{
        ChangeKind, KEY_PAGE_MAX, KeyRotation, Keys, Lookup, RotateOutcome, StoreError, StoreFuture,
        UseBatch, keys,
    },
};

/// What a record that does not read is.
const WHAT: &str = "an API key";
/// For how long a batch of uses is known again, in seconds: nobody sends one for so long.
const BATCH_KNOWN_SECS: u64 = 86_400;

static ADD_USES: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("uses.lua")));

impl Keys for Redis {
    fn find<'a>(&'a self, digest: &'a KeyDigest) -> StoreFuture<'a, Lookup> {
        let digest = *digest;
        self.ask(async move |db| {
            let Some(text) = db.get(&db.names.key(digest.as_bytes())).await? else {
                return Ok(Lookup::Nothing);
            };
            // Not an error: whatever it was, it opens nothing.
            let Ok(key) = records::read::<KeyRecord>(&text, WHAT).and_then(KeyRecord::into_key) else {
                return Ok(Lookup::Unreadable);
            };
            let counted = with_uses(&db, vec![key]).await?.pop();
            Ok(counted.map_or(Lookup::Nothing, |key| Lookup::Key(Box::new(key))))
        })
    }

    fn show(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>> {
        self.ask(async move |db| Ok(read_all(&db, &[id.to_string()]).await?.pop()))
    }

    fn page(&self, after: Option<KeyId>, size: u64) -> StoreFuture<'_, Vec<ApiKey>> {
        self.ask(async move |db| {
            let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
            let mut question = redis::cmd("ZRANGEBYLEX");
            question
                .arg(db.names.keys())
                .arg(from)
                .arg("+")
                .arg("LIMIT")
                .arg(0)
                .arg(size.clamp(1, KEY_PAGE_MAX));
            let ids: Vec<String> = db.ask(&question).await?;
            read_all(&db, &ids).await
        })
    }

    fn insert<'a>(&'a self, digest: &'a KeyDigest, key: &'a ApiKey) -> StoreFuture<'a, ()> {
        let (digest, key) = (*digest, key.clone());
        self.ask(async move |db| {
            db.settle(async |mut plan| {
                insert(&mut plan, &digest, &key).await?;
                Ok((plan, ()))
            })
            .await
        })
    }

    fn set_state(&self, id: KeyId, state: KeyState) -> StoreFuture<'_, Option<ApiKey>> {
        self.ask(async move |db| {
            let changed = db.settle(async |plan| set_state(plan, id, state).await).await?;
            Ok(with_uses(&db, changed.into_iter().collect()).await?.pop())
        })
    }

    fn rotate<'a>(&'a self, rotation: &'a KeyRotation) -> StoreFuture<'a, RotateOutcome> {
        let rotation = rotation.clone();
        self.ask(async move |db| {
            let done = db.settle(async |plan| rotate(plan, &rotation).await).await?;
            let RotateOutcome::Done { successor, old } = done else { return Ok(done) };
            let old = with_uses(&db, vec![*old]).await?.pop().ok_or(StoreError::Corrupt(WHAT))?;
            Ok(RotateOutcome::Done { successor, old: Box::new(old) })
        })
    }

    fn add_uses<'a>(&'a self, batch: &'a UseBatch) -> StoreFuture<'a, ()> {
        let batch = batch.clone();
        self.ask(async move |db| {
            let mut script = ADD_USES.prepare_invoke();
            script
                .key(db.names.keys_batch(batch.writer))
                .key(db.names.keys_uses())
                .key(db.names.generation());
            script.arg(batch.number).arg(BATCH_KNOWN_SECS).arg(db.generation().as_str());
            for used in &batch.uses {
                script.key(db.names.key_id(used.id));
                script.arg(used.id.to_string()).arg(used.count).arg(used.last_used.micros());
            }
            db.counted(&script).await.map(drop)
        })
    }

    fn newly_ended(&self, now: Timestamp, most: u64) -> StoreFuture<'_, Vec<ApiKey>> {
        self.ask(async move |db| {
            let ended = db.settle(async |plan| newly_ended(plan, now, most).await).await?;
            with_uses(&db, ended).await
        })
    }
}

/// Adds to each key how often it was used since it is here.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn with_uses(db: &Db, mut keys: Vec<ApiKey>) -> Result<Vec<ApiKey>, StoreError> {
    if keys.is_empty() {
        return Ok(keys);
    }
    let mut question = redis::cmd("HMGET");
    question.arg(db.names.keys_uses());
    for key in &keys {
        question.arg(format!("{}:count", key.id)).arg(format!("{}:last", key.id));
    }
    let uses: Vec<Option<u64>> = db.ask(&question).await?;
    for (key, uses) in keys.iter_mut().zip(uses.chunks_exact(2)) {
        if let [Some(count), last] = *uses {
            key.usage_count = key.usage_count.saturating_add(count);
            key.last_used = key.last_used.max(last.map(Timestamp::from_micros));
        }
    }
    Ok(keys)
}

/// The keys with these ids, but for those that are not there.
async fn read_all(db: &Db, ids: &[String]) -> Result<Vec<ApiKey>, StoreError> {
    let pointers: Vec<String> = ids.iter().map(|id| db.names.key_id(id)).collect();
    let names: Vec<String> = db.get_all(&pointers).await?.into_iter().flatten().collect();
    let texts = db.get_all(&names).await?;
    let keys = texts.into_iter().flatten().map(|text| records::read::<KeyRecord>(&text, WHAT)?.into_key());
    with_uses(db, keys.collect::<Result<_, _>>()?).await
}

/// The key of that id as it stands, where it is kept, and whether its end has been told of.
async fn read(plan: &mut Plan<'_>, id: KeyId) -> Result<Option<(String, ApiKey, bool)>, StoreError> {
    let Some(name) = plan.get(&plan.names().key_id(id)).await? else { return Ok(None) };
    let Some(text) = plan.get(&name).await? else { return Ok(None) };
    let record: KeyRecord = records::read(&text, WHAT)?;
    let told = record.told_ended;
    Ok(Some((name, record.into_key()?, told)))
}

/// Puts a key back into its place after a change, and notes when its end has to be told of.
///
/// # Errors
/// [`StoreError`].
pub(super) fn keep(
    plan: &mut Plan<'_>,
    name: String,
    key: &ApiKey,
    told_ended: bool,
) -> Result<(), StoreError> {
    let (ends, id) = (plan.names().keys_ends(), key.id.to_string());
    plan.set(name, records::write(&KeyRecord::new(key, told_ended), WHAT)?, None);
    if told_ended || key.state == KeyState::Revoked {
        plan.then(["ZREM", &ends, &id]);
    } else {
        plan.then(["ZADD", &ends, &key.ends_at().micros().to_string(), &id]);
    }
    Ok(())
}

async fn insert(plan: &mut Plan<'_>, digest: &KeyDigest, key: &ApiKey) -> Result<(), StoreError> {
    let (names, id) = (plan.names(), key.id.to_string());
    let (name, pointer) = (names.key(digest.as_bytes()), names.key_id(&id));
    if plan.get(&name).await?.is_some() || plan.get(&pointer).await?.is_some() {
        return Err(StoreError::Taken("the key"));
    }
    plan.set(pointer, name.clone(), None);
    plan.then(["ZADD", &names.keys(), "0", &id]);
    keep(plan, name, key, false)
}

async fn set_state(
    mut plan: Plan<'_>,
    id: KeyId,
    state: KeyState,
) -> Result<(Plan<'_>, Option<ApiKey>), StoreError> {
    let Some((name, mut key, told)) = read(&mut plan, id).await? else { return Ok((plan, None)) };
    if key.state != KeyState::Revoked {
        key.state = state;
    }
    keep(&mut plan, name, &key, told)?;
    plan.tell(&ChangeKind::Key(id))?;
    if key.state != KeyState::Active {
        plan.locks_out();
    }
    Ok((plan, Some(key)))
}

async fn rotate<'a>(
    mut plan: Plan<'a>,
    rotation: &KeyRotation,
) -> Result<(Plan<'a>, RotateOutcome), StoreError> {
    let mut found = read(&mut plan, rotation.of).await?;
    while rotation.newest
        && let Some(next) = found.as_ref().and_then(|(_, key, _)| key.rotation)
    {
        found = read(&mut plan, next.successor).await?;
    }
    let Some((name, old, told)) = found else { return Ok((plan, RotateOutcome::Unknown)) };
    let (successor, rotated) = match keys::plan(&old, rotation) {
        Ok(planned) => planned,
        Err(refused) => return Ok((plan, refused)),
    };
    insert(&mut plan, &rotation.digest, &successor).await?;
    let old = ApiKey { rotation: Some(rotated), ..old };
    keep(&mut plan, name, &old, told)?;
    plan.tell(&ChangeKind::Key(old.id))?;
    if let Some(before) = old.predecessor
        && let Some((name, mut before, told)) = read(&mut plan, before).await?
        && let Some(its) = &mut before.rotation
    {
        its.grace_until = its.grace_until.min(rotation.at);
        keep(&mut plan, name, &before, told)?;
        plan.tell(&ChangeKind::Key(before.id))?;
    }
    Ok((plan, RotateOutcome::Done { successor: Box::new(successor), old: Box::new(old) }))
}

async fn newly_ended(
    mut plan: Plan<'_>,
    now: Timestamp,
    most: u64,
) -> Result<(Plan<'_>, Vec<ApiKey>), StoreError> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let ids = plan.db().due(&plan.names().keys_ends(), now, most).await?;
    let mut ended = Vec::with_capacity(ids.len());
    for id in ids {
        let id = id.parse().map_err(|_| StoreError::Corrupt(WHAT))?;
        if let Some((name, key, false)) = read(&mut plan, id).await? {
            keep(&mut plan, name, &key, true)?;
            ended.push(key);
        }
    }
    Ok((plan, ended))
}
