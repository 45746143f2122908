//! Fails when a room imports a room that is not below it, or when a file outgrows the house.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::{fs, path::Path};

/// The rooms, bottom to top: each may import those before it, so a circle cannot be written down.
const ROOMS: [&str; 21] = [
    "error",
    "files",
    "domain",
    "settings",
    "telemetry",
    "protocol",
    "policy",
    "store",
    "actors",
    "edge",
    "auth",
    "tools",
    "resources",
    "prompts",
    "house",
    "mcp",
    "credentials",
    "oauth",
    "admin",
    "app",
    "cli",
];
/// Outside the rooms: they only open doors.
const DOORS: [&str; 2] = ["lib", "main"];
const MAX_LINES: usize = 400;

#[test]
fn rooms_import_only_rooms_below_them() {
    let mut wrong = Vec::new();
    for_each_source(Path::new("src"), &mut |path, text| {
        let room = room_of(path);
        if DOORS.contains(&&*room) {
            return;
        }
        let Some(at) = ROOMS.iter().position(|known| *known == room) else {
            wrong.push(format!("{}: a room that the table does not know", path.display()));
            return;
        };
        for other in imported_rooms(text) {
            if !ROOMS[..=at].contains(&other) {
                wrong.push(format!("{}: crate::{other}", path.display()));
            }
        }
    });
    assert!(wrong.is_empty(), "imports against the direction:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_of_the_table_is_there() {
    for room in ROOMS {
        let there =
            Path::new("src").join(room).is_dir() || Path::new("src").join(format!("{room}.rs")).is_file();
        assert!(there, "{room} is no room of src any more");
    }
}

#[test]
fn no_file_outgrows_the_house() {
    for folder in ["src", "tests", "examples", "benches"] {
        for_each_source(Path::new(folder), &mut |path, text| {
            let lines = text.lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines, more than {MAX_LINES}", path.display());
        });
    }
}

#[test]
fn every_source_begins_with_what_it_is_for() {
    for folder in ["src", "tests", "examples", "benches"] {
        for_each_source(Path::new(folder), &mut |path, text| {
            assert!(text.starts_with("//! "), "{} does not begin with a `//!` line", path.display());
        });
    }
}

#[test]
fn what_we_never_write_is_nowhere() {
    // In two halves, so that this file does not find itself.
    let never =
        [["do_", "send("], ["#[ign", "ore"], ["tod", "o!("], ["unimple", "mented!("], ["thread::", "sleep("]];
    for folder in ["src", "tests", "examples", "benches"] {
        for_each_source(Path::new(folder), &mut |path, text| {
            for halves in never {
                let word = halves.concat();
                assert!(!text.contains(&word), "{} has {word}", path.display());
            }
        });
    }
}

#[test]
fn imports_are_found_in_every_spelling() {
    let text =
        "use crate::{\n    a::B,\n    c::{D, e::F},\n    g,\n};\nuse crate::h::I;\nlet x = crate::j::K;";
    assert_eq!(imported_rooms(text), ["a", "c", "g", "h", "j"]);
}

/// `actors` for `src/actors/feed/mod.rs`, `app` for `src/app.rs`.
fn room_of(path: &Path) -> String {
    let first = path.strip_prefix("src").unwrap().iter().next().unwrap();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// First path segments after `crate::`, also inside one group: `crate::{a::B, c::{D, E}}` gives a, c.
fn imported_rooms(text: &str) -> Vec<&str> {
    let ident = |s: &str| s.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(s.len());
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            rooms.push(&rest[..ident(rest)]);
            continue;
        };
        let (mut depth, mut fresh) = (0_i32, true);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                c if fresh && !c.is_whitespace() => {
                    rooms.push(&group[i..i + ident(&group[i..])]);
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    rooms
}

/// Calls `visit` with every Rust file below `folder`.
fn for_each_source(folder: &Path, visit: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for_each_source(&path, visit);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            visit(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
