//! What is in a file, by its name: clients show and models read it accordingly.

/// Extensions and their media types; whatever else is text or bytes, as its content says.
const KNOWN: [(&str, &str); 20] = [
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("toml", "application/toml"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webp", "image/webp"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
];

/// The media type of a file at `path`, if its name says it.
pub(super) fn by_name(path: &str) -> Option<&'static str> {
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_extension_counts() {
        assert_eq!(by_name("a/b.tar.JSON"), Some("application/json"));
        assert_eq!(by_name("notes.txt"), Some("text/plain"));
        for other in ["a.txt/b", "txt", "a.", "a.unknown", ""] {
            assert_eq!(by_name(other), None, "{other}");
        }
    }
}
