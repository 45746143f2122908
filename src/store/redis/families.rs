//! The port [`Families`] on Redis.

use base64::{Engine, engine::general_purpose::STANDARD};
use deadpool_redis::redis;

use super::{
    Redis,
    db::{SWEPT_AT_ONCE, Swept},
    names::Names,
    plan::Plan,
    records::{self, FamilyRecord},
    revocations,
};
use crate::{
    domain::Timestamp,
    store::{
        Families, Family, FamilyAccess, FamilyOf, MOST_FAMILIES, MadeRoom, Revocation, RevocationTarget,
        Rotated, Rotation, StoreError, StoreFuture, families::revocation,
    },
};

/// What a record that does not read is.
const WHAT: &str = "a family";

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
                let ended = match id {
                    Some(id) => end(&mut plan, &id, at).await?,
                    None => Vec::new(),
                };
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
    let of_client = plan.names().families_of_client(&family.client);
    for index in [&of_subject, &of_client] {
        // Whoever ends all of them must see this one, or be seen by it.
        let version = Names::version_of(index);
        plan.then(["INCR", &version]);
    }
    keep(&mut plan, &FamilyRecord::new(family, access, at))?;
    plan.then(["ZADD", &of_client, "0", &family.id]);
    Ok((plan, room))
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
        match read(plan, &id).await? {
            Some(kept) if kept.expires_at > at => others.push((kept.used_at, kept.expires_at, id)),
            Some(_) => {}
            None => plan.then(["ZREM", of_subject, &id]),
        }
    }
    others.sort_unstable_by(|one, other| other.cmp(one));
    let mut room = MadeRoom::default();
    for (_, _, id) in others.into_iter().filter(|(_, _, id)| *id != new.id).skip(MOST_FAMILIES - 1) {
        room.revocations.extend(end(plan, &id, at).await?);
        room.ended.push(id);
    }
    Ok(room)
}

async fn rotate<'a>(mut plan: Plan<'a>, rotation: &Rotation) -> Result<(Plan<'a>, Rotated), StoreError> {
    let Some(mut kept) = read(&mut plan, &rotation.family).await? else { return Ok((plan, Rotated::Gone)) };
    if kept.expires_at <= rotation.at {
        return Ok((plan, Rotated::Gone));
    }
    let graced = rotation.graced_from();
    if kept.refresh != rotation.shown {
        let again = kept.used.iter().find(|(shown, at, _)| *shown == rotation.shown && *at >= graced);
        if let Some((_, _, sealed)) = again {
            let sealed = STANDARD.decode(sealed).map_err(|_| StoreError::Corrupt(WHAT))?;
            return Ok((plan, Rotated::Again(sealed)));
        }
        let revocations = end(&mut plan, &rotation.family, rotation.at).await?;
        return Ok((plan, Rotated::Reused(revocations)));
    }
    kept.used.retain(|(_, at, _)| *at >= graced);
    kept.used.push((rotation.shown.clone(), rotation.at, STANDARD.encode(&rotation.sealed)));
    let over = kept.access.extract_if(.., |(_, until)| *until <= rotation.at);
    let over: Vec<String> = over.map(|(jti, _)| jti).chain([rotation.shown.clone()]).collect();
    for jti in over {
        plan.delete(plan.names().family_token(&jti));
    }
    kept.access.push((rotation.access.jti.clone(), rotation.access.until));
    kept.refresh.clone_from(&rotation.successor);
    kept.expires_at = rotation.expires_at;
    kept.used_at = rotation.at;
    keep(&mut plan, &kept)?;
    Ok((plan, Rotated::Done))
}

/// Puts the family into its place and into the indexes that follow its times and tokens.
fn keep(plan: &mut Plan<'_>, kept: &FamilyRecord) -> Result<(), StoreError> {
    let (names, id) = (plan.names(), kept.id());
    plan.set(names.family(id), records::write(kept, WHAT)?, Some(kept.expires_at));
    let tokens =
        kept.access.iter().map(|(jti, until)| (jti, *until)).chain([(&kept.refresh, kept.expires_at)]);
    for (jti, until) in tokens {
        plan.set(names.family_token(jti), id.to_owned(), Some(until));
    }
    plan.then(["ZADD", &names.families(), &kept.expires_at.micros().to_string(), id]);
    plan.then(["ZADD", &names.families_of_subject(kept.subject()), &kept.used_at.micros().to_string(), id]);
    Ok(())
}

/// Ends the families of a subject or a client that is revoked, or the one whose refresh token is.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn end_all_of(plan: &mut Plan<'_>, revoked: &Revocation) -> Result<(), StoreError> {
    let names = plan.names();
    let ids = match &revoked.target {
        RevocationTarget::Jti(jti) => {
            let of_token = plan.get(&names.family_token(jti)).await?;
            let mut ids = vec![jti.clone()];
            if let Some(id) = of_token
                && read(plan, &id).await?.is_some_and(|kept| kept.refresh == *jti)
            {
                ids.push(id);
            }
            ids
        }
        RevocationTarget::Subject(subject) => all_in(plan, &names.families_of_subject(subject)).await?,
        RevocationTarget::Client(client) => all_in(plan, &names.families_of_client(client)).await?,
    };
    for id in ids {
        end(plan, &id, revoked.at).await?;
    }
    Ok(())
}

/// The members of an index; one that comes meanwhile has the plan made anew.
async fn all_in(plan: &mut Plan<'_>, index: &str) -> Result<Vec<String>, StoreError> {
    plan.get(&Names::version_of(index)).await?;
    members(plan, index).await
}

/// The members of an index, their records read in one go.
async fn members(plan: &mut Plan<'_>, index: &str) -> Result<Vec<String>, StoreError> {
    let ids: Vec<String> = plan.db().ask(redis::cmd("ZRANGE").arg(index).arg(0).arg(-1)).await?;
    plan.look_at(ids.iter().map(|id| plan.names().family(id)).collect()).await?;
    Ok(ids)
}

async fn read(plan: &mut Plan<'_>, id: &str) -> Result<Option<FamilyRecord>, StoreError> {
    let text = plan.get(&plan.names().family(id)).await?;
    text.map(|text| records::read(&text, WHAT)).transpose()
}

/// Ends the family of that id, if there is one, and revokes its access tokens.
async fn end(plan: &mut Plan<'_>, id: &str, at: Timestamp) -> Result<Vec<Revocation>, StoreError> {
    let Some(kept) = read(plan, id).await? else { return Ok(Vec::new()) };
    drop_family(plan, &kept);
    let live = kept.access.into_iter().filter(|(_, until)| *until > at);
    let mut ended: Vec<_> = live.map(|(jti, until)| revocation(FamilyAccess { jti, until }, at)).collect();
    ended.sort();
    for one in &ended {
        revocations::revoke(plan, one).await?;
    }
    Ok(ended)
}

fn drop_family(plan: &mut Plan<'_>, kept: &FamilyRecord) {
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
        match read(&mut plan, id).await? {
            // The index was read first: one that was renewed in between goes on, and is put where it belongs.
            Some(kept) if kept.expires_at > now => {
                plan.then(["ZADD", &index, &kept.expires_at.micros().to_string(), id]);
            }
            Some(kept) => {
                drop_family(&mut plan, &kept);
                dropped += 1;
            }
            None => plan.then(["ZREM", &index, id]),
        }
    }
    Ok((plan, Swept { found: ids.len(), dropped }))
}
