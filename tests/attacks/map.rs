//! Holds `README.md`, the map from rows to tests, to what is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The rows that concern what is built so far.
const ROWS: &[(char, &[u8])] = &[
    ('J', &[1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 28]),
    ('K', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ('H', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]),
    ('R', &[1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14]),
    (
        'M',
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28],
    ),
    ('L', &[9, 14]),
    ('F', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]),
    ('O', &[11, 12, 23, 24, 25, 26]),
    ('A', &[1, 3, 4, 5, 6, 9, 10, 11, 12, 14]),
    ('C', &[1, 2, 3, 4, 8, 9, 10, 12]),
    ('D', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]),
    ('P', &[8]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Row, file and test of every line of the map.
fn mapped() -> Vec<(String, PathBuf, String)> {
    let text = fs::read_to_string(root().join("tests/attacks/README.md")).unwrap();
    let cells =
        |line: &str| line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>();
    let lines = text.lines().filter(|line| line.starts_with("| ") && line.contains(".rs`")).map(cells);
    lines.map(|cells| (cells[1].clone(), cells[3].clone().into(), cells[4].clone())).collect()
}

#[test]
fn every_row_that_is_due_is_mapped_to_a_test_that_is_there() {
    let mapped = mapped();
    let rows: BTreeSet<&str> = mapped.iter().map(|(row, ..)| &**row).collect();
    for (group, numbers) in ROWS {
        for number in *numbers {
            assert!(rows.contains(&*format!("{group}{number}")), "{group}{number} is not in the map");
        }
    }
    for (row, file, test) in &mapped {
        let text =
            fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{row}: no {}", file.display()));
        assert!(text.contains(&format!("fn {test}(")), "{row}: no {test} in {}", file.display());
    }
}

#[test]
fn every_test_of_this_crate_is_in_the_map() {
    let mapped: BTreeSet<String> = mapped().into_iter().map(|(_, _, test)| test).collect();
    for entry in fs::read_dir(root().join("tests/attacks")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "rs") || path.ends_with("map.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for test in text.split("#[test]\nfn ").skip(1) {
            let name = test.split('(').next().unwrap();
            assert!(mapped.contains(name), "{name} of {} is not in the map", path.display());
        }
    }
}
