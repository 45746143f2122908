//! Accounts: who exists, and what each may do now.
//!
//! The table outlives the actor and is read by workers without asking anybody; the actor alone writes it,
//! when the feed says that an account has changed. [`Users`] is the only thing the rest of the house sees.

mod accounts;
mod actor;
mod messages;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use accounts::account_of;
use actix::ArbiterHandle;

use self::{
    accounts::{Accounts, Table},
    actor::UsersActor,
    messages::{Refresh, Replace},
};
use crate::{
    actors::{
        epoch::Epoch,
        feed::{Listener, Reloaded},
        kit::{self, ActorError, Fault, Seat, Vitals},
    },
    policy::Account,
    store::{Change, ChangeKind, StoreError, Stores, Users as UserStore},
};

/// State that outlives the actor.
#[derive(Debug)]
struct Shared {
    accounts: Accounts,
}

/// Why the accounts cannot be had at the start.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The actor is down.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A handle to the accounts. Clones share everything.
#[derive(Clone)]
pub struct Users {
    shared: Arc<Shared>,
    seat: Arc<Seat<UsersActor>>,
    store: Arc<dyn UserStore>,
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
        epoch: &Epoch,
    ) -> Result<Self, UsersError> {
        let table = Table::load(&*stores.users).await?;
        let shared = Arc::new(Shared { accounts: Accounts::new(table, from, epoch.clone()) });
        shared.accounts.mark_fresh(from);
        let (state, store, failures) =
            (Arc::clone(&shared), Arc::clone(&stores.users), stores.failures.clone());
        let build = move |life| {
            let (shared, store) = (Arc::clone(&state), Arc::clone(&store));
            Ok::<_, UsersError>(UsersActor { shared, store, failures: failures.clone(), _life: life })
        };
        let seat = kit::keep("users", arbiter, build).await?;
        Ok(Self { shared, seat, store: Arc::clone(&stores.users) })
    }

    /// The account of that name, as of now: one look into the table, nobody is asked.
    pub fn find(&self, name: &str) -> Option<Arc<Account>> {
        self.shared.accounts.find(name)
    }

    /// How old our knowledge of the accounts is.
    pub fn staleness(&self, now: Instant) -> Duration {
        self.shared.accounts.staleness(now)
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
        self.shared.accounts.applied()
    }

    fn deliver(&self, changes: &[Change], upto: u64) -> Result<(), ActorError> {
        let changed = |change: &Change| match &change.what {
            ChangeKind::User(name) => Some(name.clone()),
            _ => None,
        };
        let mut names: Vec<_> = changes.iter().filter_map(changed).collect();
        names.sort_unstable();
        names.dedup();
        self.seat.post(Refresh { names, upto })
    }

    fn reload(&self, upto: u64) -> Reloaded<'_> {
        Box::pin(async move {
            let table = Table::load(&*self.store).await?;
            if let Err(error) = self.seat.post(Replace { table, upto }) {
                tracing::debug!(%error, "accounts wait for their actor");
            }
            Ok(())
        })
    }
}
