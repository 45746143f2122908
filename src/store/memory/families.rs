//! The port [`Families`] in memory.

use std::collections::HashMap;

use super::{Memory, Tables};
use crate::{
    domain::Timestamp,
    store::{
        Families, Family, FamilyAccess, FamilyOf, MOST_FAMILIES, MadeRoom, Revocation, RevocationTarget,
        Rotated, Rotation, StoreError, StoreFuture,
        families::{self, revocation},
        moving::{UsedRefresh, WholeFamily},
    },
};

/// A family with what hangs on it.
struct Kept {
    family: Family,
    /// When it was founded or exchanged last.
    used_at: Timestamp,
    access: Vec<FamilyAccess>,
    /// Refresh tokens that were exchanged a moment ago: when, and for what.
    used: HashMap<String, (Timestamp, Vec<u8>)>,
}

/// The families by id.
#[derive(Default)]
pub(super) struct FamilyTables(HashMap<String, Kept>);

impl FamilyTables {
    /// The ids of those that have not ended.
    pub(super) fn live(&self, now: Timestamp) -> impl Iterator<Item = &String> {
        self.0.iter().filter(move |(_, kept)| kept.family.expires_at > now).map(|(id, _)| id)
    }

    /// All of one.
    pub(super) fn whole(&self, id: &str) -> Option<WholeFamily> {
        let kept = self.0.get(id)?;
        let used = kept.used.iter().map(|(jti, (at, sealed))| UsedRefresh {
            jti: jti.clone(),
            at: *at,
            sealed: sealed.clone(),
        });
        let (family, access) = (kept.family.clone(), kept.access.clone());
        Some(WholeFamily { family, used_at: kept.used_at, access, used: used.collect() }.sorted())
    }

    /// Puts one as it was elsewhere.
    pub(super) fn put(&mut self, whole: WholeFamily) {
        let WholeFamily { family, used_at, access, used } = whole;
        let used = used.into_iter().map(|used| (used.jti, (used.at, used.sealed))).collect();
        self.0.insert(family.id.clone(), Kept { family, used_at, access, used });
    }

    /// Takes one away, and tells nobody.
    pub(super) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }
}

impl Tables {
    fn found(
        &mut self,
        family: &Family,
        access: &FamilyAccess,
        at: Timestamp,
    ) -> Result<MadeRoom, StoreError> {
        if self.families.0.contains_key(&family.id) {
            return Err(StoreError::Taken("the family's id"));
        }
        let kept =
            Kept { family: family.clone(), used_at: at, access: vec![access.clone()], used: HashMap::new() };
        self.families.0.insert(family.id.clone(), kept);
        Ok(self.make_room(family, at))
    }

    /// Ends the families of the same subject that are one too many beside the new one.
    fn make_room(&mut self, new: &Family, at: Timestamp) -> MadeRoom {
        let others = self.families.0.values().filter(|kept| {
            let family = &kept.family;
            family.subject == new.subject && family.id != new.id && family.expires_at > at
        });
        let order = |kept: &Kept| (kept.used_at, kept.family.expires_at, kept.family.id.clone());
        let mut others: Vec<_> = others.map(order).collect();
        others.sort_unstable_by(|one, other| other.cmp(one));
        let ended: Vec<String> = others.drain(..).skip(MOST_FAMILIES - 1).map(|(_, _, id)| id).collect();
        let mut room = MadeRoom::default();
        for id in ended {
            room.revocations.extend(self.end_families(|family| family.id == id, at));
            room.ended.push(id);
        }
        room
    }

    fn rotate(&mut self, rotation: &Rotation) -> Rotated {
        let Some(kept) = self.families.0.get_mut(&rotation.family) else { return Rotated::Gone };
        if kept.family.expires_at <= rotation.at {
            return Rotated::Gone;
        }
        if kept.family.refresh == rotation.shown {
            let graced = rotation.graced_from();
            kept.used.retain(|_, (at, _)| *at >= graced);
            kept.used.insert(rotation.shown.clone(), (rotation.at, rotation.sealed.clone()));
            kept.access.retain(|access| access.until > rotation.at);
            let revoked = families::too_many_beside_a_new(kept.access.clone(), rotation.at);
            let is_revoked = |jti: &String| {
                revoked.iter().any(|one| matches!(&one.target, RevocationTarget::Jti(gone) if gone == jti))
            };
            kept.access.retain(|access| !is_revoked(&access.jti));
            kept.access.push(rotation.access.clone());
            kept.family.refresh.clone_from(&rotation.successor);
            kept.family.expires_at = rotation.expires_at;
            kept.used_at = rotation.at;
            revoked.iter().for_each(|one| self.revoke(one));
            return Rotated::Done;
        }
        match kept.used.get(&rotation.shown) {
            Some((at, sealed)) if *at >= rotation.graced_from() => Rotated::Again(sealed.clone()),
            _ => Rotated::Reused(self.end_families(|kept| kept.id == rotation.family, rotation.at)),
        }
    }

    fn end(&mut self, which: &FamilyOf, at: Timestamp) -> Vec<Revocation> {
        let id = match which {
            FamilyOf::Id(id) => Some(id.clone()),
            FamilyOf::Access(jti) => {
                let holds = |kept: &&Kept| kept.access.iter().any(|access| access.jti == *jti);
                self.families.0.values().find(holds).map(|kept| kept.family.id.clone())
            }
        };
        id.map_or_else(Vec::new, |id| self.end_families(|family| family.id == id, at))
    }

    /// Ends the families of a subject or a client that is revoked.
    pub(super) fn end_families_of(&mut self, target: &RevocationTarget, at: Timestamp) {
        match target {
            RevocationTarget::Jti(id) => {
                self.end_families(|family| family.id == *id || family.refresh == *id, at);
            }
            RevocationTarget::Subject(name) => {
                self.end_families(|family| family.subject.as_str() == name, at);
            }
            RevocationTarget::Client(client) => {
                self.end_families(|family| family.client == *client, at);
            }
        }
    }

    fn end_families(&mut self, ends: impl Fn(&Family) -> bool, at: Timestamp) -> Vec<Revocation> {
        let ended = self.families.0.extract_if(|_, kept| ends(&kept.family));
        let mut revocations: Vec<Revocation> = ended
            .flat_map(|(_, kept)| kept.access)
            .filter(|access| access.until > at)
            .map(|access| revocation(access, at))
            .collect();
        revocations.sort();
        revocations.iter().for_each(|revocation| self.revoke(revocation));
        revocations
    }
}

impl Families for Memory {
    fn found<'a>(
        &'a self,
        family: &'a Family,
        access: &'a FamilyAccess,
        at: Timestamp,
    ) -> StoreFuture<'a, MadeRoom> {
        Box::pin(async move { self.0.lock().found(family, access, at) })
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<Family>> {
        Box::pin(async { Ok(self.0.lock().families.0.get(id).map(|kept| kept.family.clone())) })
    }

    fn rotate<'a>(&'a self, rotation: &'a Rotation) -> StoreFuture<'a, Rotated> {
        Box::pin(async { Ok(self.0.lock().rotate(rotation)) })
    }

    fn end<'a>(&'a self, which: &'a FamilyOf, at: Timestamp) -> StoreFuture<'a, Vec<Revocation>> {
        Box::pin(async move { Ok(self.0.lock().end(which, at)) })
    }

    fn forget_ended_families(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let mut tables = self.0.lock();
            let ended = tables.families.0.extract_if(|_, kept| kept.family.expires_at <= now).count();
            Ok(u64::try_from(ended).unwrap_or(u64::MAX))
        })
    }
}
