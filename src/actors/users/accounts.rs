//! Every account, as far as it decides anything: a table that outlives the actor which writes it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::RwLock;

use crate::{
    actors::{epoch::Epoch, freshness::Freshness},
    domain::Subject,
    policy::Account,
    store::{StoreError, User, Users as UserStore},
};

/// Kinds of account that are kept although no account may be of them any more.
const SPARE_KINDS: usize = 64;

/// What the store says of one name: its account, or that there is none.
pub(super) type Found = (Subject, Option<Account>);

/// The accounts by name. Accounts with the same roles share them, so that a million accounts with names of 25
/// bytes take 104 MB (measured).
#[derive(Debug, Default)]
pub(super) struct Table {
    by_name: HashMap<Box<str>, Arc<Account>>,
    kinds: HashSet<Arc<Account>>,
}

impl Table {
    /// Every account of the store, read page by page.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn load(store: &dyn UserStore) -> Result<Self, StoreError> {
        let mut table = Self::default();
        let mut last: Option<Subject> = None;
        loop {
            let page = store.after(last.as_ref()).await?;
            let Some(end) = page.last() else {
                table.by_name.shrink_to_fit();
                return Ok(table);
            };
            last = Some(end.username.clone());
            for user in &page {
                table.put(user.username.as_str(), Some(account_of(user)));
            }
        }
    }

    /// Puts what the store says of `name`; whether that is anything new.
    fn put(&mut self, name: &str, account: Option<Account>) -> bool {
        let Some(account) = account else { return self.by_name.remove(name).is_some() };
        let kind = self.kind(account);
        match self.by_name.get_mut(name) {
            Some(known) if *known == kind => false,
            Some(known) => {
                *known = kind;
                true
            }
            None => {
                self.by_name.insert(name.into(), kind);
                true
            }
        }
    }

    /// The one shared copy of `account`. Kinds that nobody is of any more go before they add up.
    fn kind(&mut self, account: Account) -> Arc<Account> {
        if let Some(kind) = self.kinds.get(&account) {
            return Arc::clone(kind);
        }
        if self.kinds.len() >= SPARE_KINDS && self.kinds.len().is_power_of_two() {
            self.kinds.retain(|kind| Arc::strong_count(kind) > 1);
        }
        let kind = Arc::new(account);
        self.kinds.insert(Arc::clone(&kind));
        kind
    }
}

/// An account of the store, as far as it decides anything.
pub fn account_of(user: &User) -> Account {
    Account { roles: user.roles.iter().map(|role| role.as_str().into()).collect(), active: user.active }
}

/// What stands for an account that does not read: it opens nothing.
pub(super) fn disabled() -> Account {
    Account { roles: Box::default(), active: false }
}

/// The accounts, and how well they are known. Workers read; the actor alone writes.
#[derive(Debug)]
pub(super) struct Accounts {
    table: RwLock<Table>,
    epoch: Epoch,
    pub(super) fresh: Freshness,
}

impl Accounts {
    /// These accounts, as of row `from` of the feed.
    pub(super) fn new(table: Table, from: u64, epoch: Epoch) -> Self {
        Self { table: RwLock::new(table), epoch, fresh: Freshness::new(from) }
    }

    /// The account of that name.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Account>> {
        self.table.read().by_name.get(name).cloned()
    }

    /// Puts what the store says of these names, then moves the epoch if anything is new: in this order, so
    /// that whoever sees the new epoch also finds the new account.
    pub(super) fn put(&self, found: Vec<Found>) {
        let mut table = self.table.write();
        let mut changed = false;
        for (name, account) in found {
            changed |= table.put(name.as_str(), account);
        }
        drop(table);
        if changed {
            self.epoch.advance();
        }
    }

    /// Puts a whole new table in the place of the old one.
    pub(super) fn replace(&self, table: Table) {
        *self.table.write() = table;
        self.epoch.advance();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, roles: &[&str], active: bool) -> Found {
        let account = Account { roles: roles.iter().map(|&role| role.into()).collect(), active };
        (name.parse().unwrap(), Some(account))
    }

    fn accounts() -> Accounts {
        Accounts::new(Table::default(), 0, Epoch::default())
    }

    #[test]
    fn the_epoch_moves_when_an_account_changes_and_only_then() {
        let accounts = accounts();
        let step = |found: Vec<Found>| {
            let before = accounts.epoch.now();
            accounts.put(found);
            accounts.epoch.now() != before
        };
        assert!(step(vec![found("ann", &["user"], true)]));
        assert!(!step(vec![found("ann", &["user"], true)]), "a login changes nothing here");
        assert!(!step(vec![("bob".parse().unwrap(), None)]));
        assert!(step(vec![found("ann", &["user"], false)]));
        assert!(accounts.find("ann").is_some_and(|account| !account.active));
        assert!(step(vec![("ann".parse().unwrap(), None)]));
        assert!(accounts.find("ann").is_none());
    }

    #[test]
    fn accounts_that_are_alike_share_one_and_kinds_without_accounts_go() {
        let accounts = accounts();
        for n in 0..1_000 {
            accounts.put(vec![found(&format!("u{n}"), &["user"], true)]);
        }
        assert!(Arc::ptr_eq(&accounts.find("u0").unwrap(), &accounts.find("u999").unwrap()));
        for n in 0..10_000 {
            accounts.put(vec![found("u0", &[&format!("role{n}")], true)]);
        }
        assert!(accounts.table.read().kinds.len() <= SPARE_KINDS + 1);
    }

    #[test]
    fn a_name_is_compared_byte_by_byte() {
        let accounts = accounts();
        accounts.put(vec![found("Ann", &["user"], true)]);
        assert!(accounts.find("ann").is_none() && accounts.find("Ann").is_some());
    }
}
