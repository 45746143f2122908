//! The port [`Users`] in memory.

use std::ops::Bound;

use super::{Memory, Tables};
use crate::{
    domain::{Subject, Timestamp},
    store::{
        ChangeKind, StoreError, StoreFuture, User, UserChange, Users,
        users::{self, administers},
    },
};

/// An account with its password's digest.
pub(super) struct Kept {
    /// The account.
    pub(super) user: User,
    /// The digest, as a PHC string.
    pub(super) hash: Option<String>,
}

impl Tables {
    fn put(&mut self, user: &User) -> Result<(), StoreError> {
        if self
            .users
            .values()
            .any(|Kept { user: other, .. }| other.id == user.id && other.username != user.username)
        {
            return Err(StoreError::Taken("the user's id"));
        }
        // The password stays: replacing an account's data must not end it.
        let hash = self.users.remove(&user.username).and_then(|kept| kept.hash);
        self.users.insert(user.username.clone(), Kept { user: user.clone(), hash });
        self.tell(ChangeKind::User(user.username.clone()), Timestamp::now());
        Ok(())
    }

    fn add(&mut self, user: &User, hash: &str, alone: bool) -> Result<bool, StoreError> {
        if alone && !self.users.is_empty() {
            return Ok(false);
        }
        if self.users.contains_key(&user.username) {
            return Err(StoreError::Taken("the username"));
        }
        self.put(user)?;
        if let Some(kept) = self.users.get_mut(&user.username) {
            kept.hash = Some(hash.to_owned());
        }
        Ok(true)
    }

    fn change(
        &mut self,
        username: &Subject,
        change: &UserChange,
        administrators: &[String],
    ) -> Result<(), StoreError> {
        let kept = self.users.get_mut(username).ok_or(StoreError::Missing("such account"))?;
        let mut user = kept.user.clone();
        match change {
            UserChange::Roles(roles) => user.roles.clone_from(roles),
            UserChange::Active(active) => user.active = *active,
            UserChange::Password { hash, revocation } => {
                kept.hash = Some(hash.clone());
                self.revoke(revocation);
                self.end_families_of(&revocation.target, revocation.at);
                return self.put(&user);
            }
        }
        let resigns = administers(&kept.user, administrators) && !administers(&user, administrators);
        let others =
            |(name, other): (&Subject, &Kept)| name != username && administers(&other.user, administrators);
        if resigns && !self.users.iter().any(others) {
            return Err(StoreError::LastAdministrator);
        }
        self.put(&user)
    }
}

impl Users for Memory {
    fn find<'a>(&'a self, username: &'a Subject) -> StoreFuture<'a, Option<User>> {
        Box::pin(async { Ok(self.0.lock().users.get(username).map(|kept| kept.user.clone())) })
    }

    fn page(&self, page: u64, size: u64) -> StoreFuture<'_, (Vec<User>, u64)> {
        let (skipped, shown) = users::window(page, size);
        let at_most = |count| usize::try_from(count).unwrap_or(usize::MAX);
        Box::pin(async move {
            let tables = self.0.lock();
            let all = tables.users.values().skip(at_most(skipped)).take(at_most(shown));
            let shown = all.map(|kept| kept.user.clone()).collect();
            Ok((shown, u64::try_from(tables.users.len()).unwrap_or(u64::MAX)))
        })
    }

    fn after<'a>(&'a self, last: Option<&'a Subject>) -> StoreFuture<'a, Vec<User>> {
        let most = usize::try_from(users::PAGE_SIZE_MAX).unwrap_or(usize::MAX);
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        Box::pin(async move {
            let tables = self.0.lock();
            let later = tables.users.range::<Subject, _>((from, Bound::Unbounded));
            Ok(later.take(most).map(|(_, kept)| kept.user.clone()).collect())
        })
    }

    fn put<'a>(&'a self, user: &'a User) -> StoreFuture<'a, ()> {
        Box::pin(async { self.0.lock().put(user) })
    }

    fn add<'a>(&'a self, user: &'a User, hash: &'a str, alone: bool) -> StoreFuture<'a, bool> {
        Box::pin(async move { self.0.lock().add(user, hash, alone) })
    }

    fn change<'a>(
        &'a self,
        username: &'a Subject,
        change: &'a UserChange,
        administrators: &'a [String],
    ) -> StoreFuture<'a, ()> {
        Box::pin(async { self.0.lock().change(username, change, administrators) })
    }

    fn proof<'a>(&'a self, username: &'a Subject) -> StoreFuture<'a, Option<(User, Option<String>)>> {
        Box::pin(async {
            let tables = self.0.lock();
            Ok(tables.users.get(username).map(|kept| (kept.user.clone(), kept.hash.clone())))
        })
    }

    fn note_login<'a>(
        &'a self,
        username: &'a Subject,
        hash: &'a str,
        at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut tables = self.0.lock();
            let holds = |kept: &&mut Kept| kept.user.active && kept.hash.as_deref() == Some(hash);
            let known = tables.users.get_mut(username).filter(holds);
            Ok(known.map(|kept| kept.user.last_login = Some(at)).is_some())
        })
    }
}
