//! The path of a file as a caller writes it: relative, plain, and known to be so before anything is opened. Pure.

use unicode_normalization::is_nfc;

use crate::tools::error::is_visible;

/// Longest path, bytes.
pub(in crate::tools) const MAX_PATH: usize = 1_024;
/// Longest single name, bytes, as every common file system has it.
const MAX_NAME: usize = 255;
/// Most names in a path: folders and file.
pub(super) const MAX_DEPTH: usize = 32;
/// Names that are devices on other systems, whatever extension follows.
const RESERVED: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// What follows `COM` or `LPT` in further ones.
const PORTS: &str = "0123456789¹²³";
/// Characters that other systems do not have in names, or read as something else.
const UNPORTABLE: [char; 7] = [':', '*', '?', '"', '<', '>', '|'];

/// A relative path of plain names, none of which leads anywhere but down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelPath(Box<str>);

impl RelPath {
    /// Reads `text`.
    ///
    /// # Errors
    /// [`PathFault`], which says what would be right and repeats nothing of `text`.
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        if text.is_empty() {
            return Err(PathFault::Empty);
        }
        if text.len() > MAX_PATH {
            return Err(PathFault::Long);
        }
        if text.starts_with('/') {
            return Err(PathFault::Absolute);
        }
        if text.contains('\\') {
            return Err(PathFault::Backslash);
        }
        if !text.chars().all(is_visible) {
            return Err(PathFault::Invisible);
        }
        if text.split('/').count() > MAX_DEPTH {
            return Err(PathFault::Deep);
        }
        for name in text.split('/') {
            match name {
                "" => return Err(PathFault::Slash),
                "." | ".." => return Err(PathFault::Dots),
                _ if name.len() > MAX_NAME => return Err(PathFault::LongName),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// Whether a file of that name could be made on any system and be told from every other.
    ///
    /// # Errors
    /// [`PathFault`]: no new name is made that some other program would read as another one.
    pub fn check_portable(&self) -> Result<(), PathFault> {
        if !is_nfc(&self.0) {
            return Err(PathFault::Decomposed);
        }
        if self.names().all(is_portable) { Ok(()) } else { Err(PathFault::Unportable) }
    }

    /// Its names, the outermost folder first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether a name in it begins with a dot.
    pub(super) fn is_hidden(&self) -> bool {
        self.names().any(is_hidden)
    }

    /// The folder that it lies in, if that is not the root itself, and its last name.
    pub(super) fn split(&self) -> (Option<&str>, &str) {
        self.0.rsplit_once('/').map_or((None, &self.0), |(folder, name)| (Some(folder), name))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `name` begins with a dot: by custom not meant to be seen (`.git`, `.env`, `.ssh`).
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

fn is_portable(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or(name).trim_end().to_uppercase();
    let port = ["COM", "LPT"].iter().find_map(|kind| base.strip_prefix(kind));
    let is_device = RESERVED.contains(&base.as_str())
        || port.is_some_and(|number| number.chars().count() == 1 && PORTS.contains(number));
    !is_device && !name.ends_with(['.', ' ']) && !name.starts_with(' ') && !name.contains(UNPORTABLE)
}

/// What is wrong with a path, and what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Nothing at all.
    #[error("must not be empty; write one such as notes/today.txt")]
    Empty,
    /// Too long.
    #[error("must be at most {MAX_PATH} bytes long")]
    Long,
    /// From the root of the whole machine.
    #[error("must be relative: no slash at its beginning, such as notes/today.txt")]
    Absolute,
    /// With the separator of other systems.
    #[error("must have / between names; no backslash")]
    Backslash,
    /// With what nobody sees.
    #[error("must hold no control and no invisible characters")]
    Invisible,
    /// Too many names.
    #[error("must have at most {MAX_DEPTH} names")]
    Deep,
    /// A name is empty.
    #[error("must have exactly one slash between two names and none at its end")]
    Slash,
    /// A name leads nowhere, or up.
    #[error("must not have . or .. as a name: there is no way up")]
    Dots,
    /// A name is too long.
    #[error("must have no name of more than {MAX_NAME} bytes")]
    LongName,
    /// Another spelling of the same name is the usual one.
    #[error("must be in composed form (Unicode NFC) to be written")]
    Decomposed,
    /// Not a name on every system.
    #[error(
        "cannot be written: no name may be a device's (CON, NUL, COM1, …), begin with a space, end with a \
         dot or a space, or hold one of : * ? \" < > |"
    )]
    Unportable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_relative_paths_are_paths() {
        for text in
            ["a", "a.txt", "a/b/c.json", "…", "São Paulo/東京.txt", "a b/c", "%2e%2e", "~/x", "file:x"]
        {
            assert_eq!(RelPath::parse(text).unwrap().as_str(), text);
        }
        let longest = format!("{}/{}", "é".repeat(127), "b".repeat(255));
        assert!(RelPath::parse(&longest).is_ok());
        assert!(RelPath::parse(&vec!["a"; MAX_DEPTH].join("/")).is_ok());
        assert!(RelPath::parse(&vec!["a".repeat(127); 8].join("/")).is_ok());
    }

    #[test]
    fn whatever_is_not_plain_is_named_by_its_fault() {
        let (deep, long) = (vec!["a"; MAX_DEPTH + 1].join("/"), vec!["a".repeat(128); 8].join("/") + "/x");
        for (text, fault) in [
            ("", PathFault::Empty),
            (&*long, PathFault::Long),
            ("/etc/passwd", PathFault::Absolute),
            ("//host/share", PathFault::Absolute),
            ("..\\x", PathFault::Backslash),
            ("\\\\?\\C:", PathFault::Backslash),
            ("a\0.png", PathFault::Invisible),
            ("a\nb", PathFault::Invisible),
            ("a\u{202e}txt.exe", PathFault::Invisible),
            ("a\u{200b}b", PathFault::Invisible),
            (&*deep, PathFault::Deep),
            ("a/", PathFault::Slash),
            ("a//b", PathFault::Slash),
            (".", PathFault::Dots),
            ("..", PathFault::Dots),
            ("../secret", PathFault::Dots),
            ("a/../b", PathFault::Dots),
            ("a/./b", PathFault::Dots),
            (&"a".repeat(256), PathFault::LongName),
        ] {
            assert_eq!(RelPath::parse(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn names_that_another_system_reads_otherwise_are_not_made() {
        for name in [
            "CON",
            "con",
            "NUL.txt",
            "nul.tar.gz",
            "COM1",
            "com¹.txt",
            "LPT0",
            "CONIN$",
            "aux .txt",
            "x:ads",
            "a.",
            "a ",
            " a",
            "a/CON/b",
            "what?",
            "a|b",
            "a*b",
        ] {
            let path = RelPath::parse(name).unwrap();
            assert_eq!(path.check_portable(), Err(PathFault::Unportable), "{name:?}");
        }
        let twin = RelPath::parse("cafe\u{301}.txt").unwrap();
        assert_eq!(twin.check_portable(), Err(PathFault::Decomposed));
        for name in ["CONSOLE.txt", "COM10.txt", "COM.txt", "null", "a.b c.txt", "café.txt", "com.txt"] {
            assert_eq!(RelPath::parse(name).unwrap().check_portable(), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn a_path_is_taken_apart_at_its_last_slash() {
        assert_eq!(RelPath::parse("a/b/c").unwrap().split(), (Some("a/b"), "c"));
        assert_eq!(RelPath::parse("c").unwrap().split(), (None, "c"));
        assert!(RelPath::parse("a/.git/c").unwrap().is_hidden());
        assert!(!RelPath::parse("a/b.git/c.").unwrap().is_hidden());
    }
}
