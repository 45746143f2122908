//! The port [`Users`] on Redis.

use deadpool_redis::redis;

use super::{
    Redis,
    db::Db,
    family_ends::{self, Ending},
    plan::Plan,
    records::{self, UserRecord},
    revocations,
};
use crate::{
    domain::{Subject, Timestamp},
    store::{
        ChangeKind, StoreError, StoreFuture, User, UserChange, Users,
        users::{self, AN_ACCOUNT as WHAT, administers},
    },
};

impl Users for Redis {
    fn find<'a>(&'a self, username: &'a Subject) -> StoreFuture<'a, Option<User>> {
        let username = username.clone();
        self.ask(async move |db| {
            let found = proof(&db, &username).await?.map(|(user, _)| user);
            if found.is_none() && is_named(&db, &username).await? {
                return Err(StoreError::Corrupt(WHAT));
            }
            Ok(found)
        })
    }

    fn page(&self, page: u64, size: u64) -> StoreFuture<'_, (Vec<User>, u64)> {
        let (skipped, shown) = users::window(page, size);
        self.ask(async move |db| {
            let mut questions = redis::pipe();
            let last = skipped.saturating_add(shown).saturating_sub(1);
            questions.cmd("ZRANGE").arg(db.names.users()).arg(index(skipped)).arg(index(last));
            questions.cmd("ZCARD").arg(db.names.users());
            let (names, all): (Vec<String>, u64) = db.together(&questions).await?;
            Ok((read_all(&db, &names).await?, all))
        })
    }

    fn after<'a>(&'a self, last: Option<&'a Subject>) -> StoreFuture<'a, Vec<User>> {
        let from = last.map_or_else(|| "-".to_owned(), |last| format!("({}", last.as_str()));
        self.ask(async move |db| {
            let names = page_after(&db, &from).await?;
            read_all(&db, &names).await
        })
    }

    fn put<'a>(&'a self, user: &'a User) -> StoreFuture<'a, ()> {
        let user = user.clone();
        self.ask(async move |db| {
            db.settle(async |mut plan| {
                // The password stays: replacing an account's data must not end it.
                let hash = read(&mut plan, &user.username).await?.and_then(|kept| kept.hash);
                put(&mut plan, &user, hash).await?;
                Ok((plan, ()))
            })
            .await
        })
    }

    fn add<'a>(&'a self, user: &'a User, hash: &'a str, alone: bool) -> StoreFuture<'a, bool> {
        let (user, hash) = (user.clone(), hash.to_owned());
        self.ask(async move |db| db.settle(async |plan| add(plan, &user, &hash, alone).await).await)
    }

    fn change<'a>(
        &'a self,
        username: &'a Subject,
        change: &'a UserChange,
        administrators: &'a [String],
    ) -> StoreFuture<'a, ()> {
        let (username, wanted, administrators) = (username.clone(), change.clone(), administrators.to_vec());
        self.ask(async move |db| {
            let change = async |plan| self::change(plan, &username, &wanted, &administrators).await;
            let ending = db.settle(change).await?;
            // What was issued before the change is taken back by now, however long this takes.
            family_ends::end_in_steps(&db, &ending).await
        })
    }

    fn proof<'a>(&'a self, username: &'a Subject) -> StoreFuture<'a, Option<(User, Option<String>)>> {
        let username = username.clone();
        self.ask(async move |db| proof(&db, &username).await)
    }

    fn note_login<'a>(
        &'a self,
        username: &'a Subject,
        hash: &'a str,
        at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        let (username, hash) = (username.clone(), hash.to_owned());
        self.ask(async move |db| {
            db.settle(async |mut plan| {
                let Some(kept) = read(&mut plan, &username).await? else { return Ok((plan, false)) };
                let (user, known) = kept.parts();
                if !user.active || known.as_deref() != Some(&hash) {
                    return Ok((plan, false));
                }
                let user = User { last_login: Some(at), ..user };
                let key = plan.names().user(user.username.as_str());
                plan.set(key, records::write(&UserRecord::new(&user, known), WHAT)?, None);
                Ok((plan, true))
            })
            .await
        })
    }
}

/// A rank as Redis counts.
fn index(rank: u64) -> i64 {
    i64::try_from(rank).unwrap_or(i64::MAX)
}

/// The names that come after `from`, at most a page of them.
async fn page_after(db: &Db, from: &str) -> Result<Vec<String>, StoreError> {
    let mut question = redis::cmd("ZRANGEBYLEX");
    question.arg(db.names.users()).arg(from).arg("+").arg("LIMIT").arg(0).arg(users::PAGE_SIZE_MAX);
    db.ask(&question).await
}

