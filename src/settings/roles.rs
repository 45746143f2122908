//! `[roles.<name>]` and `[permissions]`: who may do what.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{kind::Kind, limits, nearest, problem::Report, profile, schema::Key};
use crate::domain::Catalogue;

/// Most roles one server can have.
const MOST_ROLES: usize = 64;

/// The keys of `[roles]` and `[permissions]`.
pub(super) const KEYS: &[Key] = &[
    Key::new(
        "roles.<name>.permissions",
        Kind::Texts,
        "What the role may do: resource:action, resource:* for all of a resource, * for everything.",
    ),
    Key::new("roles.<name>.inherits", Kind::Texts, "Roles whose permissions it has too."),
    Key::new(
        "roles.<name>.capacity",
        Kind::Whole(1, limits::MOST),
        "Calls at once of a principal whose largest role this is, 1 to 1000000000; without it that of \
         limits.default.",
    ),
    Key::new(
        "roles.<name>.refill_per_second",
        Kind::Number(limits::LEAST_REFILL, limits::MOST_REFILL),
        "Calls that come back to it in a second, 0.000001 to 1000000000; without it that of limits.default.",
    ),
    Key::new(
        "permissions.extra",
        Kind::Texts,
        "Permissions of your own tools beside the built-in ones, each resource:action in lower case.",
    ),
];

/// `[roles.<name>]`, by name.
pub type Roles = BTreeMap<String, RoleSettings>;

/// `[roles.<name>]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleSettings {
    /// What it may do: `resource:action`, `resource:*` or `*`.
    pub permissions: Vec<String>,
    /// Roles whose permissions it has too. Without a cycle.
    pub inherits: Vec<String>,
    /// Calls at once; those of `limits.default` if `None`.
    pub capacity: Option<u32>,
    /// Calls that come back in a second, likewise.
    pub refill_per_second: Option<f64>,
}

/// `[permissions]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionsSettings {
    /// Permissions beside the built-in ones, `resource:action`.
    pub extra: Vec<String>,
}

pub(super) fn check(roles: &Roles, permissions: &PermissionsSettings, report: &mut Report) {
    let catalogue = catalogue(permissions, report);
    let count = (1..=MOST_ROLES).contains(&roles.len());
    report.require(count, "roles", ("must be 1 to 64 roles", "write [roles.guest] or remove some"));
    for (name, role) in roles {
        let at = format!("roles.{name}");
        if !profile::is_name(name) {
            report.refuse(
                &at,
                "the name of a role must be 1 to 32 of a-z 0-9 _ -, a letter first",
                "rename it",
            );
        }
        if let Some(catalogue) = &catalogue {
            check_permissions(&at, role, catalogue, report);
        }
        for parent in role.inherits.iter().filter(|parent| !roles.contains_key(*parent)) {
            let fix = meant(parent, roles.keys().map(String::as_str), "define it");
            report.refuse(&format!("{at}.inherits"), format!("there is no role {parent:?}"), fix);
        }
    }
    check_cycles(roles, report);
}

/// The permissions there are; entries that cannot be declared are reported and left out.
fn catalogue(permissions: &PermissionsSettings, report: &mut Report) -> Option<Catalogue> {
    let mut sound: Vec<&str> = Vec::new();
    let mut known = Catalogue::new::<&str>(&[]);
    for name in &permissions.extra {
        sound.push(name);
        match Catalogue::new(&sound) {
            Ok(more) => known = Ok(more),
            Err(problem) => {
                sound.pop();
                let fix = "write resource:action, such as \"tickets:close\"; wildcards stand only in [roles]";
                report.refuse("permissions.extra", problem, fix);
            }
        }
    }
    known.ok()
}

fn check_permissions(at: &str, role: &RoleSettings, catalogue: &Catalogue, report: &mut Report) {
    for pattern in role.permissions.iter().filter(|pattern| catalogue.matching(pattern).is_empty()) {
        let wildcards =
            catalogue.iter().filter_map(|(_, name)| Some(format!("{}:*", name.split_once(':')?.0)));
        let known: Vec<String> = catalogue.iter().map(|(_, name)| name.to_owned()).chain(wildcards).collect();
        let fix = meant(pattern, known.iter().map(String::as_str), "declare it in permissions.extra");
        report.refuse(&format!("{at}.permissions"), format!("there is no permission {pattern:?}"), fix);
    }
}

fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>, otherwise: &str) -> String {
    match nearest::name(name, known) {
        Some(nearest) => format!("write {nearest:?} if that was meant, or {otherwise}"),
        None => otherwise.into(),
    }
}

/// Reports each cycle once, at the role of it that comes first.
fn check_cycles(roles: &Roles, report: &mut Report) {
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    for name in roles.keys() {
        if reported.contains(name.as_str()) {
            continue;
        }
        if let Some(cycle) = cycle_through(name, roles) {
            let problem = format!("inherits itself: {} -> {name}", cycle.join(" -> "));
            report.refuse(
                &format!("roles.{name}.inherits"),
                problem,
                "take one of these out of the other's list",
            );
            reported.extend(cycle);
        }
    }
}

/// The roles on a way from `start` back to itself, `start` first.
fn cycle_through<'a>(start: &'a str, roles: &'a Roles) -> Option<Vec<&'a str>> {
    let parents = |name: &str| roles.get(name).into_iter().flat_map(|role| &role.inherits);
    let mut ways: Vec<Vec<&str>> = vec![vec![start]];
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for parent in way.last().into_iter().flat_map(|last| parents(last)) {
            if parent == start {
                return Some(way);
            }
            if seen.insert(parent) {
                ways.push(way.iter().copied().chain([parent.as_str()]).collect());
            }
        }
    }
    None
}
