//! Refresh families that end before their time: what they are known by is looked at in a few goes, however many end.

use deadpool_redis::redis;
use uuid::Uuid;

use super::{
    db::Db,
    families::{drop_family, read},
    names::Names,
    plan::Plan,
    revocations,
};
use crate::{
    domain::Timestamp,
    store::{FamilyAccess, Revocation, RevocationTarget, StoreError, families::revocation},
};

/// Families that are ended in one transaction: each may have [`MOST_ACCESS`](crate::store::MOST_ACCESS) tokens to revoke.
const ENDED_AT_ONCE: usize = 8;
/// Indexes that are read in one go.
const READ_AT_ONCE: usize = 64;

/// A family that is to end.
pub(super) struct Ending {
    /// Its id.
    pub(super) id: String,
    /// When.
    pub(super) at: Timestamp,
    /// The index that it was found in, which may name one that is no more.
    pub(super) index: Option<String>,
}

impl Ending {
    /// All that `index` names, at `at`.
    fn all_in(index: &str, ids: Vec<String>, at: Timestamp) -> impl Iterator<Item = Self> {
        ids.into_iter().map(move |id| Self { id, at, index: Some(index.to_owned()) })
    }
}

/// Ends these families, if they are there, and revokes their access tokens.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn end_each(plan: &mut Plan<'_>, ending: &[Ending]) -> Result<Vec<Revocation>, StoreError> {
    plan.look_at(ending.iter().map(|one| plan.names().family(&one.id)).collect()).await?;
    let mut all = Vec::new();
    for Ending { id, at, index } in ending {
        let Some(kept) = read(plan, id).await? else {
            if let Some(index) = index {
                plan.then(["ZREM", index, id]);
            }
            continue;
        };
        drop_family(plan, &kept);
        let live = kept.access.into_iter().filter(|(_, until)| until > at);
        let mut ended: Vec<_> =
            live.map(|(jti, until)| revocation(FamilyAccess { jti, until }, *at)).collect();
        ended.sort();
        all.extend(ended);
    }
    revocations::revoke_each(plan, &all).await?;
    Ok(all)
}

/// Ends the families that these revocations of single credentials are about: the one of that id, and the one whose refresh
/// token it is.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn end_of_tokens(plan: &mut Plan<'_>, revoked: &[&Revocation]) -> Result<(), StoreError> {
    let names = plan.names();
    let tokens: Vec<_> = revoked
        .iter()
        .filter_map(|one| match &one.target {
            RevocationTarget::Jti(jti) => Some((jti, one.at)),
            RevocationTarget::Subject(_) | RevocationTarget::Client(_) => None,
        })
        .collect();
    let both = tokens.iter().flat_map(|(jti, _)| [names.family_token(jti), names.family(jti)]);
    plan.look_at(both.collect()).await?;
    let mut of_tokens = Vec::new();
    for (jti, at) in &tokens {
        if let Some(id) = plan.get(&names.family_token(jti)).await? {
            of_tokens.push((*jti, Ending { id, at: *at, index: None }));
        }
    }
    plan.look_at(of_tokens.iter().map(|(_, one)| names.family(&one.id)).collect()).await?;
    let by_id = tokens.into_iter().map(|(jti, at)| Ending { id: jti.clone(), at, index: None });
    let mut ending: Vec<Ending> = by_id.collect();
    for (jti, one) in of_tokens {
        if read(plan, &one.id).await?.is_some_and(|kept| kept.refresh == *jti) {
            ending.push(one);
        }
    }
    end_each(plan, &ending).await.map(drop)
}

/// The families of a subject that is revoked, for [`end_in_steps`] once that holds. One that comes meanwhile has the plan
/// made anew; none for another target.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn of_subject(plan: &mut Plan<'_>, revoked: &Revocation) -> Result<Vec<Ending>, StoreError> {
    let RevocationTarget::Subject(subject) = &revoked.target else { return Ok(Vec::new()) };
    let index = plan.names().families_of_subject(subject);
    plan.get(&Names::version_of(&index)).await?;
    let ids: Vec<String> = plan.db().ask(redis::cmd("ZRANGE").arg(&index).arg(0).arg(-1)).await?;
    Ok(Ending::all_in(&index, ids, revoked.at).collect())
}

/// The families of a client that is revoked, which may be many.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn of_client(db: &Db, revoked: &Revocation) -> Result<Vec<Ending>, StoreError> {
    let RevocationTarget::Client(client) = &revoked.target else { return Ok(Vec::new()) };
    let index = db.names.families_of_client(client);
    let ids: Vec<String> = db.ask(redis::cmd("ZRANGE").arg(&index).arg(0).arg(-1)).await?;
    Ok(Ending::all_in(&index, ids, revoked.at).collect())
}

/// The families of the subjects and clients that are `known` to be revoked, but for those that were founded after that.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn older_of(db: &Db, known: &[Revocation]) -> Result<Vec<Ending>, StoreError> {
    let indexes: Vec<(String, Timestamp)> = known
        .iter()
        .filter_map(|one| match &one.target {
            RevocationTarget::Subject(subject) => Some((db.names.families_of_subject(subject), one.at)),
            RevocationTarget::Client(client) => Some((db.names.families_of_client(client), one.at)),
            RevocationTarget::Jti(_) => None,
        })
        .collect();
    let mut all = Vec::new();
    for some in indexes.chunks(READ_AT_ONCE) {
        let mut questions = redis::pipe();
        for (index, _) in some {
            questions.cmd("ZRANGE").arg(index).arg(0).arg(-1);
        }
        let members: Vec<Vec<String>> = db.together(&questions).await?;
        for (ids, (index, at)) in members.into_iter().zip(some) {
            let older = |one: &Ending| founded_at(&one.id).is_none_or(|founded| founded <= *at);
            all.extend(Ending::all_in(index, ids, *at).filter(older));
        }
    }
    Ok(all)
}

/// Ends these families, a few at a time. Whoever was revoked before this has none of them renewed, so nothing is lost where
/// it stops half-way; asking again ends the others.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn end_in_steps(db: &Db, ending: &[Ending]) -> Result<(), StoreError> {
    for some in ending.chunks(ENDED_AT_ONCE) {
        db.settle(async |mut plan| {
            end_each(&mut plan, some).await?;
            Ok((plan, ()))
        })
        .await?;
    }
    Ok(())
}

/// When the family of that id was founded, as far as the id says it.
fn founded_at(id: &str) -> Option<Timestamp> {
    let (secs, nanos) = Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
    Some(Timestamp::from_millis(secs.saturating_mul(1_000).saturating_add(u64::from(nanos / 1_000_000))))
}
