//! The same files for whoever names them by URI, `file:///` and the path below the root, and who hears of a change.

use std::{collections::BTreeMap, ops::Bound};

use super::{FileError, Files, Found, RelPath};
use crate::{domain::Change, tools::ToolError};

/// What the URI of every file begins with: no host, and below it nothing but paths below the roots.
pub(crate) const FILE_PREFIX: &str = "file:///";

/// A page of files.
#[derive(Debug, Default)]
pub(crate) struct FilePage {
    /// Sorted by path.
    pub(crate) files: Vec<Found>,
    /// Whether there are more behind them.
    pub(crate) goes_on: bool,
}

impl Files {
    /// All bytes of the file at `path`, as `read_file` reads it.
    ///
    /// # Errors
    /// [`ToolError`]; a path that is none is [`ToolError::Arguments`].
    pub(crate) async fn read_named(&self, path: &str) -> Result<Vec<u8>, ToolError> {
        let path = RelPath::parse(path).map_err(FileError::from)?;
        Ok(self.read(path, std::convert::identity).await?)
    }

    /// The first `most` files behind the path `after` whose path begins with `beginning`.
    ///
    /// # Errors
    /// [`ToolError`].
    pub(crate) async fn page(
        &self,
        after: Option<&str>,
        beginning: &str,
        most: usize,
    ) -> Result<FilePage, ToolError> {
        let (after, beginning) = (after.map(str::to_owned), beginning.to_owned());
        let page = self.run(move |shelf, waits| {
            let (files, _) = shelf.all(None, waits)?;
            Ok(page_of(&files, after.as_deref(), &beginning, most))
        });
        Ok(page.await?)
    }

    /// Every file now: what each URI stands for, as far as a change of it can be seen from outside.
    ///
    /// # Errors
    /// [`ToolError`].
    pub(crate) async fn seen(&self) -> Result<BTreeMap<String, (u64, u64)>, ToolError> {
        let all = self.run(|shelf, waits| {
            let (files, _) = shelf.all(None, waits)?;
            Ok(files.into_values().map(|file| (uri_of(&file.path), (file.size, file.modified))).collect())
        });
        Ok(all.await?)
    }

    /// Who hears of changes.
    pub(crate) fn changes(&self) -> &crate::actors::changes::Changes {
        &self.changes
    }

    /// The file of that URI was written or deleted by us.
    pub(super) fn tell(&self, uri: String) {
        // Whether it is a new one the file system knows, and a list that is fetched once too often does no harm.
        self.changes.tell(Change::Resources);
        self.changes.tell(Change::Resource(uri.into()));
    }
}

fn page_of(files: &BTreeMap<String, Found>, after: Option<&str>, beginning: &str, most: usize) -> FilePage {
    let start = match after {
        Some(after) if after >= beginning => Bound::Excluded(after),
        _ => Bound::Included(beginning),
    };
    let mut behind = files
        .range::<str, _>((start, Bound::Unbounded))
        .map(|(_, file)| file)
        .take_while(|file| file.path.starts_with(beginning));
    let files = behind.by_ref().take(most).cloned().collect();
    FilePage { files, goes_on: behind.next().is_some() }
}

/// The URI of the file at `path`: all but letters, digits, `-._~` and the slash in percent-encoding.
pub(crate) fn uri_of(path: &str) -> String {
    let mut uri = String::from(FILE_PREFIX);
    encode(path, &mut uri);
    uri
}

/// `text` in percent-encoding (RFC 3986 §2.1), slashes as they are.
pub(crate) fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// The path that `uri` names; `None` if it is no URI of a file of ours. Every escape stands for one byte of the
/// path, read once; an escaped slash would be a second spelling of another path, and is none.
pub(crate) fn path_of(uri: &str) -> Option<String> {
    let mut rest = uri.strip_prefix(FILE_PREFIX)?.bytes();
    let mut path = Vec::with_capacity(rest.len());
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let (high, low) = (rest.next()?, rest.next()?);
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
                (byte != b'/').then_some(byte)?
            }
            // Whatever else RFC 3986 §3.3 lets stand in a path.
            byte if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte) => byte,
            _ => return None,
        };
        path.push(byte);
    }
    String::from_utf8(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_comes_back_from_its_uri() {
        for path in
            ["a.txt", "a b/c.txt", "São/東京.txt", "100%.txt", "%2e%2e", "a?b#c", "x:y@z", "~/+", "a%2Fb"]
        {
            let uri = uri_of(path);
            assert!(uri.is_ascii() && !uri.contains([' ', '?', '#']), "{uri}");
            assert_eq!(path_of(&uri).as_deref(), Some(path));
            assert!(url::Url::parse(&uri).is_ok());
        }
        assert_eq!(uri_of("a b.txt"), "file:///a%20b.txt");
        assert_eq!(path_of("file:///%c3%A9.txt").as_deref(), Some("é.txt"));
        assert_eq!(path_of("file:///a+b(1)@x.txt").as_deref(), Some("a+b(1)@x.txt"));
    }

    #[test]
    fn no_other_uri_names_a_path() {
        for uri in [
            "",
            "file:",
            "file://",
            "file:/a.txt",
            "file://host/a.txt",
            "FILE:///a.txt",
            "http:///a.txt",
            "a.txt",
            "file:///a?b",
            "file:///a#b",
            "file:///a b",
            "file:///é",
            "file:///a%2fb",
            "file:///a%2Fb",
            "file:///a%",
            "file:///a%2",
            "file:///a%zz",
            "file:///%FF",
            "file:///a\\b",
            "file:///a\nb",
            "file:///a\0",
        ] {
            assert_eq!(path_of(uri), None, "{uri}");
        }
    }

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let file = |path: &str| (path.to_owned(), Found { path: path.into(), size: 0, modified: 0 });
        let files: BTreeMap<_, _> = ["a", "b/1", "b/2", "b/3", "c"].map(file).into();
        let paths = |page: &FilePage| page.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        let first = page_of(&files, None, "", 2);
        assert_eq!((paths(&first), first.goes_on), (vec!["a".into(), "b/1".into()], true));
        let second = page_of(&files, Some("b/1"), "", 3);
        assert_eq!((paths(&second), second.goes_on), (vec!["b/2".into(), "b/3".into(), "c".into()], false));
        let within = page_of(&files, None, "b/", 2);
        assert_eq!((paths(&within), within.goes_on), (vec!["b/1".into(), "b/2".into()], true));
        assert_eq!(paths(&page_of(&files, Some("b/2"), "b/", 9)), ["b/3"]);
        // What it continued behind is gone, and there is nothing further.
        assert_eq!(paths(&page_of(&files, Some("b/20"), "", 9)), ["b/3", "c"]);
        assert!(paths(&page_of(&files, Some("d"), "", 9)).is_empty());
    }
}
