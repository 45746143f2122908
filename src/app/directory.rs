//! The store's accounts, as `list_users` shows them.

use std::sync::Arc;

use crate::{
    error::Coded,
    policy::Roles,
    store::{self, StoreError, Users},
    tools::{
        LocalFuture, ToolError,
        list_users::{Directory, DirectoryPage, User},
    },
};

/// Accounts of the store, with the roles of the settings.
pub(super) struct StoreDirectory {
    users: Arc<dyn Users>,
    roles: Roles,
    metrics: Arc<Metrics>,
}

impl StoreDirectory {
    pub(super) fn new(users: Arc<dyn Users>, roles: Roles, metrics: Arc<Metrics>) -> Self {
        Self { users, roles, metrics }
    }

    /// The largest of `roles`: the one that gives most, and of equals the first by name.
    fn largest(&self, roles: &[String]) -> Option<String> {
        let size =
            |role: &str| self.roles.permissions_of(role).map(|set| self.roles.catalogue().names(set).len());
        let mut known: Vec<_> = roles.iter().filter_map(|role| Some((size(role)?, role))).collect();
        known.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        known.first().map(|(_, role)| (*role).clone())
    }

    fn shown(&self, user: store::User) -> User {
        User {
            id: user.id.to_string(),
            username: user.username.as_str().to_owned(),
            role: self.largest(&user.roles),
            roles: user.roles,
            active: user.active,
            last_login: user.last_login.map(|at| at.to_string()),
        }
    }
}

impl Directory for StoreDirectory {
    fn page(&self, page: u64, size: u64) -> LocalFuture<'_, Result<DirectoryPage, ToolError>> {
        Box::pin(async move {
            let (users, total) = self.users.page(page, size).await.map_err(unavailable)?;
            Ok(DirectoryPage { users: users.into_iter().map(|user| self.shown(user)).collect(), total })
        })
    }
}

fn unavailable(error: StoreError) -> ToolError {
    tracing::error!(%error, store.op = "users.page", "store error");
    ToolError::Unavailable { code: error.code(), retry_after: error.retry_after().unwrap_or_default() }
}
