//! Paths of files: what is taken leads down and nowhere else, and is one spelling of one place.

use std::path::{Component, Path};

use portcullis::tools::files::{PathFault, RelPath};

use super::driver::{Target, fingerprint};

const WORDS: &[&str] = &[
    "../",
    "./",
    "..",
    "/",
    "//",
    "\\",
    "~",
    "\0",
    ":",
    "%2e%2e%2f",
    "C:",
    "\\\\?\\",
    "CON",
    "nul.txt",
    "COM¹",
    "lpt0",
    ".git",
    " ",
    ".",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "e\u{301}",
    "é",
    "\u{2215}",
    "\u{ff0f}",
    "\u{2024}",
    "a/b/",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "東京",
];

fn seeds() -> Vec<Vec<u8>> {
    let deep = vec!["a"; 32].join("/");
    let longest = format!("{}/{}", "é".repeat(127), "b".repeat(255));
    ["notes/today.txt", "São Paulo/東京.txt", ".env", "a b/c.d.e", "../../etc/passwd", &deep, &longest]
        .map(|text| text.as_bytes().to_vec())
        .into()
}

/// Whether `path` is made of plain names, as the standard library reads it.
fn leads_down(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[test]
fn a_path_that_is_taken_leads_down_and_nowhere_else() {
    Target { name: "path", seeds: seeds(), words: WORDS }.fuzz(|input| {
        let Ok(text) = std::str::from_utf8(input) else { return 0 };
        let parsed = RelPath::parse(text);
        let portable = parsed.as_ref().map(RelPath::check_portable);
        match &parsed {
            Ok(path) => {
                assert_eq!(path.as_str(), text);
                let names: Vec<_> = path.names().collect();
                let parts: Vec<_> = Path::new(text).components().map(|part| part.as_os_str()).collect();
                // Two readers take it apart in the same way, and put it together to the same text.
                assert!(leads_down(text) && names == parts && names.join("/") == text);
                let joined = Path::new("/srv/files").join(text);
                assert!(joined.starts_with("/srv/files") && joined.components().count() == 3 + names.len());
                assert!(
                    text.len() <= 1_024 && names.len() <= 32 && names.iter().all(|name| name.len() <= 255)
                );
                assert!(
                    !text
                        .contains(['\\', '\0', '\n', '\u{1b}', '\u{7f}', '\u{202e}', '\u{200b}', '\u{feff}'])
                );
            }
            Err(PathFault::Empty) => assert!(text.is_empty()),
            Err(PathFault::Absolute) => assert!(Path::new(text).is_absolute()),
            Err(PathFault::Dots) => assert!(text.split('/').any(|name| name == "." || name == "..")),
            Err(PathFault::Long | PathFault::LongName) => assert!(text.len() > 255),
            Err(PathFault::Deep) => assert!(text.matches('/').count() >= 32),
            Err(PathFault::Backslash) => assert!(text.contains('\\')),
            Err(PathFault::Slash) => assert!(text.ends_with('/') || text.contains("//")),
            Err(PathFault::Invisible) => assert!(text.chars().any(|c| !c.is_ascii_graphic() && c != ' ')),
            Err(fault) => panic!("{fault}: that is asked of new names only"),
        }
        if let Ok(Ok(())) = portable {
            let strange = |name: &str| name.starts_with(' ') || name.ends_with([' ', '.']);
            assert!(!text.split('/').any(strange) && !text.contains([':', '*', '?', '"', '<', '>', '|']));
            let device = |name: &str| ["con", "nul", "aux", "prn", "com1", "lpt9"].contains(&name);
            // What other systems leave out stands at the end: one behind a strange blank is a name of its own.
            let base = |name: &str| name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
            assert!(!text.split('/').any(|name| device(&base(name))));
        }
        fingerprint((format!("{portable:?}"), text.len().min(8), text.matches('/').count().min(4)))
    });
}
