//! The port [`Families`] on Redis.

use base64::{Engine, engine::general_purpose::STANDARD};
use deadpool_redis::redis;

use super::{
    Redis,
    db::{SWEPT_AT_ONCE, Swept},
    family_ends::{Ending, end_each},
    names::Names,
    plan::Plan,
    records::{self, FamilyRecord},
    revocations,
};
use crate::{
    domain::Timestamp,
    store::{
        Families, Family, FamilyAccess, FamilyOf, MOST_FAMILIES, MadeRoom, Revocation, RevocationTarget,
        Rotated, Rotation, StoreError, StoreFuture, families,
    },
};

/// What a record that does not read is.
pub(super) const WHAT: &str = "a family";

impl Families for Redis {
    fn found<'a>(
        &'a self,
        family: &'a Family,
        access: &'a FamilyAccess,
        at: Timestamp,
    ) -> StoreFuture<'a, MadeRoom> {
        let (family, access) = (family.clone(), access.clone());
        self.ask(async move |db| db.settle(async |plan| found(plan, &family, &access, at).await).await)
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<Family>> {
        let id = id.to_owned();
        self.ask(async move |db| {
            let text = db.get(&db.names.family(&id)).await?;
            text.map(|text| Ok(records::read::<FamilyRecord>(&text, WHAT)?.family())).transpose()
        })
    }

    fn rotate<'a>(&'a self, rotation: &'a Rotation) -> StoreFuture<'a, Rotated> {
        let rotation = rotation.clone();
        self.ask(async move |db| db.settle(async |plan| rotate(plan, &rotation).await).await)
    }

    fn end<'a>(&'a self, which: &'a FamilyOf, at: Timestamp) -> StoreFuture<'a, Vec<Revocation>> {
        let which = which.clone();
        self.ask(async move |db| {
            db.settle(async |mut plan| {
                let id = match &which {
                    FamilyOf::Id(id) => Some(id.clone()),
                    FamilyOf::Access(jti) => plan.get(&plan.names().family_token(jti)).await?,
                };
                let ending: Vec<Ending> = id.map(|id| Ending { id, at, index: None }).into_iter().collect();
                let ended = end_each(&mut plan, &ending).await?;
                Ok((plan, ended))
            })
            .await
        })
    }

    fn forget_ended_families(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        self.ask(async move |db| db.sweep(async |plan| forget(plan, now).await).await)
    }
}

async fn found<'a>(
    mut plan: Plan<'a>,
    family: &Family,
    access: &FamilyAccess,
    at: Timestamp,
) -> Result<(Plan<'a>, MadeRoom), StoreError> {
    if plan.get(&plan.names().family(&family.id)).await?.is_some() {
        return Err(StoreError::Taken("the family's id"));
    }
    let of_subject = plan.names().families_of_subject(family.subject.as_str());
    let room = make_room(&mut plan, &of_subject, family, at).await?;
    enter(&mut plan, &FamilyRecord::new(family, access, at))?;
    Ok((plan, room))
}

/// Puts a new family into its place and into every index.
///
/// # Errors
/// [`StoreError`].
pub(super) fn enter(plan: &mut Plan<'_>, kept: &FamilyRecord) -> Result<(), StoreError> {
    let of_client = plan.names().families_of_client(kept.client());
    // Whoever ends all of the subject's must see this one, or be seen by it.
    let version = Names::version_of(&plan.names().families_of_subject(kept.subject()));
    plan.then(["INCR", &version]);
    keep(plan, kept, kept.access.len())?;
    plan.then(["ZADD", &of_client, "0", kept.id()]);
    Ok(())
}

/// Ends the families of the same subject that are one too many beside the new one.
async fn make_room(
    plan: &mut Plan<'_>,
    of_subject: &str,
    new: &Family,
    at: Timestamp,
) -> Result<MadeRoom, StoreError> {
    plan.get(&Names::version_of(of_subject)).await?;
    let mut others = Vec::new();
    for id in members(plan, of_subject).await? {
        match read(plan, &id).await {
            Ok(Some(kept)) if kept.expires_at > at => others.push((kept.used_at, kept.expires_at, id)),
            Ok(Some(_)) => {}
            Ok(None) => plan.then(["ZREM", of_subject, &id]),
            // It may be a newer program's, so it stays; it opens nothing here, and must not keep its owner out.
            Err(StoreError::Corrupt(what)) => plan.db().unreadable(what),
            Err(error) => return Err(error),
        }
    }
    others.sort_unstable_by(|one, other| other.cmp(one));
    let too_many = others.into_iter().filter(|(_, _, id)| *id != new.id).skip(MOST_FAMILIES - 1);
    let too_many: Vec<_> = too_many.map(|(_, _, id)| Ending { id, at, index: None }).collect();
    let revocations = end_each(plan, &too_many).await?;
    Ok(MadeRoom { ended: too_many.into_iter().map(|one| one.id).collect(), revocations })
}

async fn rotate<'a>(mut plan: Plan<'a>, rotation: &Rotation) -> Result<(Plan<'a>, Rotated), StoreError> {
    let Some(mut kept) = read(&mut plan, &rotation.family).await? else { return Ok((plan, Rotated::Gone)) };
    if kept.expires_at <= rotation.at || is_taken_back(&mut plan, &kept).await? {
        return Ok((plan, Rotated::Gone));
    }
    let graced = rotation.graced_from();
    if kept.refresh != rotation.shown {
        let again = kept.used.iter().find(|(shown, at, _)| *shown == rotation.shown && *at >= graced);
        if let Some((_, _, sealed)) = again {
            let sealed = STANDARD.decode(sealed).map_err(|_| StoreError::Corrupt(WHAT))?;
            return Ok((plan, Rotated::Again(sealed)));
        }
        let reused = Ending { id: rotation.family.clone(), at: rotation.at, index: None };
        let revocations = end_each(&mut plan, &[reused]).await?;
        return Ok((plan, Rotated::Reused(revocations)));
    }
    kept.used.retain(|(_, at, _)| *at >= graced);
    kept.used.push((rotation.shown.clone(), rotation.at, STANDARD.encode(&rotation.sealed)));
    plan.delete(plan.names().family_token(&rotation.shown));
    take_in(&mut plan, &mut kept, rotation).await?;
    kept.refresh.clone_from(&rotation.successor);
    kept.expires_at = rotation.expires_at;
    kept.used_at = rotation.at;
    keep(&mut plan, &kept, 1)?;
    Ok((plan, Rotated::Done))
}