/// The accounts of these names. One that is gone or does not read keeps nobody else out: it is as one that is disabled.
async fn read_all(db: &Db, names: &[String]) -> Result<Vec<User>, StoreError> {
    let keys: Vec<String> = names.iter().map(|name| db.names.user(name)).collect();
    let texts = db.get_all(&keys).await?;
    let users = names.iter().zip(texts).filter_map(|(name, text)| {
        let kept = text.and_then(|text| records::read::<UserRecord>(&text, WHAT).ok());
        kept.map(|kept| kept.parts().0).or_else(|| {
            db.unreadable(WHAT);
            users::disabled(name)
        })
    });
    Ok(users.collect())
}

/// Whether there is an account of that name, whether or not its record is there.
async fn is_named(db: &Db, username: &Subject) -> Result<bool, StoreError> {
    let rank: Option<String> =
        db.ask(redis::cmd("ZSCORE").arg(db.names.users()).arg(username.as_str())).await?;
    Ok(rank.is_some())
}

async fn proof(db: &Db, username: &Subject) -> Result<Option<(User, Option<String>)>, StoreError> {
    let text = db.get(&db.names.user(username.as_str())).await?;
    text.map(|text| Ok(records::read::<UserRecord>(&text, WHAT)?.parts())).transpose()
}

async fn read(plan: &mut Plan<'_>, username: &Subject) -> Result<Option<UserRecord>, StoreError> {
    let text = plan.get(&plan.names().user(username.as_str())).await?;
    text.map(|text| records::read(&text, WHAT)).transpose()
}

/// Puts the account into its place and tells of it.
async fn put(plan: &mut Plan<'_>, user: &User, hash: Option<String>) -> Result<(), StoreError> {
    place(plan, user, hash).await?;
    plan.tell(&ChangeKind::User(user.username.clone()))
}

/// Puts the account into its place.
///
/// # Errors
/// [`StoreError::Taken`] if the id is another account's.
pub(super) async fn place(plan: &mut Plan<'_>, user: &User, hash: Option<String>) -> Result<(), StoreError> {
    let (names, username) = (plan.names(), user.username.as_str());
    let owner_of_id = names.user_id(user.id);
    if plan.get(&owner_of_id).await?.is_some_and(|owner| owner != username) {
        return Err(StoreError::Taken("the user's id"));
    }
    if let Some(before) = read(plan, &user.username).await?.map(|kept| kept.parts().0)
        && before.id != user.id
    {
        plan.delete(names.user_id(before.id));
    }
    plan.set(owner_of_id, username.to_owned(), None);
    plan.set(names.user(username), records::write(&UserRecord::new(user, hash), WHAT)?, None);
    plan.then(["ZADD", &names.users(), "0", username]);
    plan.then(["INCR", &names.users_version()]);
    Ok(())
}

async fn add<'a>(
    mut plan: Plan<'a>,
    user: &User,
    hash: &str,
    alone: bool,
) -> Result<(Plan<'a>, bool), StoreError> {
    if alone {
        plan.get(&plan.names().users_version()).await?;
        if plan.db().ask::<u64>(redis::cmd("ZCARD").arg(plan.names().users())).await? > 0 {
            return Ok((plan, false));
        }
    }
    if read(&mut plan, &user.username).await?.is_some() {
        return Err(StoreError::Taken("the username"));
    }
    put(&mut plan, user, Some(hash.to_owned())).await?;
    Ok((plan, true))
}

/// Changes the account; the families that are to end once that holds.
async fn change<'a>(
    mut plan: Plan<'a>,
    username: &Subject,
    change: &UserChange,
    administrators: &[String],
) -> Result<(Plan<'a>, Vec<Ending>), StoreError> {
    let kept = read(&mut plan, username).await?.ok_or(StoreError::Missing("such account"))?;
    let (before, known) = kept.parts();
    let mut user = before.clone();
    match change {
        UserChange::Roles(roles) => user.roles.clone_from(roles),
        UserChange::Active(active) => user.active = *active,
        UserChange::Password { hash, revocation } => {
            revocations::revoke(&mut plan, revocation).await?;
            let ending = family_ends::of_subject(&mut plan, revocation).await?;
            put(&mut plan, &user, Some(hash.clone())).await?;
            return Ok((plan, ending));
        }
    }
    let resigns = administers(&before, administrators) && !administers(&user, administrators);
    if resigns && !has_other(&mut plan, username, administrators).await? {
        return Err(StoreError::LastAdministrator);
    }
    put(&mut plan, &user, known).await?;
    Ok((plan, Vec::new()))
}

/// Whether somebody else administers; if any account changes meanwhile, the plan is made anew.
async fn has_other(
    plan: &mut Plan<'_>,
    username: &Subject,
    administrators: &[String],
) -> Result<bool, StoreError> {
    plan.get(&plan.names().users_version()).await?;
    let mut from = "-".to_owned();
    loop {
        let names = page_after(plan.db(), &from).await?;
        let Some(last) = names.last() else { return Ok(false) };
        from = format!("({last}");
        let others = read_all(plan.db(), &names).await?;
        if others.iter().any(|other| other.username != *username && administers(other, administrators)) {
            return Ok(true);
        }
    }
}
