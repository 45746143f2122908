//! `list_users`: the accounts of this server, a page at a time.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Hints, LocalFuture, Spec, Tool, ToolError};

/// Accounts on one page.
pub const PAGE_SIZE: u64 = 100;
/// Last page that may be asked for, far beyond any account, so that no store's arithmetic overflows.
const MAX_PAGE: u64 = 1_000_000_000;

/// Where accounts are listed; the store has them, tests bring their own.
pub trait Directory: Send + Sync {
    /// The accounts of page `page` (1 is the first) of `size` each, ordered by name; none beyond the last.
    ///
    /// # Errors
    /// [`ToolError::Unavailable`] if the store does not answer.
    fn page(&self, page: u64, size: u64) -> LocalFuture<'_, Result<DirectoryPage, ToolError>>;
}

/// One page of accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryPage {
    /// The accounts on it.
    pub users: Vec<User>,
    /// How many accounts there are on all pages together.
    pub total: u64,
}

/// One account. Nothing of its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct User {
    /// Its stable id.
    pub id: String,
    /// What it is called.
    pub username: String,
    /// Of its roles the one with the largest quota; null if it has none.
    pub role: Option<String>,
    /// All its roles.
    pub roles: Vec<String>,
    /// Whether it may be used.
    pub active: bool,
    /// When it last logged in, RFC 3339 in UTC; null if never.
    #[schemars(extend("format" = "date-time"))]
    pub last_login: Option<String>,
}

/// `list_users`.
pub struct ListUsers {
    /// Where accounts are listed.
    pub directory: Arc<dyn Directory>,
}

/// Which page to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageArgs {
    /// Page to show; 1 is the first.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = MAX_PAGE))]
    page: u64,
}

const fn first() -> u64 {
    1
}

/// One page of accounts, ordered by name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing {
    /// The accounts on this page; empty beyond the last one.
    users: Vec<User>,
    /// This page.
    page: u64,
    /// The last page; at least 1.
    pages: u64,
}

impl Tool for ListUsers {
    const SPEC: Spec = Spec {
        name: "list_users",
        title: "List users",
        about: "Lists the user accounts of this server with their roles, 100 a page, ordered by name.",
        needs: "admin:users",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(5),
    };
    type Args = PageArgs;
    type Output = Listing;

    async fn call(&self, args: PageArgs, _: &Call<'_>) -> Result<Listing, ToolError> {
        let DirectoryPage { users, total } = self.directory.page(args.page, PAGE_SIZE).await?;
        Ok(Listing { users, page: args.page, pages: total.div_ceil(PAGE_SIZE).max(1) })
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use serde_json::{Value, json};

    use super::*;
    use crate::{domain::Catalogue, error::Code, policy::permit_for_tests, tools::Registry};

    /// As many accounts as it is told.
    struct Accounts(u64);

    impl Directory for Accounts {
        fn page(&self, page: u64, size: u64) -> LocalFuture<'_, Result<DirectoryPage, ToolError>> {
            let first = (page - 1) * size;
            let users = (first..self.0.min(first + size)).map(|n| User {
                id: n.to_string(),
                username: format!("user{n}"),
                role: (n > 0).then(|| "user".into()),
                roles: if n > 0 { vec!["guest".into(), "user".into()] } else { Vec::new() },
                active: n > 0,
                last_login: (n > 0).then(|| "2026-11-22T21:00:00.000000Z".into()),
            });
            Box::pin(ready(Ok(DirectoryPage { users: users.collect(), total: self.0 })))
        }
    }

    /// A store that does not answer.
    struct Lost;

    impl Directory for Lost {
        fn page(&self, _: u64, _: u64) -> LocalFuture<'_, Result<DirectoryPage, ToolError>> {
            let retry_after = Duration::from_secs(1);
            Box::pin(ready(Err(ToolError::Unavailable { code: Code::StoreUnavailable, retry_after })))
        }
    }

    async fn list(directory: impl Directory + 'static, arguments: Value) -> Result<Value, ToolError> {
        let tool = ListUsers { directory: Arc::new(directory) };
        let registry = Registry::new(vec![Box::new(tool)], &Catalogue::new::<&str>(&[]).unwrap()).unwrap();
        let text = arguments.to_string();
        let tree = crate::protocol::Tree::of_text(&text).unwrap();
        let produced =
            registry.find("list_users").unwrap().run(&tree, &Call::new(&permit_for_tests())).await?;
        Ok(serde_json::from_str(produced.output().unwrap()).unwrap())
    }

    #[tokio::test]
    async fn an_account_is_shown_whole_and_what_it_lacks_is_null() {
        let listing = list(Accounts(2), json!({})).await.unwrap();
        assert_eq!(
            listing,
            json!({
                "users": [
                    { "id": "0", "username": "user0", "role": null, "roles": [], "active": false, "last_login": null },
                    { "id": "1", "username": "user1", "role": "user", "roles": ["guest", "user"], "active": true,
                      "last_login": "2026-11-22T21:00:00.000000Z" }
                ],
                "page": 1,
                "pages": 1
            })
        );
    }

    #[tokio::test]
    async fn a_page_has_a_hundred_accounts_and_the_next_one_the_rest() {
        for (total, page, shown, pages) in
            [(0, 1, 0, 1), (100, 1, 100, 1), (101, 1, 100, 2), (101, 2, 1, 2), (101, 3, 0, 2)]
        {
            let listing = list(Accounts(total), json!({ "page": page })).await.unwrap();
            assert_eq!(listing["users"].as_array().unwrap().len(), shown, "{total} {page}");
            assert_eq!((&listing["page"], &listing["pages"]), (&json!(page), &json!(pages)));
        }
    }

    #[tokio::test]
    async fn a_page_that_cannot_be_is_told_so() {
        for (arguments, text) in [
            (json!({ "page": 0 }), "/page must be at least 1"),
            (json!({ "page": "2" }), "/page must be an integer"),
            (json!({ "page": MAX_PAGE + 1 }), "/page must be at most 1000000000"),
            (json!({ "pages": 1 }), "/pages is not a known property (known: page)"),
        ] {
            let error = list(Accounts(1), arguments).await.unwrap_err();
            assert_eq!(error, ToolError::Arguments(format!("Invalid arguments: {text}")));
        }
        assert!(list(Accounts(1), json!({ "page": MAX_PAGE })).await.is_ok());
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_is_told_so() {
        let error = list(Lost, json!({})).await.unwrap_err();
        assert!(error.to_string().starts_with("temporarily unavailable (store_unavailable)"), "{error}");
    }
}
