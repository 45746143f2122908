//! The store's accounts, as `list_users` shows them.

use std::sync::Arc;

use crate::{
    error::Coded,
    policy::Roles,
    store::{self, StoreError, Stores, Users},
    telemetry::StoreFailures,
    tools::{
        LocalFuture, ToolError,
        list_users::{Directory, DirectoryPage, User},
    },
};

/// What logs and metrics call the listing of accounts.
const LIST: &str = "users.page";

/// Accounts of the store, with the roles of the settings.
pub(super) struct StoreDirectory {
    users: Arc<dyn Users>,
    roles: Roles,
    failures: StoreFailures,
}

impl StoreDirectory {
    pub(super) fn new(stores: &Stores, roles: Roles) -> Self {
        Self { users: Arc::clone(&stores.users), failures: stores.failures.clone(), roles }
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
            let listed = self.failures.note(LIST, self.users.page(page, size).await);
            let (users, total) = listed.map_err(unavailable)?;
            Ok(DirectoryPage { users: users.into_iter().map(|user| self.shown(user)).collect(), total })
        })
    }
}

fn unavailable(error: StoreError) -> ToolError {
    tracing::error!(%error, store.op = LIST, "store error");
    ToolError::Unavailable { code: error.code(), retry_after: error.retry_after().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{domain::Catalogue, telemetry::Metrics};

    #[tokio::test]
    async fn a_listing_that_fails_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        let stores = store::open(&format!("sqlite:{}", file.display())).unwrap();
        let roles = Roles::new(Catalogue::new::<&str>(&[]).unwrap(), BTreeMap::new()).unwrap();
        let directory = StoreDirectory::new(&stores, roles);
        assert!(directory.page(1, 100).await.is_ok());
        rusqlite::Connection::open(&file).unwrap().execute_batch("DROP TABLE users").unwrap();
        assert!(matches!(directory.page(1, 100).await, Err(ToolError::Unavailable { .. })));
        let text = Metrics::new(&[], &[], &stores.failures).render();
        assert!(text.contains("portcullis_store_errors_total{op=\"users.page\"} 1\n"), "{text}");
    }
}
