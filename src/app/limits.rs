//! From `[limits]`, the roles and the tools to what the limiter enforces; refuses what could never be admitted.

use std::collections::HashMap;

use crate::{
    actors::limiter::{LimiterConfig, MAX_BUCKETS, Mode, OnLoss, Rate, ToolRule},
    domain::PermissionSet,
    policy::Roles,
    settings::{self, LimitMode, OnQuotaLoss, Problem, RateSettings, RoleSettings, Settings},
    tools::{Entry, Registry},
};

/// The role whose limits a principal without any role has.
const GUEST: &str = "guest";

/// What the limiter enforces under these settings.
///
/// # Errors
/// Everything that is wrong: limits of tools that do not exist, and calls that no wait would ever admit.
pub fn limits(
    settings: &Settings,
    roles: &Roles,
    registry: &Registry,
) -> Result<LimiterConfig, Vec<Problem>> {
    let set = &settings.limits;
    let rates: HashMap<Box<str>, Rate> = settings
        .roles
        .iter()
        .map(|(name, role)| (name.as_str().into(), of_role(role, set.default)))
        .collect();
    let tools: HashMap<Box<str>, ToolRule> = registry
        .iter()
        .filter_map(|entry| Some((entry.spec().name.into(), rule(settings, entry)?)))
        .collect();
    let mut problems = unknown_tools(settings, registry);
    for (name, rate) in &rates {
        let may = roles.permissions_of(name).unwrap_or_default();
        problems.extend(never_admitted(name, rate.capacity, may, (registry, &tools)));
    }
    if !problems.is_empty() {
        problems.sort();
        return Err(problems);
    }
    Ok(LimiterConfig {
        mode: match set.mode {
            LimitMode::Enforce => Mode::Enforce,
            LimitMode::Shadow => Mode::Shadow,
            LimitMode::UnsafeOff => Mode::Off,
        },
        on_loss: match set.on_store_loss {
            OnQuotaLoss::LocalShare => OnLoss::LocalShare,
            OnQuotaLoss::Deny => OnLoss::Deny,
            OnQuotaLoss::UnsafeAllow => OnLoss::Allow,
        },
        store_wait: set.store_wait,
        address: rate(set.ip),
        failures: rate(set.failures),
        fallback: rates.get(GUEST).copied().unwrap_or(rate(set.default)),
        roles: rates,
        tools,
        max_buckets: MAX_BUCKETS,
    })
}

const fn rate(set: RateSettings) -> Rate {
    Rate { capacity: set.capacity, refill_per_second: set.refill_per_second }
}

fn of_role(role: &RoleSettings, default: RateSettings) -> Rate {
    Rate {
        capacity: role.capacity.unwrap_or(default.capacity),
        refill_per_second: role.refill_per_second.unwrap_or(default.refill_per_second),
    }
}

/// What one call of the tool takes; `None` for one that takes what every request takes.
fn rule(settings: &Settings, entry: &Entry) -> Option<ToolRule> {
    let set = settings.limits.tools.get(entry.spec().name).copied().unwrap_or_default();
    let rate = set.capacity.zip(set.refill_per_second);
    let rule = ToolRule {
        cost: set.cost.unwrap_or(entry.spec().cost),
        rate: rate.map(|(capacity, refill_per_second)| Rate { capacity, refill_per_second }),
        max_in_flight: set.max_in_flight,
    };
    (rule != ToolRule { cost: 1, rate: None, max_in_flight: None }).then_some(rule)
}

fn unknown_tools(settings: &Settings, registry: &Registry) -> Vec<Problem> {
    let known = || registry.iter().map(|entry| entry.spec().name);
    let unknown = settings.limits.tools.keys().filter(|name| registry.find(name).is_none());
    let problem = |name: &String| {
        let fix = match settings::nearest_name(name, known()) {
            Some(nearest) => format!("write {nearest:?} if that was meant, or take it out"),
            None => "take it out".to_owned(),
        };
        Problem { key: format!("limits.tools.{name}"), problem: format!("there is no tool {name:?}"), fix }
    };
    unknown.map(problem).collect()
}

/// The calls that principals of a role may make and whose cost its capacity, or the tool's own, does not reach.
fn never_admitted(
    role: &str,
    capacity: u32,
    may: PermissionSet,
    (registry, tools): (&Registry, &HashMap<Box<str>, ToolRule>),
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for entry in registry.iter() {
        let name = entry.spec().name;
        let Some(rule) = tools.get(name) else { continue };
        if may.contains(entry.needs()) && rule.cost > capacity {
            problems.push(Problem {
                key: format!("roles.{role}.capacity"),
                problem: format!(
                    "{capacity} is below the cost of {name}, {}: no call could ever run",
                    rule.cost
                ),
                fix: format!("raise it, or lower limits.tools.{name}.cost"),
            });
        }
        if let Some(own) = rule.rate.filter(|own| rule.cost > own.capacity) {
            let problem =
                format!("{} is below the tool's cost, {}: no call could ever run", own.capacity, rule.cost);
            let fix = "raise the capacity or lower the cost".to_owned();
            let problem = Problem { key: format!("limits.tools.{name}.capacity"), problem, fix };
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}
