//! What a Redis was asked, by its own count.

use std::collections::BTreeMap;

use super::Node;

/// Calls by command, but for those of this look itself.
pub(crate) fn calls(node: &Node) -> BTreeMap<String, u64> {
    let stats = node.ask("INFO commandstats").unwrap();
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    stats.lines().filter_map(line).filter(|(name, _)| name != "info").collect()
}

/// What came between two counts.
pub(crate) fn between(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let more = after.iter().map(|(name, calls)| (name.clone(), calls - before.get(name).unwrap_or(&0)));
    more.filter(|(_, calls)| *calls > 0).collect()
}
