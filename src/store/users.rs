//! Accounts: who exists, which roles they have, whether they may come in.

use uuid::Uuid;

use super::{Revocation, StoreFuture};
use crate::domain::{Subject, Timestamp};

/// What a record that does not read is.
pub(crate) const AN_ACCOUNT: &str = "an account";

/// Largest page that [`Users::page`] gives.
pub const PAGE_SIZE_MAX: u64 = 1_000;

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Stays the same for the account's life; unique.
    pub id: Uuid,
    /// The name that credentials carry as their subject; unique.
    pub username: Subject,
    /// Names of roles, as given; whether a role exists is for the policy to say.
    pub roles: Vec<String>,
    /// Whether the account may be used.
    pub active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last proved its password; never, if `None`.
    pub last_login: Option<Timestamp>,
}

/// A change to an account. `Debug` is missing on purpose: a digest of a password is in one of them.
#[derive(Clone)]
pub enum UserChange {
    /// These roles from now on.
    Roles(Vec<String>),
    /// Whether it may be used from now on.
    Active(bool),
    /// Another password, which ends everything that was issued before.
    Password {
        /// The password's digest, as a PHC string.
        hash: String,
        /// Takes back what was issued to the account until now.
        revocation: Revocation,
    },
}

/// The accounts.
pub trait Users: Send + Sync {
    /// The account of that name.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): nothing is known of the account; `Corrupt` if there is one that does not read.
    fn find<'a>(&'a self, username: &'a Subject) -> StoreFuture<'a, Option<User>>;

    /// Page number `page` (from 1; 0 is taken as 1) of `size` accounts (1 to [`PAGE_SIZE_MAX`], others
    /// are brought there), by username byte by byte, and how many accounts there are in all. One that does not read
    /// is shown as one that may not be used.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn page(&self, page: u64, size: u64) -> StoreFuture<'_, (Vec<User>, u64)>;

    /// The accounts whose names come after `last`, byte by byte and in that order, at most
    /// [`PAGE_SIZE_MAX`]: the way to read all of them, however many they are. One that does not read is as in
    /// [`page`](Self::page).
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn after<'a>(&'a self, last: Option<&'a Subject>) -> StoreFuture<'a, Vec<User>>;

    /// Adds the account, or replaces the one of the same username, and tells the feed.
    ///
    /// # Errors
    /// [`StoreError::Taken`](super::StoreError::Taken) if the id is another account's; nothing changed.
    fn put<'a>(&'a self, user: &'a User) -> StoreFuture<'a, ()>;

    /// Adds an account with a password's digest, and tells the feed. With `alone` only if there is no
    /// account at all; says whether it was added.
    ///
    /// # Errors
    /// [`StoreError::Taken`](super::StoreError::Taken) if there is an account of that name or id.
    fn add<'a>(&'a self, user: &'a User, hash: &'a str, alone: bool) -> StoreFuture<'a, bool>;

    /// Changes the account of that name, and tells the feed. `administrators` are the roles that make one:
    /// the last active account with any of them keeps both, which is checked in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing) without such an account,
    /// [`StoreError::LastAdministrator`](super::StoreError::LastAdministrator); nothing changed.
    fn change<'a>(
        &'a self,
        username: &'a Subject,
        change: &'a UserChange,
        administrators: &'a [String],
    ) -> StoreFuture<'a, ()>;

    /// The account of that name with its password's digest, if it has a password.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError): nobody can be let in.
    fn proof<'a>(&'a self, username: &'a Subject) -> StoreFuture<'a, Option<(User, Option<String>)>>;

    /// Notes that the account proved the password of this digest; says whether that is still its password.
    /// The feed is not told: nothing changes for anybody.
    ///
    /// # Errors
    /// [`StoreError`](super::StoreError).
    fn note_login<'a>(&'a self, username: &'a Subject, hash: &'a str, at: Timestamp)
    -> StoreFuture<'a, bool>;
}

/// What both backends make of a page's numbers: how many accounts to skip and to show.
pub(super) fn window(page: u64, size: u64) -> (u64, u64) {
    let size = size.clamp(1, PAGE_SIZE_MAX);
    (page.saturating_sub(1).saturating_mul(size), size)
}

/// Whether the account may administer: it is active and has one of these roles.
pub(super) fn administers(user: &User, administrators: &[String]) -> bool {
    user.active && user.roles.iter().any(|role| administrators.contains(role))
}

/// What stands for an account of which nothing is known but this name; none for what can be nobody's.
pub(super) fn disabled(name: &str) -> Option<User> {
    let (id, username, created_at) = (Uuid::nil(), name.parse().ok()?, Timestamp::default());
    Some(User { id, username, roles: Vec::new(), active: false, created_at, last_login: None })
}
