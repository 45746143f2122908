//! How a Redis is run, as far as it says so itself: its version, what it keeps, what it throws away.

use super::db::Db;
use crate::store::StoreError;

/// A version: three numbers.
type Version = [u32; 3];

/// Use after free and more in Lua, which everybody may use who may write: CVSS 10.
const IN_LUA: &str = "CVE-2025-49844, CVE-2025-46817 and CVE-2025-46818";
/// Use after free when a client that waits is let go, from 7.2 on.
const IN_WAITING: &str = "CVE-2026-23479";

/// Of a line of releases, the first without the holes in Lua, and the first without that in waiting; `None` where there
/// is none, `Some([0; 3])` where there never was a hole.
struct Line {
    name: [u32; 2],
    lua: Option<Version>,
    waiting: Option<Version>,
}

const fn line(name: [u32; 2], lua: Option<Version>, waiting: Option<Version>) -> Line {
    Line { name, lua, waiting }
}

/// Redis, by its release notes of October 2025 and May 2026. Later lines had no hole to begin with.
const REDIS: &[Line] = &[
    line([6, 2], Some([6, 2, 20]), Some([0; 3])),
    line([7, 0], None, Some([0; 3])),
    line([7, 2], Some([7, 2, 11]), Some([7, 2, 14])),
    line([7, 4], Some([7, 4, 6]), Some([7, 4, 9])),
    line([8, 0], Some([8, 0, 4]), None),
    line([8, 2], Some([8, 2, 2]), Some([8, 2, 6])),
    line([8, 4], Some([0; 3]), Some([8, 4, 3])),
    line([8, 6], Some([0; 3]), Some([8, 6, 3])),
];
/// Valkey, by its release notes of the same months.
const VALKEY: &[Line] = &[
    line([7, 2], Some([7, 2, 11]), Some([7, 2, 13])),
    line([8, 0], Some([8, 0, 6]), Some([8, 0, 9])),
    line([8, 1], Some([8, 1, 4]), Some([8, 1, 7])),
    line([9, 0], Some([0; 3]), Some([9, 0, 4])),
];

/// What an operator should know, each a sentence.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn survey(db: &Db) -> Result<Vec<String>, StoreError> {
    let (server, memory) = (db.info("server").await?, db.info("memory").await?);
    let persistence = db.info("persistence").await?;
    let findings = [version(&server), eviction(&memory), persistence_of(&persistence)];
    Ok(findings.into_iter().flatten().collect())
}

/// A line of what `INFO` says.
fn value<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

fn version(server: &str) -> Option<String> {
    let (product, lines, text) = match value(server, "valkey_version") {
        Some(text) => ("Valkey", VALKEY, text),
        None => ("Redis", REDIS, value(server, "redis_version")?),
    };
    let version = numbers(text)?;
    let holes = [IN_LUA, IN_WAITING].into_iter().zip(holes(lines, version));
    let holes: Vec<_> = holes.filter_map(|(name, is_open)| is_open.then_some(name)).collect();
    (!holes.is_empty()).then(|| {
        format!(
            "{product} {} has {}, unless its packager has mended it: update it",
            shown(version),
            holes.join(", and ")
        )
    })
}

/// Whether the holes in Lua are open, and whether that in waiting is.
fn holes(lines: &[Line], version: Version) -> [bool; 2] {
    let [major, minor, _] = version;
    let is_before = |first: Option<Version>| first.is_none_or(|first| version < first);
    match lines.iter().find(|line| line.name == [major, minor]) {
        Some(line) => [is_before(line.lua), is_before(line.waiting)],
        // A line that we do not know is newer than all of these, or as old as the hills.
        None => {
            let newest = lines.last().is_some_and(|line| [major, minor] > line.name);
            [!newest, !newest && [major, minor] >= [7, 2]]
        }
    }
}

fn numbers(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part.get(..end)?.parse().ok()
    });
    Some([parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)])
}

fn shown([major, minor, patch]: Version) -> String {
    format!("{major}.{minor}.{patch}")
}

fn eviction(memory: &str) -> Option<String> {
    let policy = value(memory, "maxmemory_policy")?;
    (policy != "noeviction").then(|| {
        let known: String = policy.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect();
        format!(
            "maxmemory-policy is {known}: when memory is short, accounts, keys and revocations are thrown away; set it to \
             noeviction"
        )
    })
}

fn persistence_of(persistence: &str) -> Option<String> {
    (value(persistence, "aof_enabled")? == "0").then(|| {
        "appendonly is off: what was changed since its last snapshot is lost when it stops; set it to yes"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_with_a_known_hole_is_named_with_it_and_no_other_is() {
        for (info, lua, waiting) in [
            ("redis_version:7.0.15", true, false),
            ("redis_version:6.2.19", true, false),
            ("redis_version:6.2.20", false, false),
            ("redis_version:5.0.14", true, false),
            ("redis_version:7.2.11", false, true),
            ("redis_version:7.2.14", false, false),
            ("redis_version:7.4.5", true, true),
            ("redis_version:8.2.6", false, false),
            ("redis_version:8.6.2", false, true),
            ("redis_version:8.8.0", false, false),
            ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.3", true, true),
            ("redis_version:7.2.4\r\nvalkey_version:8.1.7", false, false),
            ("redis_version:7.2.4\r\nvalkey_version:9.1.0", false, false),
            ("redis_version:nonsense", false, false),
            ("", false, false),
        ] {
            let found = version(&format!("# Server\r\n{info}\r\n")).unwrap_or_default();
            assert_eq!(
                (found.contains(IN_LUA), found.contains(IN_WAITING)),
                (lua, waiting),
                "{info}: {found}"
            );
        }
    }

    #[test]
    fn what_throws_records_away_is_named() {
        for (policy, is_named) in [("noeviction", false), ("allkeys-lru", true), ("volatile-ttl", true)] {
            let found = eviction(&format!("used_memory:1\r\nmaxmemory_policy:{policy}\r\n"));
            assert_eq!(found.is_some_and(|text| text.contains(policy)), is_named, "{policy}");
        }
        assert!(persistence_of("aof_enabled:0\r\n").is_some());
        assert_eq!(persistence_of("aof_enabled:1\r\n"), None);
        assert_eq!((eviction(""), persistence_of("")), (None, None), "what is not said");
    }
}
