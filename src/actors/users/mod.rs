//! Accounts: who exists, who proves to be one, and what each may do now.
//!
//! The table outlives the actor and is read by workers without asking anybody; the actor alone writes it,
//! when the feed says that an account has changed. The actor also counts tries of passwords; their digests
//! are computed on threads of their own. [`Users`] is the only thing the rest of the house sees.

mod accounts;
mod actor;
mod backoff;
mod error;
mod hashing;
mod known;
mod messages;
mod strangers;
mod tries;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

pub use accounts::account_of;
use actix::ArbiterHandle;
pub use error::UsersError;
pub use hashing::{HashCost, Hasher};
use parking_lot::Mutex;

use self::{
    accounts::{Accounts, Table},
    actor::UsersActor,
    backoff::{Backoff, Try, Who},
    messages::{Attempt, Refresh, Replace, Succeed, TakeBack},
};
use crate::{
    actors::{
        epoch::Epoch,
        feed::{Listener, Reloaded, Upto},
        identity::Id,
        kit::{self, ActorError, Fault, Seat, Vitals},
    },
    domain::{Password, Subject, Timestamp},
    policy::Account,
    store::{Change, ChangeKind, Stores, User, Users as UserStore},
    telemetry::StoreFailures,
};

/// Longest name that is looked at, bytes: no account has a longer one.
const MAX_NAME: usize = 65;

/// State that outlives the actor.
#[derive(Debug)]
struct Shared {
    accounts: Accounts,
    backoff: Mutex<Backoff>,
}

/// A try of a password that was let through. Dropped before it counts, it has not been.
struct Pending<'a> {
    seat: &'a Seat<UsersActor>,
    tried: Try,
    counts: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.counts {
            // If it is not taken note of, somebody waits a little longer than they would have to.
            let _posted = self.seat.post(TakeBack(self.tried));
        }
    }
}

/// An account that has proved its password.
pub struct Proved {
    /// The account.
    pub user: User,
    /// The digest of the password that it proved.
    hash: String,
}

/// A handle to the accounts. Clones share everything.
#[derive(Clone)]
pub struct Users {
    shared: Arc<Shared>,
    seat: Arc<Seat<UsersActor>>,
    store: Arc<dyn UserStore>,
    failures: StoreFailures,
    hasher: Arc<Hasher>,
}

impl Users {
    /// Loads every account and starts the actor on `arbiter`. `from` is the row of the feed that was the
    /// last one before the store is read here; `epoch` moves with every change.
    ///
    /// # Errors
    /// [`UsersError`]: without the accounts nobody knows who is disabled.
    pub async fn start(
        arbiter: &ArbiterHandle,
        (stores, from): (&Stores, u64),
        (hasher, epoch): (Arc<Hasher>, &Epoch),
    ) -> Result<Self, UsersError> {
        let table = Table::load(&*stores.users).await?;
        let accounts = Accounts::new(table, from, epoch.clone());
        let shared = Arc::new(Shared { accounts, backoff: Mutex::default() });
        let (state, store, families, failures) = (
            Arc::clone(&shared),
            Arc::clone(&stores.users),
            Arc::clone(&stores.families),
            stores.failures.clone(),
        );
        let build = move |life| {
            let (shared, store) = (Arc::clone(&state), Arc::clone(&store));
            let (families, failures) = (Arc::clone(&families), failures.clone());
            Ok::<_, UsersError>(UsersActor { shared, store, families, failures, _life: life })
        };
        let seat = kit::keep("users", arbiter, build).await?;
        let (store, failures) = (Arc::clone(&stores.users), stores.failures.clone());
        Ok(Self { shared, seat, store, failures, hasher })
    }

    /// The account of that name, as of now: one look into the table, nobody is asked.
    pub fn find(&self, name: &str) -> Option<Arc<Account>> {
        self.shared.accounts.find(name)
    }

    /// The account that proves itself by `password`, tried from the address `from`; `None` where only a proxy is
    /// known. A name that nobody has costs the same and is told the same; tries for one name must wait longer
    /// and longer, whether or not anybody has it. Where a name has logged in before, it waits for its own
    /// failures alone.
    ///
    /// # Errors
    /// [`UsersError`]; [`UsersError::Wrong`] for everything that is wrong with name, password or account.
    pub async fn login(
        &self,
        name: &str,
        password: Password,
        from: Option<IpAddr>,
    ) -> Result<Proved, UsersError> {
        let name = name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or_default();
        let place = from.map(|ip| Id::of_address(Some(ip)));
        let who = Who { name: Id::of_name(name), place };
        let tried = self.seat.ask(Attempt(who)).await?.map_err(UsersError::Wait)?;
        let mut pending = Pending { seat: &self.seat, tried, counts: false };
        let kept = match name.parse::<Subject>() {
            Ok(subject) => self.failures.note("users.proof", self.store.proof(&subject).await)?,
            Err(_) => None,
        };
        let (user, hash) = kept.map_or((None, None), |(user, hash)| (Some(user), hash));
        let turn = self.hasher.turn().await?;
        // From here on the password is looked at, whoever goes away meanwhile.
        pending.counts = true;
        let proved = self.hasher.is_of(turn, password, hash.clone()).await;
        // A digest that cannot be computed is our fault, and tells nothing.
        pending.counts = proved.is_ok();
        let proved = proved?;
        match user.filter(|user| proved && user.active).zip(hash) {
            Some((user, hash)) => {
                // If it is not taken note of, the next wrong password waits sooner: nothing worse.
                let _posted = self.seat.post(Succeed(tried));
                Ok(Proved { user, hash })
            }
            None => Err(UsersError::Wrong),
        }
    }

    /// Notes in the store that the account has just proved its password, once its tokens are there.
    ///
    /// # Errors
    /// [`UsersError::Wrong`] if it has another password by now: then what was issued for the old one must end.
    pub async fn note_login(&self, proved: &Proved) -> Result<(), UsersError> {
        let noted = self.store.note_login(&proved.user.username, &proved.hash, Timestamp::now()).await;
        let is_still = self.failures.note("users.note_login", noted)?;
        if is_still { Ok(()) } else { Err(UsersError::Wrong) }
    }

    /// What makes digests of passwords here.
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// How old our knowledge of the accounts is.
    pub fn staleness(&self, now: Instant) -> Duration {
        self.shared.accounts.fresh.staleness(now)
    }

    /// Makes the actor panic.
    ///
    /// # Errors
    /// [`ActorError`] if it is down already.
    pub fn fault(&self) -> Result<(), ActorError> {
        self.seat.post(Fault)
    }

    /// What health and metrics read.
    pub fn vitals(&self) -> Vitals {
        self.seat.vitals()
    }
}

impl Listener for Users {
    fn applied(&self) -> u64 {
        self.shared.accounts.fresh.applied()
    }

    fn deliver(&self, changes: &[Change], upto: Upto) -> Result<(), ActorError> {
        let changed = |change: &Change| match &change.what {
            ChangeKind::User(name) => Some(name.clone()),
            _ => None,
        };
        let mut names: Vec<_> = changes.iter().filter_map(changed).collect();
        names.sort_unstable();
        names.dedup();
        self.seat.post(Refresh { names, upto })
    }

    fn reload(&self, upto: Upto) -> Reloaded<'_> {
        Box::pin(async move {
            let table = Table::load(&*self.store).await?;
            if let Err(error) = self.seat.post(Replace { table, upto }) {
                tracing::debug!(%error, "accounts wait for their actor");
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