/// Takes in the new access token: those that are over go, and if there are too many beside it the oldest are revoked.
async fn take_in(
    plan: &mut Plan<'_>,
    kept: &mut FamilyRecord,
    rotation: &Rotation,
) -> Result<(), StoreError> {
    let live = kept.access.iter().filter(|(_, until)| *until > rotation.at);
    let live = live.map(|(jti, until)| FamilyAccess { jti: jti.clone(), until: *until });
    let revoked = families::too_many_beside_a_new(live.collect(), rotation.at);
    revocations::revoke_each(plan, &revoked).await?;
    let is_revoked = |jti: &str| revoked.iter().any(|one| one.target == RevocationTarget::Jti(jti.into()));
    for (jti, _) in kept.access.extract_if(.., |(jti, until)| *until <= rotation.at || is_revoked(jti)) {
        plan.delete(plan.names().family_token(&jti));
    }
    kept.access.push((rotation.access.jti.clone(), rotation.access.until));
    Ok(())
}

/// Whether the client or the subject of the family was revoked since the family was used last. Its families are ended
/// after that, a few at a time; none is renewed in between.
async fn is_taken_back(plan: &mut Plan<'_>, kept: &FamilyRecord) -> Result<bool, StoreError> {
    let (client, subject) = (kept.client().to_owned(), kept.subject().to_owned());
    let both = [RevocationTarget::Client(client), RevocationTarget::Subject(subject)];
    let both = both.map(|target| plan.names().revocation(&target));
    plan.look_at(both.to_vec()).await?;
    for key in both {
        let revoked = revocations::read(plan, &key).await?;
        if revoked.is_some_and(|revoked| kept.used_at <= revoked.at) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts the family into its place and into the indexes that follow its times and tokens; of its access tokens the last
/// `new` ones are not there yet.
fn keep(plan: &mut Plan<'_>, kept: &FamilyRecord, new: usize) -> Result<(), StoreError> {
    let (names, id) = (plan.names(), kept.id());
    plan.set(names.family(id), records::write(kept, WHAT)?, Some(kept.expires_at));
    let tokens = kept.access.iter().rev().take(new).map(|(jti, until)| (jti, *until));
    for (jti, until) in tokens.chain([(&kept.refresh, kept.expires_at)]) {
        plan.set(names.family_token(jti), id.to_owned(), Some(until));
    }
    plan.then(["ZADD", &names.families(), &kept.expires_at.micros().to_string(), id]);
    plan.then(["ZADD", &names.families_of_subject(kept.subject()), &kept.used_at.micros().to_string(), id]);
    Ok(())
}

/// The members of an index, their records read in one go.
async fn members(plan: &mut Plan<'_>, index: &str) -> Result<Vec<String>, StoreError> {
    let ids: Vec<String> = plan.db().ask(redis::cmd("ZRANGE").arg(index).arg(0).arg(-1)).await?;
    plan.look_at(ids.iter().map(|id| plan.names().family(id)).collect()).await?;
    Ok(ids)
}

/// The family of that id, as it will be.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn read(plan: &mut Plan<'_>, id: &str) -> Result<Option<FamilyRecord>, StoreError> {
    let text = plan.get(&plan.names().family(id)).await?;
    text.map(|text| records::read(&text, WHAT)).transpose()
}

/// Takes a family out of its place and every index.
pub(super) fn drop_family(plan: &mut Plan<'_>, kept: &FamilyRecord) {
    let (names, id) = (plan.names(), kept.id());
    plan.delete(names.family(id));
    for jti in kept.access.iter().map(|(jti, _)| jti).chain([&kept.refresh]) {
        plan.delete(names.family_token(jti));
    }
    plan.then(["ZREM", &names.families(), id]);
    plan.then(["ZREM", &names.families_of_subject(kept.subject()), id]);
    plan.then(["ZREM", &names.families_of_client(kept.client()), id]);
}

async fn forget(mut plan: Plan<'_>, now: Timestamp) -> Result<(Plan<'_>, Swept), StoreError> {
    let index = plan.names().families();
    let ids = plan.db().due(&index, now, SWEPT_AT_ONCE).await?;
    let mut dropped = 0;
    plan.look_at(ids.iter().map(|id| plan.names().family(id)).collect()).await?;
    for id in &ids {
        match read(&mut plan, id).await {
            // The index was read first: one that was renewed in between goes on, and is put where it belongs.
            Ok(Some(kept)) if kept.expires_at > now => {
                plan.then(["ZADD", &index, &kept.expires_at.micros().to_string(), id]);
            }
            Ok(Some(kept)) => {
                drop_family(&mut plan, &kept);
                dropped += 1;
            }
            Ok(None) => plan.then(["ZREM", &index, id]),
            // It is named by its end: nobody could use it any more, whatever it was.
            Err(StoreError::Corrupt(what)) => {
                plan.drop_unreadable(plan.names().family(id), what, (&index, id));
                dropped += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((plan, Swept { found: ids.len(), dropped }))
}
