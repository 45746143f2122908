//! Refresh families: everything that descends from one login, of which only the newest refresh token counts.

use std::time::Duration;

use super::{Revocation, RevocationTarget, StoreFuture};
use crate::domain::{Subject, Timestamp};

/// Most families that one subject has at a time. People have a login on each of their devices, and a script
/// that logs in for each run leaves one behind each time: without an end to them, whoever knows one password
/// could fill the store.
pub const MOST_FAMILIES: usize = 32;

/// Most access tokens of a family that are good at a time. Each exchange gives out one more, and all of them are revoked
/// with the family: without an end to them, whoever exchanges as fast as he may could make that too much to do at once.
pub const MOST_ACCESS: usize = 32;

/// An access token of a family, and when it needs no revocation any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyAccess {
    /// Its id.
    pub jti: String,
    /// Its end, clocks' differences included.
    pub until: Timestamp,
}

/// What descends from one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Its id, which each of its refresh tokens carries.
    pub id: String,
    /// Whom it speaks for.
    pub subject: Subject,
    /// The client that it was given to.
    pub client: String,
    /// The roles that it was given; what they are worth is asked at each refresh.
    pub roles: Vec<String>,
    /// The single permissions that it was given.
    pub permissions: Vec<String>,
    /// Whether its subject was an account then: if that account goes, so does the family.
    pub has_account: bool,
    /// The id of the one refresh token that counts.
    pub refresh: String,
    /// When that one ends, and the family with it.
    pub expires_at: Timestamp,
}

/// What had to go so that there was room for a new family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeRoom {
    /// The families that have ended.
    pub ended: Vec<String>,
    /// Their access tokens, which are revoked.
    pub revocations: Vec<Revocation>,
}

/// A refresh token is exchanged for its successors.
#[derive(Clone)]
pub struct Rotation {
    /// The family.
    pub family: String,
    /// The id of the refresh token that was shown.
    pub shown: String,
    /// The id of the refresh token that would follow it.
    pub successor: String,
    /// The access token that would go with it.
    pub access: FamilyAccess,
    /// The successors, readable only with the text of the token that was shown.
    pub sealed: Vec<u8>,
    /// When.
    pub at: Timestamp,
    /// For how long after its first use a token is given the same successors again.
    pub grace: Duration,
    /// When the successor ends.
    pub expires_at: Timestamp,
}

impl Rotation {
    /// Uses of tokens before this moment are out of grace.
    pub(super) fn graced_from(&self) -> Timestamp {
        self.at.minus(self.grace)
    }
}

/// What came of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The successors are in force.
    Done,
    /// It was exchanged a moment ago: these are the successors of then, sealed.
    Again(Vec<u8>),
    /// It was used before, so somebody has a copy: the family has ended, and so have these access tokens.
    Reused(Vec<Revocation>),
    /// There is no such family any more.
    Gone,
}

/// Which family is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FamilyOf {
    /// The one with this id.
    Id(String),
    /// The one with this access token.
    Access(String),
}

/// The families.
pub trait Families: Send + Sync {
    /// Adds `family` with its first access token. If its subject has more than [`MOST_FAMILIES`] at `at` then,
    /// those that would be over first, which are those that were not used for longest, end as by
    /// [`end`](Self::end), in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): there is no family, so its tokens must not be given away.
    fn found<'a>(
        &'a self,
        family: &'a Family,
        access: &'a FamilyAccess,
        at: Timestamp,
    ) -> StoreFuture<'a, MadeRoom>;

    /// The family of that id.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<Family>>;

    /// Exchanges a refresh token, in one transaction: of all who show the same one at the same time exactly
    /// one succeeds, and the others get its successors within the grace. Later the family ends, its access
    /// tokens are revoked, and the feed is told, in that transaction too; as it is where the family has more than
    /// [`MOST_ACCESS`] access tokens that are good, of which those that end first are revoked.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): nothing is known of the outcome; asking again is safe.
    fn rotate<'a>(&'a self, rotation: &'a Rotation) -> StoreFuture<'a, Rotated>;

    /// Ends a family, revokes its access tokens and tells the feed; gives the revocations. None if there is
    /// no such family.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn end<'a>(&'a self, which: &'a FamilyOf, at: Timestamp) -> StoreFuture<'a, Vec<Revocation>>;

    /// Forgets families that have ended by themselves; says how many.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn forget_ended_families(&self, now: Timestamp) -> StoreFuture<'_, u64>;
}

/// The revocation of a family's access token.
pub(super) fn revocation(access: FamilyAccess, at: Timestamp) -> Revocation {
    Revocation { target: RevocationTarget::Jti(access.jti), at, until: access.until }
}

/// What has to be revoked of the access tokens that are `live` at `at` for a new one beside them: those that end first.
/// One exchange makes up for some only of what an earlier version of this program has let add up.
pub(super) fn too_many_beside_a_new(mut live: Vec<FamilyAccess>, at: Timestamp) -> Vec<Revocation> {
    let too_many = (live.len() + 1).saturating_sub(MOST_ACCESS).min(MOST_ACCESS);
    live.sort_unstable_by(|one, other| (one.until, &one.jti).cmp(&(other.until, &other.jti)));
    live.truncate(too_many);
    live.into_iter().map(|access| revocation(access, at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_end_first_make_room_for_one_more_and_what_has_added_up_goes_by_and_by() {
        let live = |many: u64| -> Vec<FamilyAccess> {
            let one = |n| FamilyAccess { jti: format!("{n:04}"), until: Timestamp::from_secs(9_000 - n / 2) };
            (0..many).map(one).collect()
        };
        let gone = |many: u64| -> Vec<String> {
            let gone = too_many_beside_a_new(live(many), Timestamp::from_secs(1)).into_iter();
            let jti = |one: Revocation| match one.target {
                RevocationTarget::Jti(jti) => jti,
                other => panic!("{other:?}"),
            };
            gone.map(jti).collect()
        };
        assert!(gone(0).is_empty() && gone(31).is_empty());
        // Two end at the same time: it is the one that was given out first, by its name.
        assert_eq!((gone(32), gone(33)), (vec!["0030".into()], vec!["0032".into(), "0030".into()]));
        assert_eq!(gone(9_000).len(), MOST_ACCESS);
    }
}
