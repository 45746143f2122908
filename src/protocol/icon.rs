//! A picture that clients may show beside a resource or a prompt.

use serde::Serialize;

/// Longest `src`, bytes: a small picture as a data URI.
const MAX_SRC: usize = 64 * 1024;

/// An icon: where it is, or all of it as a data URI. This server never fetches one (M17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Icon {
    /// A URI of `https:` or `data:`.
    pub src: String,
    /// Its media type, for example `image/png`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Sizes that it fits, for example `48x48` or `any`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<String>,
}

impl Icon {
    /// One at `src`, of which no more is known.
    pub fn at(src: impl Into<String>) -> Self {
        Self { src: src.into(), mime_type: None, sizes: Vec::new() }
    }

    /// Whether clients may be shown it: of `https:` or `data:`, and not of another scheme that runs or reads
    /// something.
    pub fn is_sound(&self) -> bool {
        let parsed = url::Url::parse(&self.src).ok().filter(|_| self.src.len() <= MAX_SRC);
        parsed.is_some_and(|url| matches!(url.scheme(), "https" | "data"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn icons_are_of_https_or_data() {
        for src in ["https://example.org/a.png", "data:image/png;base64,AA=="] {
            assert!(Icon::at(src).is_sound(), "{src}");
        }
        let long = format!("data:image/png;base64,{}", "A".repeat(MAX_SRC));
        for src in ["http://example.org/a.png", "file:///a.png", "javascript:alert(1)", "a.png", "", &long] {
            assert!(!Icon::at(src).is_sound());
        }
    }
}
