//! What a credential is worth at present: what it claims, cut down to what its account still has.

use super::{Grant, Roles};
use crate::domain::PermissionSet;

/// An account, as far as it decides anything. Accounts that are alike share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    /// Its roles, whether or not this server knows them.
    pub roles: Box<[Box<str>]>,
    /// Whether it may be used.
    pub active: bool,
}

/// The account behind a credential may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the account is disabled")]
pub struct Disabled;

/// What a subject may do at present with a credential of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The claimed roles that count, in the credential's order, each once.
    pub roles: Vec<Box<str>>,
    /// Everything that the credential may do now.
    pub permissions: PermissionSet,
    /// Everything that the subject could be given: a permission in here and not in the others takes another
    /// credential, one outside takes another role.
    pub reach: PermissionSet,
    /// Claimed roles and permissions that this server does not know; they give nothing.
    pub unknown: Vec<Box<str>>,
}

/// What a credential that claims `roles` and single `permissions` may do while its subject has `account`.
///
/// Without an account the subject is a service, and the claim counts as it is. With one, a role counts only
/// if the account has it now, and a single permission only if the account's present roles give it. Tokens
/// and API keys both ask here, so neither can be worth more than its account.
///
/// # Errors
/// [`Disabled`].
pub fn standing<S: AsRef<str>>(
    known: &Roles,
    account: Option<&Account>,
    (roles, permissions): (&[S], &[S]),
) -> Result<Standing, Disabled> {
    let Some(account) = account else {
        let Grant { roles, permissions, unknown } = known.grant(roles, permissions);
        return Ok(Standing { roles, permissions, reach: permissions, unknown });
    };
    if !account.active {
        return Err(Disabled);
    }
    let reach = known.grant(&account.roles, &[]).permissions;
    let claimed = known.grant(roles, &[]);
    let held: Vec<Box<str>> = claimed.roles.into_iter().filter(|role| account.roles.contains(role)).collect();
    let single = known.grant(&[], permissions);
    Ok(Standing {
        permissions: known.grant(&held, &[]).permissions.union(single.permissions.intersection(reach)),
        roles: held,
        reach,
        unknown: [claimed.unknown, single.unknown].concat(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{domain::Catalogue, policy::RoleRule};

    fn known() -> Roles {
        let rule = |permissions: &[&str], inherits: &[&str]| RoleRule {
            permissions: permissions.iter().map(|&name| name.into()).collect(),
            inherits: inherits.iter().map(|&name| name.into()).collect(),
        };
        let rules = BTreeMap::from([
            ("guest".into(), rule(&["weather:read"], &[])),
            ("user".into(), rule(&["files:read"], &["guest"])),
            ("admin".into(), rule(&["*"], &[])),
        ]);
        Roles::new(Catalogue::new::<&str>(&[]).unwrap(), rules).unwrap()
    }

    fn account(roles: &[&str]) -> Account {
        Account { roles: roles.iter().map(|&role| role.into()).collect(), active: true }
    }

    fn names(set: PermissionSet) -> Vec<String> {
        known().catalogue().names(set).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn without_an_account_the_claim_counts_as_it_is() {
        let seen = standing(&known(), None, (&["user", "root"], &["files:write", "x:y"])).unwrap();
        assert_eq!(seen.roles, [Box::<str>::from("user")]);
        assert_eq!(names(seen.permissions), ["files:read", "files:write", "weather:read"]);
        assert_eq!(seen.reach, seen.permissions);
        assert_eq!(seen.unknown, ["root", "x:y"].map(Box::<str>::from));
    }

    #[test]
    fn with_an_account_a_claim_counts_only_as_far_as_the_account_goes() {
        let user = account(&["user"]);
        let seen =
            standing(&known(), Some(&user), (&["admin", "user"], &["weather:read", "files:write"])).unwrap();
        assert_eq!(seen.roles, [Box::<str>::from("user")]);
        assert_eq!(names(seen.permissions), ["files:read", "weather:read"]);

        let narrow = standing(&known(), Some(&user), (&["admin"], &["weather:read", "files:write"])).unwrap();
        assert!(narrow.roles.is_empty());
        assert_eq!(names(narrow.permissions), ["weather:read"]);
        assert_eq!(names(narrow.reach), ["files:read", "weather:read"], "more scope would help");
    }

    #[test]
    fn an_account_gives_a_narrow_claim_nothing_more() {
        let seen = standing(&known(), Some(&account(&["admin"])), (&[], &["weather:read"])).unwrap();
        assert_eq!(names(seen.permissions), ["weather:read"]);
        assert_eq!(seen.reach, known().permissions_of("admin").unwrap());
    }

    #[test]
    fn a_disabled_account_is_worth_nothing_whatever_is_claimed() {
        let disabled = Account { active: false, ..account(&["admin"]) };
        assert_eq!(standing(&known(), Some(&disabled), (&["admin"], &[])), Err(Disabled));
        assert_eq!(standing::<&str>(&known(), Some(&disabled), (&[], &[])), Err(Disabled));
    }

    #[test]
    fn an_account_without_roles_is_not_the_same_as_no_account() {
        let seen = standing(&known(), Some(&account(&[])), (&["admin"], &["files:read"])).unwrap();
        assert!(seen.permissions.is_empty() && seen.reach.is_empty() && seen.roles.is_empty());
    }
}
