//! Roles and what they give, worked out once.

use std::collections::{BTreeMap, HashMap};

use crate::domain::{Catalogue, Permission, PermissionSet};

/// A role as an operator writes it: patterns of permissions, and roles that it includes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleRule {
    /// Permission names, `resource:*` or `*`.
    pub permissions: Vec<String>,
    /// Roles whose permissions it has too.
    pub inherits: Vec<String>,
}

/// Every role with its effective permissions, and the catalogue that gives them names.
#[derive(Debug, Clone)]
pub struct Roles {
    catalogue: Catalogue,
    rules: BTreeMap<Box<str>, RoleRule>,
    effective: HashMap<Box<str>, PermissionSet>,
}

/// What a credential's roles and single permissions come to on this server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The roles that this server knows, in the credential's order, each once.
    pub roles: Vec<Box<str>>,
    /// Everything they and the single permissions give.
    pub permissions: PermissionSet,
    /// Roles and permissions that this server does not know; they give nothing.
    pub unknown: Vec<Box<str>>,
}

impl Roles {
    /// Works out what each role gives.
    ///
    /// # Errors
    /// [`InvalidRoles`] at the first unknown role, unknown permission or circle of inheritance.
    pub fn new(catalogue: Catalogue, rules: BTreeMap<Box<str>, RoleRule>) -> Result<Self, InvalidRoles> {
        let mut effective = HashMap::new();
        for name in rules.keys() {
            let set = resolve(&catalogue, &rules, name, &mut Vec::new())?;
            effective.insert(name.clone(), set);
        }
        Ok(Self { catalogue, rules, effective })
    }

    /// The permissions that exist here.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The role names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.keys().map(Box::as_ref)
    }

    /// Everything that `role` gives; `None` for a role that this server does not know.
    pub fn permissions_of(&self, role: &str) -> Option<PermissionSet> {
        self.effective.get(role).copied()
    }

    /// What `roles` and single `permissions` of a credential come to. Unknown names give nothing.
    pub fn grant<S: AsRef<str>>(&self, roles: &[S], permissions: &[S]) -> Grant {
        let mut grant = Grant::default();
        for role in roles.iter().map(AsRef::as_ref) {
            match self.permissions_of(role) {
                Some(set) if !grant.roles.iter().any(|known| **known == *role) => {
                    grant.permissions = grant.permissions.union(set);
                    grant.roles.push(role.into());
                }
                Some(_) => {}
                None => grant.unknown.push(role.into()),
            }
        }
        for name in permissions.iter().map(AsRef::as_ref) {
            match self.catalogue.find(name) {
                Some(permission) => grant.permissions = grant.permissions.with(permission),
                None => grant.unknown.push(name.into()),
            }
        }
        grant
    }

    /// How `role` comes to have `permission`: `role admin → *` or `role user → role guest → weather:read`.
    pub fn rule_for(&self, role: &str, permission: Permission) -> Option<String> {
        let rule = self.rules.get(role)?;
        let own =
            rule.permissions.iter().find(|pattern| self.catalogue.matching(pattern).contains(permission));
        if let Some(pattern) = own {
            return Some(format!("role {role} → {pattern}"));
        }
        let inherited = rule.inherits.iter().find_map(|below| self.rule_for(below, permission))?;
        Some(format!("role {role} → {inherited}"))
    }
}

/// What `name` gives, its inherited roles first; `path` is how we came here.
fn resolve<'a>(
    catalogue: &Catalogue,
    rules: &'a BTreeMap<Box<str>, RoleRule>,
    name: &'a str,
    path: &mut Vec<&'a str>,
) -> Result<PermissionSet, InvalidRoles> {
    if path.contains(&name) {
        path.push(name);
        return Err(InvalidRoles::Circle(path.join(" → ")));
    }
    let rule = rules.get(name).ok_or_else(|| InvalidRoles::UnknownRole(name.into()))?;
    path.push(name);
    let mut set = PermissionSet::EMPTY;
    for pattern in &rule.permissions {
        let matched = catalogue.matching(pattern);
        if matched.is_empty() {
            return Err(InvalidRoles::UnknownPermission { role: name.into(), pattern: pattern.clone() });
        }
        set = set.union(matched);
    }
    for below in &rule.inherits {
        set = set.union(resolve(catalogue, rules, below, path)?);
    }
    path.pop();
    Ok(set)
}

/// Roles that cannot be worked out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoles {
    /// A role inherits one that is not declared.
    #[error("role `{0}` is not declared")]
    UnknownRole(String),
    /// A role names a permission that does not exist.
    #[error("role `{role}` names `{pattern}`, which is no permission of this server")]
    UnknownPermission {
        /// The role.
        role: String,
        /// What it names.
        pattern: String,
    },
    /// A role inherits itself, by whatever way.
    #[error("roles inherit in a circle: {0}")]
    Circle(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &[(&str, &[&str], &[&str])]) -> BTreeMap<Box<str>, RoleRule> {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let rule = |p: &[&str], i: &[&str]| RoleRule { permissions: own(p), inherits: own(i) };
        text.iter().map(|(name, p, i)| ((*name).into(), rule(p, i))).collect()
    }

    fn roles(text: &[(&str, &[&str], &[&str])]) -> Result<Roles, InvalidRoles> {
        Roles::new(Catalogue::new::<&str>(&[]).unwrap(), rules(text))
    }

    #[test]
    fn a_role_has_what_the_roles_below_it_have() {
        let roles = roles(&[("guest", &["weather:read"], &[]), ("user", &["files:*"], &["guest"])]).unwrap();
        let set = roles.permissions_of("user").unwrap();
        assert_eq!(
            roles.catalogue().names(set),
            ["files:delete", "files:read", "files:write", "weather:read"]
        );
        let read = roles.catalogue().find("weather:read").unwrap();
        assert_eq!(roles.rule_for("user", read).unwrap(), "role user → role guest → weather:read");
        assert_eq!(roles.rule_for("user", roles.catalogue().find("admin:users").unwrap()), None);
    }

    #[test]
    fn circles_and_unknown_names_are_refused() {
        let circle = roles(&[("a", &[], &["b"]), ("b", &[], &["a"])]).unwrap_err();
        assert_eq!(circle, InvalidRoles::Circle("a → b → a".into()));
        assert!(matches!(roles(&[("a", &["files:raed"], &[])]), Err(InvalidRoles::UnknownPermission { .. })));
        assert!(matches!(roles(&[("a", &[], &["nobody"])]), Err(InvalidRoles::UnknownRole(_))));
    }

    #[test]
    fn a_diamond_is_not_a_circle() {
        let diamond = [
            ("a", &["*"] as &[_], &[] as &[_]),
            ("b", &[], &["a"]),
            ("c", &[], &["a"]),
            ("d", &[], &["b", "c"]),
        ];
        assert!(roles(&diamond).is_ok());
    }

    #[test]
    fn unknown_names_in_a_credential_give_nothing_and_are_told() {
        let roles = roles(&[("guest", &["weather:read"], &[])]).unwrap();
        let grant = roles.grant(&["guest", "root", "guest"], &["files:read", "files:*"]);
        assert_eq!(grant.roles, [Box::<str>::from("guest")]);
        assert_eq!(roles.catalogue().names(grant.permissions), ["files:read", "weather:read"]);
        assert_eq!(grant.unknown, ["root", "files:*"].map(Box::<str>::from));
    }
}
